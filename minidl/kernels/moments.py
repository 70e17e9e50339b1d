"""The moments of a batch, channel by channel, and what they make of batch normalization: a map of the input.

The moments are taken down columns, in blocks of rows that fit the first-level cache: a block's mean first, then the
deviations from it, whose own sum repairs the mean's rounding. The blocks merge in float64, in order, by Chan's formula:
first those of a part of the rows, then the parts. So bits depend neither on chunks nor on threads, and mean 1e4 with
deviation 1 survives in float32.

A mean is kept as a number of the arrays' dtype, `center`, and a small float64 `remainder`: x - center is then exact
where it matters, and the remainder goes into the constant that is added last.

Where the channels are few, several rows side by side are walked as one wide row of at least WIDE columns; they merge at
the end of a part. Rows left over, too few for a wide one, are the last part's tail.

Source: Chan, Golub & LeVeque, "Algorithms for computing the sample variance" (1983), equation 2.1 and section 3.
"""

import functools
from typing import NamedTuple

import numpy as np
from numba import njit

from .lanes import LANES, narrow, root, widen
from .launch import InOut, Out, kernel
from .register_arithmetic import spread
from .registers import load, store

WIDE = 64  # columns of a wide row: enough for the loads of a block to come in whole pieces
BLOCK = 4096  # elements of a block: 16 KiB in float32, so that its second pass finds it in the first-level cache
PART = 1 << 15  # elements of a part at least
MOST_PARTS = 64


class Walk(NamedTuple):
    """How (rows, channels) are walked: a function of the shape alone."""

    width: int  # columns of a wide row, so many rows side by side that there are WIDE
    step: int  # wide rows of a block
    part: int  # wide rows of a part
    parts: int
    blocks: int  # the last with the rows left over
    sums: tuple[int, int, int]  # the shape of two sums of each column, part by part, the columns padded to whole lanes
    maps: tuple[int, int]  # the shape of two maps of an input of three numbers a column


@functools.lru_cache(1024)
def walk_of(rows: int, channels: int) -> Walk:
    """How a matrix of this shape is walked."""
    width = channels
    while 0 < width < WIDE:
        width *= 2
    wide = rows * channels // max(width, 1)
    step = max(16, min(256, BLOCK // max(width, 1)))
    blocks = max(PART // max(step * width, 1), -(-wide // (step * MOST_PARTS)), 1)
    padded, parts = -(-width // LANES) * LANES, max(1, -(-wide // (blocks * step)))
    every = -(-rows * channels // max(step * width, 1))
    return Walk(width, step, blocks * step, parts, every, (parts, 2, padded), (6, padded))


@kernel
def batch_moments(x, moments: Out, channels: int, width: int, step: int, part: int, low, high):
    """moments[p, 0] = each channel's mean over part p of the rows, moments[p, 1] = its sum of squared deviations."""
    wide, padded = len(x) // max(width, 1), moments.shape[2]
    for p in range(low, high):
        seen, end, at = 0, min(wide, (p + 1) * part), 2 * p * padded
        for c in range(0, 2 * padded, LANES):
            store(moments, at + c, LANES, spread(moments, np.float64(0), LANES))
        for first in range(p * part, end, step):
            rows = min(step, end - first)
            for c in range(0, width, LANES):
                if width - c >= LANES:
                    _merge_block(x, first * width + c, width, rows, LANES, moments, at + c, padded, seen)
                else:
                    _merge_block(x, first * width + c, width, rows, width - c, moments, at + c, padded, seen)
            seen += rows
        mean, deviation = moments[p, 0], moments[p, 1]
        seen = _fold_moments(mean, deviation, width, channels, seen)
        if p + 1 == len(moments):
            _merge_tail(x[wide * width :], channels, mean, deviation, seen)


@njit(forceinline=True)
def _merge_block(x, at, apart, rows, count, moments, column, padded, seen):
    """Merge the moments of a block's columns, as many as there are lanes, into those of the `seen` rows before it."""
    zero = spread(x, x.dtype.type(0), LANES)
    total, rest, squares = zero, zero, zero
    for i in range(rows):
        total = total + load(x, at + i * apart, count, LANES)
    pivot = total * spread(x, x.dtype.type(np.float64(1) / rows), LANES)
    for i in range(rows):
        deviation = load(x, at + i * apart, count, LANES) - pivot
        rest = rest + deviation
        squares = squares + deviation * deviation
    weight = np.float64(rows) / (seen + rows)
    lacking = widen(rest) * spread(moments, np.float64(1) / rows, LANES)
    mean, deviations = load(moments, column, LANES, LANES), load(moments, column + padded, LANES, LANES)
    away = widen(pivot) + lacking - mean
    own = widen(squares) - widen(rest) * lacking
    store(moments, column, LANES, mean + away * spread(moments, weight, LANES))
    store(moments, column + padded, LANES, deviations + own + away * away * spread(moments, seen * weight, LANES))


@njit
def _fold_moments(mean, deviation, width, channels, rows):
    """Merge the rows that lie side by side in a wide one, two halves at a time; answers how many rows that makes."""
    while width > channels:
        width //= 2
        m, s, right, own = mean[:width], deviation[:width], mean[width : 2 * width], deviation[width : 2 * width]
        pooled = np.float64(0.5) * rows
        for c in range(width):
            away = right[c] - m[c]
            m[c] += away * np.float64(0.5)
            s[c] += own[c] + away * away * pooled
        rows *= 2
    return rows


@njit
def _merge_tail(x, channels, mean, deviation, seen):
    """Merge row after row of `x` into the moments of `seen` rows."""
    for first in range(0, len(x), channels):
        row, weight = x[first : first + channels], np.float64(1) / (seen + 1)
        for c in range(len(row)):
            away = row[c] - mean[c]
            mean[c] += away * weight
            deviation[c] += away * away * (seen * weight)
        seen += 1


@njit(forceinline=True)
def _set_affine(affine, saved, c, count, width, mean, inverse, weight, bias):
    """y = (x - center) * scale + shift for the channels from c on, in each row of a wide one; saves for backward."""
    channels, padded = saved.shape[1], affine.shape[1]
    center = narrow(affine, mean)
    remainder, scale = mean - widen(center), weight * inverse
    store(saved, c, count, inverse)
    store(saved, channels + c, count, remainder)
    for at in range(c, width, channels):
        store(affine, at, count, center)
        store(affine, padded + at, count, narrow(affine, scale))
        store(affine, 2 * padded + at, count, narrow(affine, bias - remainder * scale))


@kernel
def batch_statistics(
    moments,
    weight,
    bias,
    running_mean: InOut,
    running_var: InOut,
    saved: Out,
    affine: Out,
    rows: int,
    part: int,
    width: int,
    momentum: float,
    eps: float,
    low,
    high,
):
    """Merge the parts' moments, all of `part` rows but the last, into `affine`, `saved` and the running statistics."""
    one, speed = spread(moments, np.float64(1), LANES), spread(moments, momentum, LANES)
    for c in range(low, high, LANES):
        count = min(LANES, high - c)
        mean, deviation = _merged(moments, c, count, rows, part)
        inverse = one / root(deviation / spread(moments, np.float64(rows), LANES) + spread(moments, eps, LANES))
        scale, shift = widen(load(weight, c, count, LANES)), widen(load(bias, c, count, LANES))
        _set_affine(affine, saved, c, count, width, mean, inverse, scale, shift)
        _follow(running_mean, c, count, speed, mean)
        _follow(running_var, c, count, speed, deviation / spread(moments, np.float64(rows - 1), LANES))


@njit(forceinline=True)
def _merged(moments, c, count, rows, part):
    """The mean and the sum of squared deviations of the channels from c on, over all parts."""
    padded, parts, seen = moments.shape[2], len(moments), 0
    mean = deviation = spread(moments, np.float64(0), LANES)
    for p in range(parts):
        more = part if p + 1 < parts else rows - seen
        share = np.float64(more) / (seen + more)
        away = load(moments, 2 * p * padded + c, count, LANES) - mean
        mean = mean + away * spread(moments, share, LANES)
        own = load(moments, (2 * p + 1) * padded + c, count, LANES)
        deviation = deviation + own + away * away * spread(moments, seen * share, LANES)
        seen += more
    return mean, deviation


@njit(forceinline=True)
def _follow(running, c, count, speed, new):
    kept = widen(load(running, c, count, LANES))
    store(running, c, count, narrow(running, kept + speed * (new - kept)))


@kernel
def fixed_statistics(
    weight, bias, running_mean, running_var, saved: Out, affine: Out, width: int, eps: float, low, high
):
    """Fill `affine` and `saved` from given statistics."""
    for c in range(low, high, LANES):
        count = min(LANES, high - c)
        variance = widen(load(running_var, c, count, LANES))
        inverse = spread(saved, np.float64(1), LANES) / root(variance + spread(saved, eps, LANES))
        mean, scale = widen(load(running_mean, c, count, LANES)), widen(load(weight, c, count, LANES))
        _set_affine(affine, saved, c, count, width, mean, inverse, scale, widen(load(bias, c, count, LANES)))
