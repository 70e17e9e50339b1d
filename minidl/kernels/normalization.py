"""Batch normalization over a matrix of rows, forward and backward, once its statistics are known (`moments.py`).

A ReLU that follows takes no pass of its own: forward writes max(y, 0), backward has y's sign from x again.
"""

import numpy as np
from numba import njit

from .lanes import LANES, narrow, settle, stream, widen
from .launch import InOut, Out, kernel
from .register_arithmetic import at_most, less, select, spread
from .registers import load, store

STREAM_FROM = 8 << 20  # bytes of an output that is stored past the caches, which could not hold it until it is read


@njit(forceinline=True)
def _put(y, at, count, value, streamed):
    if streamed and count == LANES:
        stream(y, at, value)
    else:
        store(y, at, count, value)


@kernel
def normalize(x, affine, y: Out, width: int, step: int, rectified: int, streamed: int, low, high):
    """y = (x - center) * scale + shift, where x * scale + shift would cancel; max(y, 0) if `rectified`.

    The range counts blocks of `step` wide rows; in the last one a row may not be whole.
    """
    for b in range(low, high):
        first, end = b * step * width, min(len(x), (b + 1) * step * width)
        rows, rest = (end - first) // width, (end - first) % width
        for c in range(0, width, LANES):
            if width - c >= LANES:
                _normalize(x, first + c, width, rows, LANES, affine, c, y, rectified, streamed)
            else:
                _normalize(x, first + c, width, rows, width - c, affine, c, y, rectified, streamed)
        for c in range(0, rest, LANES):
            _normalize(x, end - rest + c, width, 1, min(LANES, rest - c), affine, c, y, rectified, streamed)
    if streamed:
        settle()


@njit(forceinline=True)
def _normalize(x, at, apart, rows, count, affine, c, y, rectified, streamed):
    padded = affine.shape[1]
    center, scale, shift = (
        load(affine, c, LANES, LANES),
        load(affine, padded + c, LANES, LANES),
        load(affine, 2 * padded + c, LANES, LANES),
    )
    zero = spread(x, 0, LANES)
    for i in range(at, at + rows * apart, apart):
        value = (load(x, i, count, LANES) - center) * scale + shift
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
        for c in range(0, 2 * padded, LANES):
            store(sums, at + c, LANES, spread(sums, np.float64(0), LANES))
        for first in range(p * part, end, step):
            rows = min(step, end - first)
            for c in range(0, width, LANES):
                if width - c >= LANES:
                    _add_sums(x, dy, first * width + c, width, rows, LANES, affine, c, sums, at + c, rectified)
                else:
                    _add_sums(x, dy, first * width + c, width, rows, width - c, affine, c, sums, at + c, rectified)
        rest = len(x) - wide * width if p + 1 == len(sums) else 0
        for c in range(0, rest, LANES):
            _add_sums(x, dy, wide * width + c, width, 1, min(LANES, rest - c), affine, c, sums, at + c, rectified)
        half = width
        while half > channels:
            half //= 2
            for k in range(2):
                left, right = sums[p, k, :half], sums[p, k, half : 2 * half]
                for c in range(half):
                    left[c] += right[c]


@njit(forceinline=True)
def _add_sums(x, dy, at, apart, rows, count, affine, c, sums, column, rectified):
    padded = affine.shape[1]
    center, scale, shift = (
        load(affine, c, LANES, LANES),
        load(affine, padded + c, LANES, LANES),
        load(affine, 2 * padded + c, LANES, LANES),
    )
    s = d = zero = spread(x, 0, LANES)
    for i in range(at, at + rows * apart, apart):
        g, deviation = load(dy, i, count, LANES), load(x, i, count, LANES) - center
        if rectified:
            g = select(at_most(deviation * scale + shift, zero), zero, g)
        s = s + g
        d = d + g * deviation
    store(sums, column, LANES, load(sums, column, LANES, LANES) + widen(s))
    store(sums, column + padded, LANES, load(sums, column + padded, LANES, LANES) + widen(d))


@kernel
def batch_gradients(
    sums, weight, saved, dweight: Out, dbias: Out, affine: InOut, rows: int, width: int, training: int, low, high
):
    """The parameters' gradients and the last three of `affine`, from the parts' sums of g and of g * (x - center).

    dx = affine[4] g + affine[3] (x - center) + affine[5]; with fixed statistics affine[3] and affine[5] are 0.
    """
    channels, padded, zero = len(weight), sums.shape[2], spread(sums, np.float64(0), LANES)
    for c in range(low, high, LANES):
        count, s, d = min(LANES, high - c), zero, zero
        for p in range(len(sums)):
            s = s + load(sums, 2 * p * padded + c, count, LANES)
            d = d + load(sums, (2 * p + 1) * padded + c, count, LANES)
        inverse, remainder = load(saved, c, count, LANES), load(saved, channels + c, count, LANES)
        d = d - remainder * s
        store(dbias, c, count, narrow(affine, s))
        store(dweight, c, count, narrow(affine, d * inverse))
        scale = widen(load(weight, c, count, LANES)) * inverse
        slope, constant = zero, zero
        if training:
            share = spread(sums, np.float64(1) / rows, LANES)
            slope = zero - scale * inverse * inverse * d * share
            constant = zero - scale * s * share - slope * remainder
        for at in range(c, width, channels):
            store(affine, 3 * padded + at, count, narrow(affine, slope))
            store(affine, 4 * padded + at, count, narrow(affine, scale))
            store(affine, 5 * padded + at, count, narrow(affine, constant))


@kernel
def batch_input_gradient(
    x, dy, affine, dx: Out, width: int, step: int, rectified: int, training: int, streamed: int, low, high
):
    """dx = affine[4] g + affine[3] (x - center) + affine[5], of which only the first in evaluation; blocks as above."""
    for b in range(low, high):
        first, end = b * step * width, min(len(x), (b + 1) * step * width)
        rows, rest = (end - first) // width, (end - first) % width
        for c in range(0, width, LANES):
            if width - c >= LANES:
                _input_gradient(x, dy, first + c, width, rows, LANES, affine, c, dx, rectified, training, streamed)
            else:
                _input_gradient(x, dy, first + c, width, rows, width - c, affine, c, dx, rectified, training, streamed)
        for c in range(0, rest, LANES):
            count = min(LANES, rest - c)
            _input_gradient(x, dy, end - rest + c, width, 1, count, affine, c, dx, rectified, training, streamed)
    if streamed:
        settle()


@njit(forceinline=True)
def _input_gradient(x, dy, at, apart, rows, count, affine, c, dx, rectified, training, streamed):
    padded = affine.shape[1]
    center, scale, shift = (
        load(affine, c, LANES, LANES),
        load(affine, padded + c, LANES, LANES),
        load(affine, 2 * padded + c, LANES, LANES),
    )
    slope, own, constant = (
        load(affine, 3 * padded + c, LANES, LANES),
        load(affine, 4 * padded + c, LANES, LANES),
        load(affine, 5 * padded + c, LANES, LANES),
    )
    zero = spread(x, 0, LANES)
    for i in range(at, at + rows * apart, apart):
        g, deviation = load(dy, i, count, LANES), load(x, i, count, LANES) - center
        if rectified:
            g = select(at_most(deviation * scale + shift, zero), zero, g)
        value = own * g
        if training:
            value = value + (slope * deviation + constant)
        _put(dx, i, count, value, streamed)
