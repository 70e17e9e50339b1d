"""Sums along a row, in an order fixed in the source, so that they have the same bits on every machine.

A plain loop over one accumulator cannot be vectorised without changing the order of the sum; the lanes of a register
are so many interleaved partial sums, and err less.
"""

import numpy as np

from .inner import inner
from .lanes import LANES, lane_sum, lane_top, narrow, widen
from .launch import Out, kernel, launch
from .register_arithmetic import less, select, spread
from .registers import load, store

BLOCK_ROWS = 256  # rows summed in the arrays' own dtype before float64 takes over


@inner
def total(x):
    """Sum of a 1-D array, over as many interleaved partial sums as there are lanes."""
    end, sums = len(x) - len(x) % LANES, spread(x, 0, LANES)
    for at in range(0, end, LANES):
        sums = sums + load(x, at, LANES, LANES)
    return lane_sum(sums + load(x, end, len(x) - end, LANES))


@inner
def dot(x, y):
    """Sum of products of two 1-D arrays of one length, over as many interleaved partial sums as there are lanes."""
    end, sums = len(x) - len(x) % LANES, spread(x, 0, LANES)
    for at in range(0, end, LANES):
        sums = sums + load(x, at, LANES, LANES) * load(y, at, LANES, LANES)
    return lane_sum(sums + load(x, end, len(x) - end, LANES) * load(y, end, len(x) - end, LANES))


@inner
def largest(x):
    """The largest entry of a 1-D array that is not NaN; -inf if there is none."""
    end, top = len(x) - len(x) % LANES, spread(x, -np.inf, LANES)
    for at in range(0, end, LANES):
        entries = load(x, at, LANES, LANES)
        top = select(less(top, entries), entries, top)
    result = lane_top(top)
    for at in range(end, len(x)):
        result = x[at] if x[at] > result else result
    return result


@kernel
def column_sums(x, partial: Out, low, high):
    """partial[b, c] = sum over the rows of block b of x[row, c]."""
    for b in range(low, high):
        block, sums = x[b * BLOCK_ROWS : min(len(x), (b + 1) * BLOCK_ROWS)], partial[b]
        for c in range(len(sums)):
            sums[c] = 0
        for r in range(len(block)):
            row = block[r]
            for c in range(len(sums)):
                sums[c] += row[c]


@kernel
def merge_columns(partial, out: Out, low, high):
    """out[c] = sum over blocks b of partial[b, c], in order, in float64; the range is over groups of LANES columns."""
    columns = partial.shape[1]
    for group in range(low, high):
        at = group * LANES
        sums = widen(spread(partial, 0, LANES))
        for b in range(len(partial)):
            sums = sums + widen(load(partial, b * columns + at, columns - at, LANES))
        store(out, at, columns - at, narrow(out, sums))


def merge(partial: np.ndarray, out: np.ndarray) -> None:
    """The sum of each column, in order."""
    launch(merge_columns, -(-partial.shape[1] // LANES), partial, out, work=partial.size)
