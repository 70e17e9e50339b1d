"""Cases for pooling."""

import math

import numpy as np

from tests.ops.case import Case


def both(option):
    return option if isinstance(option, tuple) else (option, option)


def windows(size, kernel, stride, padding, dilation, ceil_mode):
    """Where each window starts, and the places it has, in coordinates of the image."""
    spare = size + 2 * padding - dilation * (kernel - 1) - 1
    count = (math.ceil if ceil_mode else math.floor)(spare / stride) + 1
    starts = [o * stride - padding for o in range(count)]
    if ceil_mode and starts[-1] >= size:  # a window must not start in the padding at the end
        starts.pop()
    return [[start + k * dilation for k in range(kernel)] for start in starts]


def pooled(x, rows, columns, function):
    """function(values inside the image, how many places inside the image with its padding) of each window."""
    images = x.reshape(-1, *x.shape[-2:])
    y = np.empty((len(images), len(rows), len(columns)))
    for n, oy, ox in np.ndindex(y.shape):
        inside = [
            images[n, i, j] for i in rows[oy] for j in columns[ox] if 0 <= i < x.shape[-2] and 0 <= j < x.shape[-1]
        ]
        y[n, oy, ox] = function(inside, rows[oy], columns[ox])
    return y.reshape(*x.shape[:-2], *y.shape[1:])


def axes(x, kernel_size, stride, padding, dilation, ceil_mode):
    options = [both(o) for o in (kernel_size, stride or kernel_size, padding, dilation)]
    return [windows(x.shape[-2 + d], *(o[d] for o in options), ceil_mode) for d in (0, 1)]


def largest(x, *, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
    rows, columns = axes(x, kernel_size, stride, padding, dilation, ceil_mode)
    return pooled(x, rows, columns, lambda inside, *_: max(inside))


def average(x, *, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True, divisor_override=None):
    rows, columns = axes(x, kernel_size, stride, padding, 1, ceil_mode)
    ends = [size + pad for size, pad in zip(x.shape[-2:], both(padding), strict=True)]

    def mean(inside, *places):
        counts = [sum(i < end for i in of_axis) for of_axis, end in zip(places, ends, strict=True)]
        return sum(inside) / (divisor_override or (math.prod(counts) if count_include_pad else len(inside)))

    return pooled(x, rows, columns, mean)


def adaptive(x, *, output_size):
    size = [s or extent for s, extent in zip(both(output_size), x.shape[-2:], strict=True)]
    rows, columns = (
        [range(math.floor(o * extent / s), math.ceil((o + 1) * extent / s)) for o in range(s)]
        for s, extent in zip(size, x.shape[-2:], strict=True)
    )
    return pooled(x, rows, columns, lambda inside, *_: sum(inside) / len(inside))


WAYS = [
    ((2, 3, 5, 7), {"kernel_size": 2}),
    ((1, 1, 1, 1), {"kernel_size": 1}),
    ((3, 7, 5), {"kernel_size": (2, 3), "stride": (3, 1)}),
    ((2, 5, 7, 4), {"kernel_size": 3, "stride": 2, "padding": 1}),
    ((2, 3, 7, 6), {"kernel_size": (3, 2), "stride": 2, "padding": (1, 0), "ceil_mode": True}),
    ((2, 3, 5, 6), {"kernel_size": 2, "stride": 3, "padding": 1, "ceil_mode": True}),
    ((2, 13, 11, 3), {"kernel_size": 3, "stride": 1}),
    ((2, 3, 2, 2), {"kernel_size": 3, "stride": 2, "ceil_mode": True}),
    ((2, 32, 16, 16), {"kernel_size": 2}),
    ((2, 19, 6, 9), {"kernel_size": (2, 3)}),  # side by side, and one register of channels and a part of one
    ((3, 1, 6, 4), {"kernel_size": 2}),
]
CASES = [Case("max_pool2d", (shape,), largest, options) for shape, options in WAYS]
CASES += [
    Case("max_pool2d", ((2, 3, 9, 11),), largest, {"kernel_size": 3, "dilation": (2, 3), "padding": 1}),
    Case("max_pool2d", ((1, 2, 7, 8),), largest, {"kernel_size": 2, "dilation": 3, "stride": 1, "ceil_mode": True}),
    Case("max_pool2d", ((1, 2, 19, 18),), largest, {"kernel_size": 17, "stride": 1}),  # 289 places: not a byte
]
CASES += [Case("avg_pool2d", (shape,), average, options) for shape, options in WAYS]
CASES += [
    Case("avg_pool2d", (shape,), average, options | more)
    for shape, options in WAYS[3:6]
    for more in ({"count_include_pad": False}, {"divisor_override": 5})
]
CASES += [
    Case("adaptive_avg_pool2d", (shape,), adaptive, {"output_size": size})
    for shape, size in [
        ((2, 3, 7, 5), 1),
        ((2, 3, 7, 5), (3, 2)),
        ((3, 7, 5), (None, 4)),
        ((2, 3, 5, 4), (7, 9)),
        ((2, 5, 6, 6), 3),
        ((1, 1, 1, 1), 2),
        ((4, 32, 16, 16), (1, None)),
        ((2, 17, 6, 8), (3, 2)),
    ]
]
