"""The moments of a batch, channel by channel.

They are taken down columns, in one pass over blocks of rows: sums of the deviations from a pivot and of their squares.
The blocks merge in float64, in order, by Chan's formula: first those of a part of the rows, then the parts. So bits
depend neither on chunks nor on threads. The pivot is the mean of the part's rows before the block, for its first block
that of a few rows. Where a block lies far from it, by D, the squares lose about D^2 units in the last place a row;
but then the part's variance is itself about D^2. So mean 1e4 with deviation 1 survives in float32.

Where the channels are few, several rows side by side are walked as one wide row of at least WIDE columns; they merge at
the end of a part. Rows left over, too few for a wide one, are the last part's tail.

Source: Chan, Golub & LeVeque, "Algorithms for computing the sample variance" (1983), equation 2.1 and section 3.
"""

import functools
from typing import NamedTuple

import numpy as np

from .inner import inner
from .lanes import SPAN, narrow, widen
from .launch import Out, kernel
from .register_arithmetic import fma, spread
from .registers import load, store

WIDE = 64  # columns of a wide row: enough for the loads of a block to come in whole pieces
BLOCK = 1 << 14  # elements of a block at most: so many that merging it costs little beside its sums
TOGETHER = 64  # rows of a block where columns are walked apart from the others, each merging only its own
PART = 1 << 15  # elements of a part at least
MOST_PARTS = 64
# Rows so few that SPAN columns of them stay in the caches, and so few from MANY channels on, of which every thread gets
# some: see `columns.py`.
FEW, FEW_OF_MANY, MANY = 512, 2048, 512
NEAR = 16  # rows whose mean is the first pivot


class Walk(NamedTuple):
    """How (rows, channels) are walked: a function of the shape alone."""

    width: int  # columns of a wide row, so many rows side by side that there are WIDE
    step: int  # wide rows of a block
    part: int  # wide rows of a part
    parts: int
    blocks: int  # the last with the rows left over
    sums: tuple[int, int, int]  # the shape of two sums of each column, part by part, the columns padded to whole lanes
    maps: tuple[int, int]  # the shape of two maps of an input of three numbers a column
    groups: int  # of SPAN channels, where the rows are so few that each group is done at once; else 0


@functools.lru_cache(1024)
def walk_of(rows: int, channels: int) -> Walk:
    """How a matrix of this shape is walked."""
    width = channels
    while 0 < width < WIDE:
        width *= 2
    wide = rows * channels // max(width, 1)
    step = max(16, min(256, BLOCK // max(width, 1)))
    blocks = max(PART // max(step * width, 1), -(-wide // (step * MOST_PARTS)), 1)
    padded, parts = -(-width // SPAN) * SPAN, max(1, -(-wide // (blocks * step)))
    every = -(-rows * channels // max(step * width, 1))
    groups = -(-channels // SPAN) if rows <= (FEW if channels < MANY else FEW_OF_MANY) else 0
    return Walk(width, step, blocks * step, parts, every, (parts, 2, padded), (6, padded), groups)


@kernel
def batch_moments(x, moments: Out, channels: int, width: int, step: int, part: int, low, high):
    """moments[p, 0] = each channel's mean over part p of the rows, moments[p, 1] = its sum of squared deviations."""
    wide, padded = len(x) // max(width, 1), moments.shape[2]
    for p in range(low, high):
        seen, end, at = 0, min(wide, (p + 1) * part), 2 * p * padded
        for c in range(0, padded, SPAN):
            clear(moments, at + c, padded)
        for first in range(p * part, end, step):
            rows = min(step, end - first)
            for c in range(0, width, SPAN):
                if width - c >= SPAN:
                    merge_block(x, first * width + c, width, rows, SPAN, moments, at + c, padded, seen)
                else:
                    merge_block(x, first * width + c, width, rows, width - c, moments, at + c, padded, seen)
            seen += rows
        mean, deviation = moments[p, 0], moments[p, 1]
        seen = _fold_moments(mean, deviation, width, channels, seen)
        if p + 1 == len(moments):
            _merge_tail(x[wide * width :], channels, mean, deviation, seen)


@inner(forceinline=True)
def clear(sums, column, padded):
    """Two sums of each column from one on = 0."""
    zero = spread(sums, np.float64(0), SPAN)
    store(sums, column, SPAN, zero)
    store(sums, column + padded, SPAN, zero)


@inner(forceinline=True)
def merge_block(x, at, apart, rows, count, moments, column, padded, seen):
    """Merge the moments of a block's columns, as many as there are lanes, into those of the `seen` rows before it."""
    pivot = _pivot(x, at, apart, rows, count, moments, column, seen)
    total = squares = spread(x, x.dtype.type(0), SPAN)
    for i in range(at, at + rows * apart, apart):
        deviation = load(x, i, count, SPAN) - pivot
        total = total + deviation
        squares = fma(deviation, deviation, squares)
    _merge(pivot, total, squares, moments, column, padded, rows, seen)


@inner(forceinline=True)
def _merge(pivot, total, squares, moments, column, padded, rows, seen):
    mean, deviations = load(moments, column, SPAN, SPAN), load(moments, column + padded, SPAN, SPAN)
    weight, total = np.float64(rows) / (seen + rows), widen(total)
    lacking = total * spread(moments, np.float64(1) / rows, SPAN)
    away, own = widen(pivot) + lacking - mean, widen(squares) - total * lacking
    store(moments, column, SPAN, mean + away * spread(moments, weight, SPAN))
    store(moments, column + padded, SPAN, deviations + own + away * away * spread(moments, seen * weight, SPAN))


@inner(forceinline=True)
def _pivot(x, at, apart, rows, count, moments, column, seen):
    if seen > 0:
        return narrow(x, load(moments, column, SPAN, SPAN))
    return _near(x, at, apart, min(rows, NEAR), count)


@inner(forceinline=True)
def _near(x, at, apart, rows, count):
    """The mean of a few rows."""
    total = spread(x, x.dtype.type(0), SPAN)
    for i in range(at, at + rows * apart, apart):
        total = total + load(x, i, count, SPAN)
    return total * spread(x, x.dtype.type(np.float64(1) / rows), SPAN)


@inner
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


@inner
def _merge_tail(x, channels, mean, deviation, seen):
    """Merge row after row of `x` into the moments of `seen` rows."""
    for first in range(0, len(x), channels):
        row, weight = x[first : first + channels], np.float64(1) / (seen + 1)
        for c in range(len(row)):
            away = row[c] - mean[c]
            mean[c] += away * weight
            deviation[c] += away * away * (seen * weight)
        seen += 1
