"""Sums of products over a table of jobs: matrix products and convolutions are this one kernel with other tables.

A job is a grid of rows, each a sum over the same steps: `outer` times `inner` times `rows`, the last cut into tiles.
Where a row begins in each operand is a start plus a stride for each of the three; where its terms lie, the two tables
of steps say. Jobs are run for every block (of rows, of images, of terms), group (of channels) and panel (of columns).
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numba import njit

from .launch import Kernel, kernel
from .simd import ROWS, make_tile, turn

CHAIN = 256  # terms summed in a register before they are added up: longer chains round worse


class Job(NamedTuple):
    """A grid of rows of `columns` columns that sum over the same terms; starts and strides count elements."""

    rows: int
    columns: int
    first: int  # of the runs
    runs: int
    run: int  # terms of a run
    a_step: int = 0
    b_step: int = 0
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
    left: int = 0  # the first column; the right operand is read from where column 0 would lie
    mode: int = 0  # WRITE, ADD or SUM_OUTER


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
    a_panel: int = 0
    b_panel: int = 0


_NOTHING = {np.dtype(t): np.empty(0, t) for t in (np.float32, np.float64)}


def nothing(dtype: np.dtype) -> np.ndarray:
    """The bias of a product without one."""
    return _NOTHING[dtype]


def table(jobs: list[Job]) -> np.ndarray:
    """The jobs as the kernel reads them."""
    return np.array(jobs, np.int64).reshape(len(jobs), len(Job._fields))


def _worker(tile: Callable[..., None]) -> Callable[..., None]:
    """Run one job for one block, group and panel, whose places in a, b, c and the bias are `at`."""

    @njit
    def work(job, columns, a, b, bias, c, a_runs, b_runs, at):
        rows, first, runs, run = job[0], job[2], job[3], job[4]
        outer, inner, mode, c_row, column = job[12], job[16], job[20], job[11], at[3]
        tiles, together = (rows + ROWS - 1) // ROWS, max(1, CHAIN // max(run, 1))
        for i in range(first, first + max(runs, 1), together):
            terms = i, min(together, first + runs - i), run
            for o in range(outer):
                add = i > first or mode == ADD or (mode == SUM_OUTER and o > 0)
                biased = not add and len(bias) > 0
                base, add = bias if biased else c, add or biased
                right = at[1] + job[9] + o * job[14], job[6]
                for j in range(inner):
                    left = at[0] + job[7] + o * job[13] + j * job[17]
                    to = at[2] + job[10] + o * job[15] + j * job[18]
                    for t in range(tiles):  # of nearly equal heights
                        r = rows * t // tiles
                        size, from_ = (rows * (t + 1) // tiles - r, columns), (left + r * job[8], job[8], job[5])
                        here = to + r * c_row, c_row
                        under = (column, 0) if biased else here
                        tile(size, a, from_, b, right, a_runs, b_runs, terms, c, here, base, under, add)

    return work


def _kernel(name: str, tile: Callable[..., None], says: str) -> Kernel:
    """The kernel that runs jobs by one sort of tile."""
    work = _worker(tile)

    def multiply(a, b, bias, c, a_runs, b_runs, jobs, grid, low, high):
        groups, panels, many, width = grid[1], grid[2], grid[3], grid[4]
        for item in range(low, high):
            panel, group, block = item % panels, item // panels % groups, item // (panels * groups)
            from_, to = (0, many) if block < grid[0] - 1 else (many, len(jobs))
            a_at = block * grid[5] + group * grid[8] + panel * grid[11]
            b_at = block * grid[6] + group * grid[9] + panel * grid[12]
            column = group * grid[10] + panel * width
            c_at = block * grid[7] + column
            for j in range(from_, to):
                left = max(jobs[j, 19] - panel * width, 0)
                columns = min(width, jobs[j, 19] + jobs[j, 1] - panel * width) - left
                if columns > 0:
                    at = a_at, b_at + left, c_at + left, column + left
                    work(jobs[j], columns, a, b, bias, c, a_runs, b_runs, at)

    multiply.__name__, multiply.__doc__ = name, says
    return kernel(multiply)


multiply = _kernel(
    "multiply",
    make_tile(by_column=False),
    "c = a @ b by the jobs, for the items (block, group, panel); `bias`, if it is not empty, is added to every row.",
)
multiply_columns = _kernel(
    "multiply_columns", make_tile(by_column=True), "The same with each column of a times the same one of b alone."
)


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
def panels_of_rows(x, y, panels: int, low, high):
    """y[(g, p), (t, k), j] = x[(g, k), t, p * width + j]: panels of columns; the last one's rest is left alone."""
    width, terms = y.shape[2], y.shape[1] // x.shape[1]
    for item in range(low, high):
        group, p = item // panels, item % panels
        left, right = p * width, min(x.shape[2], (p + 1) * width)
        for k in range(terms):
            for t in range(x.shape[1]):
                row, out = x[group * terms + k, t, left:right], y[item, t * terms + k]
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
