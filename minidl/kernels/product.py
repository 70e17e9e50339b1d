"""Sums of products over a table of jobs: matrix products and convolutions are this one kernel with other tables.

A job is a grid of rows, each a sum over the same steps: `outer` times `inner` times `rows`, the last cut into tiles.
Where a row begins in each operand is a start plus a stride for each of the three; where its terms lie, the two tables
of steps say. Jobs are run for every block (of rows, of images, of terms), group (of channels) and panel (of columns).
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from .launch import kernel
from .simd import ROWS, tile, turn

CHAIN = 256  # terms summed in a register before they are added up: longer chains round worse


class Job(NamedTuple):
    """A grid of rows of `columns` columns that sum over the same steps; starts and strides count elements."""

    rows: int
    columns: int
    first: int  # of the steps
    terms: int
    a: int = 0
    a_row: int = 0
    b: int = 0
    c: int = 0
    c_row: int = 0
    outer: int = 1
    a_outer: int = 0
    b_outer: int = 0
    c_outer: int = 0
    inner: int = 1
    a_inner: int = 0
    c_inner: int = 0
    mode: int = 0  # WRITE, ADD or SUM_OUTER
    left: int = 0  # the first column; the right operand is read from where column 0 would lie


WRITE, ADD, SUM_OUTER = (
    0,
    1,
    2,
)  # to c; to what is in c; c is written by the first of `outer` and added to by the others


class Grid(NamedTuple):
    """How far blocks, groups and panels lie apart; the last block may have jobs of its own."""

    blocks: int = 1
    groups: int = 1
    panels: int = 1
    jobs: int = 1  # of every block but the last, whose jobs follow in the table
    width: int = 0  # columns of a panel
    a_block: int = 0
    b_block: int = 0
    c_block: int = 0
    a_group: int = 0
    b_group: int = 0
    c_group: int = 0
    b_panel: int = 0


_NOTHING = {np.dtype(t): np.empty(0, t) for t in (np.float32, np.float64)}


def nothing(dtype: np.dtype) -> np.ndarray:
    """The bias of a product without one."""
    return _NOTHING[dtype]


def table(jobs: list[Job]) -> np.ndarray:
    """The jobs as the kernel reads them."""
    return np.array(jobs, np.int64).reshape(len(jobs), len(Job._fields))


@njit
def _run(job, columns, a, b, bias, c, a_steps, b_steps, at):
    """One job, for the columns of one panel."""
    rows, first, count, a_row, c_row = job[0], job[2], job[3], job[5], job[8]
    outer, a_outer, b_outer, c_outer = job[9], job[10], job[11], job[12]
    inner, a_inner, c_inner, mode = job[13], job[14], job[15], job[16]
    a_at, b_at, c_at, column = at[0] + job[4], at[1] + job[6], at[2] + job[7], at[3]
    tiles = (rows + ROWS - 1) // ROWS
    for step in range(first, first + max(count, 1), CHAIN):
        n = min(CHAIN, first + count - step)
        for i in range(outer):
            add = step > first or mode == ADD or (mode == SUM_OUTER and i > 0)
            biased = not add and len(bias) > 0
            base = bias if biased else c
            for j in range(inner):
                left, to, right = a_at + i * a_outer + j * a_inner, c_at + i * c_outer + j * c_inner, b_at + i * b_outer
                for t in range(tiles):  # of nearly equal heights
                    r = rows * t // tiles
                    height, at, here = rows * (t + 1) // tiles - r, left + r * a_row, to + r * c_row
                    under, apart = column if biased else here, 0 if biased else c_row
                    add = add or biased
                    tile(
                        height,
                        columns,
                        a,
                        at,
                        a_row,
                        a_steps,
                        b,
                        right,
                        b_steps,
                        step,
                        n,
                        c,
                        here,
                        c_row,
                        base,
                        under,
                        apart,
                        add,
                    )


@kernel
def multiply(a, b, bias, c, a_steps, b_steps, jobs, grid, low, high):
    """c = a @ b by the jobs, for the items (block, group, panel); `bias`, if it is not empty, is added to every row."""
    groups, panels, many, width = grid[1], grid[2], grid[3], grid[4]
    for item in range(low, high):
        panel, group, block = item % panels, item // panels % groups, item // (panels * groups)
        from_, to = (0, many) if block < grid[0] - 1 else (many, len(jobs))
        a_at, b_at = block * grid[5] + group * grid[8], block * grid[6] + group * grid[9] + panel * grid[11]
        column = group * grid[10] + panel * width
        c_at = block * grid[7] + column
        for j in range(from_, to):
            left = max(jobs[j, 17] - panel * width, 0)
            columns = min(width, jobs[j, 17] + jobs[j, 1] - panel * width) - left
            if columns > 0:
                at = a_at, b_at + left, c_at + left, column + left
                _run(jobs[j], columns, a, b, bias, c, a_steps, b_steps, at)


@kernel
def sum_blocks(partial, out, low, high):
    """out[i] = sum over blocks b of partial[b, i], in order."""
    out = out[low:high]
    for i in range(len(out)):
        out[i] = 0
    for b in range(len(partial)):
        part = partial[b, low:high]
        for i in range(len(out)):
            out[i] += part[i]


@kernel
def panels_of_rows(x, y, low, high):
    """y[p, k, j] = x[k, p * width + j]: panels of columns, one after the other; the last one's rest is left alone."""
    width = y.shape[2]
    for p in range(low, high):
        left, right = p * width, min(x.shape[1], (p + 1) * width)
        for k in range(len(x)):
            row, out = x[k, left:right], y[p, k]
            for j in range(len(row)):
                out[j] = row[j]


@kernel
def panels_of_columns(x, y, rows: int, lanes: int, low, high):
    """y[(g, p), k, j] = x[g * rows + p * width + j, k]: the same of each group of `rows` rows of x, turned."""
    width, source, target = y.shape[2], x.reshape(x.size), y.reshape(y.size)
    panels, columns = (rows + width - 1) // width, x.shape[1]
    for item in range(low, high):
        group, p = item // panels, item % panels
        start, end = group * rows + p * width, group * rows + min(rows, (p + 1) * width)
        for r in range(start, end, lanes):
            at = item * columns * width + r - start
            for c in range(0, columns, lanes):
                high_r, high_c = min(lanes, end - r), min(lanes, columns - c)
                turn(source, r * columns + c, columns, high_r, high_c, target, at + c * width, width)
