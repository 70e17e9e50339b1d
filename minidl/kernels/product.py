"""Sums of products over a table of jobs: matrix products and convolutions are this one kernel with other tables.

A job is a grid of rows, each a sum over the same terms: `outer` times `inner` times `rows`, the last cut into tiles.
Where a row begins in each operand is a start plus a stride for each of the three; where its runs of terms begin, the
two tables of runs say. Jobs are run for every block (of rows, of images, of terms), group (of channels) and panel (of
columns).
"""

from typing import NamedTuple

import numpy as np

from .inner import inner
from .launch import Out, kernel
from .registers import load, store
from .simd import ROWS, SINGLE_ROWS, make_tile
from .turning import turn
from .vectors import REGISTER

_LANES, _ROWS_TOGETHER = 16, 16  # that are copied to panels: of a row at a time, and of a panel before the next one
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
    c_outer: int = 0
    inner: int = 1
    a_inner: int = 0
    c_inner: int = 0
    left: int = 0  # the first column; the right operand is read from where column 0 would lie
    mode: int = 0  # WRITE or ADD


WRITE, ADD = 0, 1  # to c; to what is in c


class Grid(NamedTuple):
    """How far blocks, groups and panels lie apart; the last block may have jobs of its own."""

    blocks: int = 1
    groups: int = 1
    panels: int = 1
    together: int = 1  # panels of an item, over which a job's terms stay in the cache
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
    by_panel: bool = False  # whether neighbours in the range are blocks of a panel, rather than panels of a block

    @property
    def items(self) -> int:
        """What the kernel's range is over: blocks, groups, and panels together."""
        return self.blocks * self.groups * -(-self.panels // self.together)


_NOTHING = {np.dtype(t): np.empty(0, t) for t in (np.float32, np.float64)}


def nothing(dtype: np.dtype) -> np.ndarray:
    """The bias of a product without one."""
    return _NOTHING[dtype]


def table(jobs: list[Job]) -> np.ndarray:
    """The jobs as the kernel reads them."""
    return np.array(jobs, np.int64).reshape(len(jobs), len(Job._fields))


# Places of the fields in a row of the jobs and in the grid, for the compiled code.
(_ROWS, _COLUMNS, _FIRST, _RUNS, _RUN, _A_STEP, _B_STEP, _A, _A_ROW, _B, _C, _C_ROW) = range(12)
(_OUTER, _A_OUTER, _C_OUTER, _INNER, _A_INNER, _C_INNER, _LEFT, _MODE) = range(12, 20)
(_BLOCKS, _GROUPS, _PANELS, _TOGETHER, _JOBS, _WIDTH, _A_BLOCK, _B_BLOCK, _C_BLOCK) = range(9)
(_A_GROUP, _B_GROUP, _C_GROUP, _A_PANEL, _B_PANEL, _BY_PANEL) = range(9, 15)


_tile = make_tile()


@inner(forceinline=True)
def _cut(job, columns, a, a_at, b, b_at, a_runs, b_runs, terms, c, c_at, base, bias_at, add):
    """Run a job's grid of rows for one panel: cut its rows into tiles of nearly equal heights."""
    most = SINGLE_ROWS if columns * a.itemsize <= REGISTER else ROWS
    tiles = max(1, (job[_ROWS] + most - 1) // most)
    height, taller = job[_ROWS] // tiles, job[_ROWS] % tiles
    a_row, c_row, right, step = job[_A_ROW], job[_C_ROW], (b_at, job[_B_STEP]), job[_A_STEP]
    for o in range(job[_OUTER]):
        for i in range(job[_INNER]):
            left = a_at + o * job[_A_OUTER] + i * job[_A_INNER]
            at = c_at + o * job[_C_OUTER] + i * job[_C_INNER]
            for t in range(tiles):
                rows = height + 1 if t < taller else height
                size, from_, to = (rows, columns), (left, a_row, step), (at, c_row)
                under = to if bias_at < 0 else (bias_at, 0)
                _tile(size, a, from_, b, right, a_runs, b_runs, terms, c, to, base, under, add)
                left, at = left + rows * a_row, at + rows * c_row


@inner(forceinline=True)
def _work(job, panels, grid, a, b, bias, c, a_runs, b_runs, at):
    """Run one job for some panels; `at` is where its block and group begin in a, b and c, and the group's columns."""
    first, runs, run, width = job[_FIRST], job[_RUNS], job[_RUN], grid[_WIDTH]
    chain = max(1, CHAIN // max(run, 1))
    for i in range(first, first + max(runs, 1), chain):
        terms, writes = (i, min(chain, first + runs - i), run), i == first and job[_MODE] == WRITE
        biased = writes and len(bias) > 0
        base, add = bias if biased else c, biased or not writes
        for panel in range(panels[0], panels[1]):
            left = max(job[_LEFT] - panel * width, 0)
            columns, column = min(width, job[_LEFT] + job[_COLUMNS] - panel * width) - left, panel * width + left
            if columns <= 0:
                continue
            b_at, bias_at = at[1] + job[_B] + panel * grid[_B_PANEL] + left, at[3] + column if biased else -1
            a_at, c_at = at[0] + job[_A] + panel * grid[_A_PANEL], at[2] + job[_C] + column
            _cut(job, columns, a, a_at, b, b_at, a_runs, b_runs, terms, c, c_at, base, bias_at, add)


@kernel
def multiply(a, b, bias, c: Out, a_runs, b_runs, jobs, grid, low, high):
    """c = a @ b by the jobs, for the items (block, group, panel); `bias`, if it is not empty, is added to every row.

    Where jobs add to what is in c, c is passed as `bias`, too: that is how the kernel says what it reads.
    """
    groups, panels, together, many = grid[_GROUPS], grid[_PANELS], grid[_TOGETHER], grid[_JOBS]
    parts, blocks = (panels + together - 1) // together, grid[_BLOCKS]
    for item in range(low, high):
        if grid[_BY_PANEL]:
            part, group, block = item // (blocks * groups), item // blocks % groups, item % blocks
        else:
            part, group, block = item % parts, item // parts % groups, item // (parts * groups)
        from_, to = (0, many) if block < blocks - 1 else (many, len(jobs))
        a_at = block * grid[_A_BLOCK] + group * grid[_A_GROUP]
        b_at = block * grid[_B_BLOCK] + group * grid[_B_GROUP]
        at = a_at, b_at, block * grid[_C_BLOCK] + group * grid[_C_GROUP], group * grid[_C_GROUP]
        span = part * together, min(panels, (part + 1) * together)
        for j in range(from_, to):
            _work(jobs[j], span, grid, a, b, bias, c, a_runs, b_runs, at)


def _operations(a, b, bias, c, a_runs, b_runs, jobs: np.ndarray, grid: np.ndarray) -> int:
    """Multiplications and additions of all jobs."""
    columns = jobs[:, [_ROWS, _COLUMNS, _OUTER, _INNER, _RUN]].prod(axis=1) * np.maximum(jobs[:, _RUNS], 1)
    usual, last = columns[: grid[_JOBS]].sum(), columns[grid[_JOBS] :].sum()
    return int(2 * grid[_GROUPS] * ((grid[_BLOCKS] - 1) * usual + (last if grid[_BLOCKS] > 0 else 0)))


multiply.operations = _operations


@kernel
def panels_of_rows(x, y: Out, panels: int, low, high):
    """y[(g, p), (t, k), j] = x[(g, k), t, p * width + j], for some (g, k): panels of columns; the last one's rest is
    left alone.
    """
    places, columns, width = x.shape[1], x.shape[2], y.shape[2]
    terms = max(1, y.shape[1] // places)
    for group in range(low // terms, (high + terms - 1) // terms):
        end = min(high, (group + 1) * terms)
        for first in range(max(low, group * terms), end, _ROWS_TOGETHER):
            for p in range(panels):
                left, right = p * width, min(columns, (p + 1) * width)
                for i in range(first, min(end, first + _ROWS_TOGETHER)):
                    target = ((group * panels + p) * places * terms + i - group * terms) * width - left
                    for t in range(places):
                        source = (i * places + t) * columns
                        for j in range(left, right, _LANES):
                            store(y, target + j, right - j, load(x, source + j, right - j, _LANES))
                        target += terms * width


@kernel
def panels_of_columns(x, y: Out, rows: int, lanes: int, low, high):
    """y[(g, p), k, j] = x[g * rows + p * width + j, k]: the same of each group of `rows` rows of x, turned.

    The range: groups, of each the strips of `lanes` rows, of which a panel is some.
    """
    width, source, target = y.shape[2], x.reshape(x.size), y.reshape(y.size)
    panels, strips, columns = (rows + width - 1) // width, (rows + lanes - 1) // lanes, x.shape[1]
    for item in range(low, high):
        group, r = item // strips, item % strips * lanes
        start, at = group * rows + r, (group * panels + r // width) * columns * width + r % width
        for c in range(0, columns, lanes):
            high_r, high_c = min(lanes, rows - r), min(lanes, columns - c)
            turn(source, start * columns + c, columns, high_r, high_c, target, at + c * width, width)
