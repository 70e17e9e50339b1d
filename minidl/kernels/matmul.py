"""Matrix products: a matrix as one job of the product kernel, or, where sums are long and results small, several."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from .copying import assign
from .launch import launch
from .layout import empty, ordered
from .memory import CACHE_LINE
from .product import (
    ADD,
    CHAIN,
    WRITE,
    Grid,
    Job,
    multiply,
    nothing,
    panels_of_columns,
    panels_of_rows,
    table,
)
from .reduce import merge
from .simd import ROWS, VECTORS
from .vectors import REGISTER

BLOCK = 4 * ROWS  # rows of the result that share a panel of the right operand while it is in the cache
TALL = 12 * ROWS  # the same where there are panels or rows enough for every thread: fewer passes over the right operand
# The same where there are fewer rows than columns, and few panels: each thread then has panels of its own, most of
# which it copied itself, rather than rows of its own.
SHORT = 16
COPY_FROM = 256  # rows of the result and columns from which panels side by side in memory pay for their copy
# Rows and columns of the result from which rows of the left operand, or of its transpose, that lie whole pages apart,
# and so share few places of the first-level cache, pay for a copy of them a cache line further apart.
SPREAD_FROM, PAGE = 512, 4096
# A long sum over the rows of a transpose, a weight's gradient, is split to give every thread a part of so many terms,
# where blocks of 48 rows and panels of 128 bytes are fewer. Other sums are not: a row alone has the same bits as in a
# batch, and a bias is added once.
FEW = 16
TERMS = 1024


class _Layout(NamedTuple):
    """How far the left operand's rows and terms, the right one's terms and its panels of `width` lie apart."""

    a_row: int
    a_step: int
    b_step: int
    b_panel: int
    width: int


class _Plan(NamedTuple):
    """What a product of two shapes and orders needs: how to copy the right operand, and the product's tables."""

    # Whether to multiply the other way around: a large right operand beside few rows of the result is then read once,
    # as it lies, and the columns of a long sum's result are those of its extents that fill registers better.
    around: bool
    pitch: int  # of the left operand's copy; 0 for none
    copy: tuple[int, int, int] | None  # panels, terms and width of the right operand's copy
    turned: bool  # whether it is a transpose that is copied
    lanes: int
    parts: int  # of the sum, each a result of its own
    items: int
    work: int
    nothing: np.ndarray
    tables: tuple[np.ndarray, ...]


def matmul(x: np.ndarray, y: np.ndarray, out: np.ndarray | None = None, bias: np.ndarray | None = None) -> np.ndarray:
    """x @ y, plus `bias` in every row, for matrices that are C-ordered or transposes of such.

    The bits are the same on any number of threads.
    """
    left, right, dtype = x.shape, y.shape, x.dtype
    if out is None:
        out = empty((left[0], right[1]), dtype)
    straight = x.flags.c_contiguous, y.flags.c_contiguous
    plan = _plan(left, right, straight, dtype, (False, bias is None and not straight[0]))
    if not out.size:
        return out
    if plan.around:
        _product_turned(x, y, out, bias)
    else:
        _product(plan, x if straight[0] else ordered(x.T), y if straight[1] else ordered(y.T), out, bias)
    return out


def _product(plan: _Plan, left: np.ndarray, right: np.ndarray, out: np.ndarray, bias: np.ndarray | None) -> None:
    """The operands, or their transposes, which are C-ordered."""
    _, pitch, shape, turned, lanes, parts, items, work, nothing, tables = plan
    if pitch:
        left = _panels(left, (1, len(left), pitch))
    if shape is not None and turned:
        copy = empty(shape, left.dtype)
        launch(panels_of_columns, -(-len(right) // lanes), right, copy, len(right), lanes, work=copy.size)
        right = copy
    elif shape is not None:
        right = _panels(right, shape)
    sums = out if parts == 1 else np.empty((parts, out.size), out.dtype)
    bias = nothing if bias is None else bias
    launch(multiply, items, left.ravel(), right.ravel(), bias, sums.ravel(), *tables, work=work)
    if parts > 1:
        merge(sums, out.reshape(-1))


def _panels(matrix: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """A copy of a C-ordered matrix in panels of columns."""
    copy = empty(shape, matrix.dtype)
    launch(panels_of_rows, len(matrix), matrix[:, None], copy, shape[0], work=copy.size)
    return copy


def _product_turned(x: np.ndarray, y: np.ndarray, out: np.ndarray, bias: np.ndarray | None) -> None:
    """x @ y as the transpose of y.T @ x.T: each sum has the same terms in the same order, so the bits are the same."""
    m, n = out.shape
    turned, straight = np.empty((n, m), x.dtype), (not y.flags.c_contiguous, not x.flags.c_contiguous)
    if bias is not None:
        assign(turned, bias[:, None])
    plan = _plan(y.shape[::-1], x.shape[::-1], straight, x.dtype, (bias is not None, bias is None and straight[1]))
    under = turned.reshape(-1) if bias is not None else None
    _product(plan, ordered(y.T) if straight[0] else y, ordered(x.T) if straight[1] else x, turned, under)
    assign(out, turned.T)


@lru_cache(1024)
def _plan(
    left: tuple[int, int],
    right: tuple[int, int],
    ordered: tuple[bool, bool],
    dtype: np.dtype,
    add_and_split: tuple[bool, bool],
) -> _Plan:
    """`add_and_split`: whether to add to the result, and whether a long sum may be split."""
    (m, k), n = left, right[1]
    lanes = REGISTER // dtype.itemsize
    width = VECTORS * lanes
    few_rows = ordered[0] and 2 * m * (k + 2 * n) < k * n
    around = few_rows or (add_and_split[1] and _fuller(m, k, n, 64 // dtype.itemsize))
    copied = not ordered[1] or (m >= COPY_FROM and n >= COPY_FROM)
    extent = k if ordered[0] else m
    apart = min(m, n) >= SPREAD_FROM and extent * dtype.itemsize % PAGE == 0
    pitch = extent + CACHE_LINE // dtype.itemsize if apart and not around else 0
    left_layout = (pitch or k, 1) if ordered[0] else (1, pitch or m)
    layout = _Layout(*left_layout, *((width, k * width) if copied else (n, width)), width)
    panels = -(-n // width)
    few = (
        -(-m // 48) * -(-n * dtype.itemsize // 128) < FEW
    )  # in tiles of the widest registers, whatever this machine has
    parts, grid, jobs = _cut(m, k, n, layout, add_and_split[0], few and add_and_split[1])
    runs = np.arange(-(-k // CHAIN) + 1, dtype=np.int64) * CHAIN
    tables = runs * layout.a_step, runs * layout.b_step, jobs, np.array(grid, np.int64)
    copy = (panels, k, width) if copied else None
    return _Plan(around, pitch, copy, not ordered[1], lanes, parts, grid.items, m * n * k // 16, nothing(dtype), tables)


def _fuller(m: int, k: int, n: int, lanes: int) -> bool:
    """Whether rows fill the widest registers better than columns do, and the sum is long enough to turn the result."""
    return k >= TERMS and n >= 12 and 0.9 * -(-n // lanes) * m > -(-m // lanes) * n


def _cut(m: int, k: int, n: int, layout: _Layout, add: bool, split: bool) -> tuple[int, Grid, np.ndarray]:
    """Parts of the sum, or blocks of rows, and their jobs."""
    panels = -(-n // layout.width)
    many = max(panels, panels * m // (FEW * TALL)) >= FEW
    parts = -(-k // TERMS) if split else 1
    by_panel = m < n and not many and parts == 1
    blocks = max(1, -(-m // (TALL if many else SHORT if by_panel else BLOCK)))
    if parts > 1:
        terms = -(-k // (parts * CHAIN)) * CHAIN
        parts = blocks = -(-k // terms)
        apart = terms * layout.a_step, terms * layout.b_step, m * n
        full, last = _jobs(m, terms, n, layout, add), _jobs(m, k - (parts - 1) * terms, n, layout, add)
    else:
        rows = max(1, -(-m // blocks))
        blocks = max(1, -(-m // rows))
        apart = rows * layout.a_row, 0, rows * n
        full, last = _jobs(rows, k, n, layout, add), _jobs(m - (blocks - 1) * rows, k, n, layout, add)
    grid = Grid(blocks, 1, panels, 1, len(full), layout.width, *apart, b_panel=layout.b_panel, by_panel=by_panel)
    return parts, grid, table([*full, *last])


def _jobs(rows: int, terms: int, columns: int, layout: _Layout, add: bool) -> list[Job]:
    """Runs that are chains, and what is left of the terms."""
    whole, rest = divmod(terms, CHAIN)
    job = Job(rows, columns, 0, whole, CHAIN, layout.a_step, layout.b_step, a_row=layout.a_row, c_row=columns)
    job = job._replace(mode=ADD if add else WRITE)
    jobs = [job] if whole else []
    if rest or not whole:
        jobs.append(job._replace(first=whole, runs=1, run=rest, mode=ADD if whole or add else WRITE))
    return jobs
