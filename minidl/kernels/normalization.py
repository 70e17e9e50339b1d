"""Batch normalization over a matrix of rows, forward and backward, once its statistics are known (`moments.py`).

A ReLU that follows takes no pass of its own: forward writes max(y, 0), backward has y's sign from x again.
"""

from .inner import inner
from .lanes import SPAN, settle, stream, widen
from .launch import InOut, Out, kernel
from .moments import clear
from .register_arithmetic import at_most, less, select, spread
from .registers import load, store
from .statistics import count_batch

STREAM_FROM = 8 << 20  # bytes of an output that is stored past the caches, which could not hold it until it is read


@inner(forceinline=True)
def _put(y, at, count, value, streamed):
    if streamed and count == SPAN:
        stream(y, at, value)
    else:
        store(y, at, count, value)


@kernel
def normalize(x, affine, tracked: InOut, y: Out, width: int, step: int, rectified: int, streamed: int, low, high):
    """y = (x - center) * scale + shift, where x * scale + shift would cancel; max(y, 0) if `rectified`; tracked += 1.

    The range counts blocks of `step` wide rows; in the last one a row may not be whole.
    """
    count_batch(tracked, low, high)
    for b in range(low, high):
        first, end = b * step * width, min(len(x), (b + 1) * step * width)
        rows, rest = (end - first) // width, (end - first) % width
        for c in range(0, width, SPAN):
            if width - c >= SPAN:
                normalize_columns(x, first + c, width, rows, SPAN, affine, c, y, rectified, streamed)
            else:
                normalize_columns(x, first + c, width, rows, width - c, affine, c, y, rectified, streamed)
        for c in range(0, rest, SPAN):
            normalize_columns(x, end - rest + c, width, 1, min(SPAN, rest - c), affine, c, y, rectified, streamed)
    if streamed:
        settle()


@inner(forceinline=True)
def normalize_columns(x, at, apart, rows, count, affine, c, y, rectified, streamed):
    padded = affine.shape[1]
    center, scale, shift = (
        load(affine, c, SPAN, SPAN),
        load(affine, padded + c, SPAN, SPAN),
        load(affine, 2 * padded + c, SPAN, SPAN),
    )
    zero = spread(x, 0, SPAN)
    for i in range(at, at + rows * apart, apart):
        value = (load(x, i, count, SPAN) - center) * scale + shift
        if rectified:
            value = select(less(value, zero), zero, value)
        _put(y, i, count, value, streamed)


@kernel
def batch_gradient_sums(
    x, dy, affine, sums: Out, channels: int, width: int, step: int, part: int, rectified: int, low, high
):
    """sums[p, 0] = sum(g), sums[p, 1] = sum(g * (x - center)) over part p of the rows, for each channel.

    g is dy, but 0 where `rectified` and y was at most 0.
    """
    wide, padded = len(x) // max(width, 1), affine.shape[1]
    for p in range(low, high):
        end, at = min(wide, (p + 1) * part), 2 * p * padded
        for c in range(0, padded, SPAN):
            clear(sums, at + c, padded)
        for first in range(p * part, end, step):
            rows = min(step, end - first)
            for c in range(0, width, SPAN):
                if width - c >= SPAN:
                    add_sums(x, dy, first * width + c, width, rows, SPAN, affine, c, sums, at + c, rectified)
                else:
                    add_sums(x, dy, first * width + c, width, rows, width - c, affine, c, sums, at + c, rectified)
        rest = len(x) - wide * width if p + 1 == len(sums) else 0
        for c in range(0, rest, SPAN):
            add_sums(x, dy, wide * width + c, width, 1, min(SPAN, rest - c), affine, c, sums, at + c, rectified)
        half = width
        while half > channels:
            half //= 2
            for k in range(2):
                left, right = sums[p, k, :half], sums[p, k, half : 2 * half]
                for c in range(half):
                    left[c] += right[c]


@inner(forceinline=True)
def add_sums(x, dy, at, apart, rows, count, affine, c, sums, column, rectified):
    padded = affine.shape[1]
    center, scale, shift = (
        load(affine, c, SPAN, SPAN),
        load(affine, padded + c, SPAN, SPAN),
        load(affine, 2 * padded + c, SPAN, SPAN),
    )
    s = d = zero = spread(x, 0, SPAN)
    for i in range(at, at + rows * apart, apart):
        g, deviation = load(dy, i, count, SPAN), load(x, i, count, SPAN) - center
        if rectified:
            g = select(at_most(deviation * scale + shift, zero), zero, g)
        s = s + g
        d = d + g * deviation
    store(sums, column, SPAN, load(sums, column, SPAN, SPAN) + widen(s))
    store(sums, column + padded, SPAN, load(sums, column + padded, SPAN, SPAN) + widen(d))


@kernel
def batch_input_gradient(
    x, dy, affine, dx: Out, width: int, step: int, rectified: int, training: int, streamed: int, low, high
):
    """dx = affine[4] g + affine[3] (x - center) + affine[5], of which only the first in evaluation; blocks as above."""
    for b in range(low, high):
        first, end = b * step * width, min(len(x), (b + 1) * step * width)
        rows, rest = (end - first) // width, (end - first) % width
        for c in range(0, width, SPAN):
            if width - c >= SPAN:
                input_gradient(x, dy, first + c, width, rows, SPAN, affine, c, dx, rectified, training, streamed)
            else:
                input_gradient(x, dy, first + c, width, rows, width - c, affine, c, dx, rectified, training, streamed)
        for c in range(0, rest, SPAN):
            count = min(SPAN, rest - c)
            input_gradient(x, dy, end - rest + c, width, 1, count, affine, c, dx, rectified, training, streamed)
    if streamed:
        settle()


@inner(forceinline=True)
def input_gradient(x, dy, at, apart, rows, count, affine, c, dx, rectified, training, streamed):
    padded = affine.shape[1]
    center, scale, shift = (
        load(affine, c, SPAN, SPAN),
        load(affine, padded + c, SPAN, SPAN),
        load(affine, 2 * padded + c, SPAN, SPAN),
    )
    slope, own, constant = (
        load(affine, 3 * padded + c, SPAN, SPAN),
        load(affine, 4 * padded + c, SPAN, SPAN),
        load(affine, 5 * padded + c, SPAN, SPAN),
    )
    zero = spread(x, 0, SPAN)
    for i in range(at, at + rows * apart, apart):
        g, deviation = load(dy, i, count, SPAN), load(x, i, count, SPAN) - center
        if rectified:
            g = select(at_most(deviation * scale + shift, zero), zero, g)
        value = own * g
        if training:
            value = value + (slope * deviation + constant)
        _put(dx, i, count, value, streamed)
