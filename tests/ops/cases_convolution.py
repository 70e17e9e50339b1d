"""Cases for convolution."""

import numpy as np

from tests.ops.case import Case


def both(option):
    return option if isinstance(option, tuple) else (option, option)


def padded(x, padding, kernel, dilation):
    """The images with their zeros around them."""
    before = after = both(padding) if padding != "valid" else (0, 0)
    if padding == "same":
        total = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
        before = [t // 2 for t in total]
        after = [t - b for t, b in zip(total, before, strict=True)]
    out = np.zeros((*x.shape[:2], *(s + b + a for s, b, a in zip(x.shape[2:], before, after, strict=True))))
    out[:, :, before[0] : before[0] + x.shape[2], before[1] : before[1] + x.shape[3]] = x
    return out


def convolution(x, weight, bias=None, *, stride=1, padding=0, dilation=1, groups=1):
    """The sum that the docstring states, one output pixel of one channel at a time."""
    if x.ndim == 3:
        options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
        return convolution(x[None], weight, bias, **options)[0]
    (sy, sx), (dy, dx) = both(stride), both(dilation)
    outputs, inputs, kh, kw = weight.shape
    x = padded(x, padding, (kh, kw), (dy, dx))
    height = (x.shape[2] - dy * (kh - 1) - 1) // sy + 1
    width = (x.shape[3] - dx * (kw - 1) - 1) // sx + 1
    y = np.zeros((len(x), outputs, height, width))
    for o in range(outputs):
        first = o // (outputs // groups) * inputs
        for oy in range(height):
            for ox in range(width):
                rows = slice(oy * sy, oy * sy + dy * (kh - 1) + 1, dy)
                columns = slice(ox * sx, ox * sx + dx * (kw - 1) + 1, dx)
                seen = x[:, first : first + inputs, rows, columns]
                y[:, o, oy, ox] = (seen * weight[o]).sum((1, 2, 3)) + (0 if bias is None else bias[o])
    return y


def case(x, weight, bias=True, **options):
    return Case("conv2d", (x, weight, weight[:1] if bias else None), convolution, options)


CASES = [
    case((2, 3, 5, 7), (4, 3, 3, 3)),
    case((2, 3, 5, 7), (4, 3, 3, 3), padding=1),
    case((1, 1, 1, 1), (1, 1, 1, 1)),
    case((3, 5, 7, 3), (2, 5, 7, 3), bias=False),
    case((2, 3, 7, 5), (5, 3, 1, 1)),
    case((2, 3, 7, 5), (5, 3, 1, 1), stride=2, padding=1),
    case((2, 3, 11, 7), (2, 3, 5, 2), stride=(3, 2), padding=(2, 3)),
    case((2, 2, 11, 13), (3, 2, 3, 2), stride=2, padding=(4, 1), dilation=(3, 2)),
    case((5, 1, 7, 7), (4, 1, 3, 3), padding="valid"),
    case((2, 3, 6, 5), (3, 3, 4, 2), padding="same"),
    case((2, 3, 6, 5), (3, 3, 2, 3), padding="same", dilation=(3, 2), bias=False),
    case((6, 5, 7), (4, 3, 3, 3), groups=2, padding=1),
    case((3, 6, 7), (4, 3, 3, 3)),
    case((2, 6, 5, 4), (9, 2, 3, 2), groups=3, stride=(1, 2), padding=1),
    case((2, 4, 5, 3), (6, 2, 1, 1), groups=2),
    case((2, 5, 6, 7), (5, 1, 3, 3), groups=5, padding=1),
    case((2, 3, 7, 6), (6, 1, 3, 2), groups=3, stride=2, padding=(1, 0), dilation=(2, 1), bias=False),
    case((3, 4, 5, 5), (4, 1, 1, 1), groups=4),
    case((5, 8, 20, 20), (2, 8, 3, 3), padding=1),  # two blocks of images, of 4 and 1
    case((3, 32, 16, 16), (3, 32, 4, 4), padding=1),  # an image a block
    case((58, 16, 6, 6), (16, 16, 3, 3), padding=1),  # by tiles, of which there are enough for the weight's gradient
    case((2, 3, 2, 3), (4, 3, 5, 5), padding=2),  # no window lies inside the image
    case((2, 3, 2, 2), (6, 1, 3, 5), padding=2, groups=3),
]
