"""Matrix products: a matrix as one job of the product kernel, or, where sums are long and results small, several."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from .launch import launch
from .product import (
    ADD,
    CHAIN,
    WRITE,
    Grid,
    Job,
    fill_rows,
    multiply,
    nothing,
    panels_of_columns,
    panels_of_rows,
    sum_blocks,
    table,
    transpose,
)
from .simd import ROWS, VECTORS
from .vectors import REGISTER

BLOCK = 4 * ROWS  # rows of the result that share a panel of the right operand while it is in the cache
TALL = 12 * ROWS  # the same where there are panels enough for every thread: fewer passes over the right operand
COPY_FROM = 256  # rows of the result and columns from which panels side by side in memory pay for their copy
# Where blocks and panels are few, a long sum over the rows of a transpose, a weight's gradient, is split to give every
# thread a part of so many terms. Other sums are not: a row alone has the same bits as in a batch.
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
    parts: int  # of the sum, each a result of its own
    items: int
    tables: tuple[np.ndarray, ...]


def matmul(x: np.ndarray, y: np.ndarray, out: np.ndarray | None = None, bias: np.ndarray | None = None) -> np.ndarray:
    """x @ y, plus `bias` in every row, for matrices that are C-ordered or transposes of such.

    The bits are the same on any number of threads. `bias` is for an `x` that is not a transpose.
    """
    (m, k), n = x.shape, y.shape[1]
    out = np.empty((m, n), x.dtype) if out is None else out
    bias = nothing(x.dtype) if bias is None else bias
    if not out.size:
        return out
    if x.flags.c_contiguous and not y.flags.c_contiguous and 2 * m * (k + 2 * n) < k * n:
        _product_turned(x, y.T, out, bias)
    else:
        _product(x, y, out, bias)
    return out


def _product(x: np.ndarray, y: np.ndarray, out: np.ndarray, bias: np.ndarray, add: bool = False) -> None:
    (m, k), n = x.shape, y.shape[1]
    width = VECTORS * REGISTER // x.itemsize
    right, b_step, b_panel = _right(y, width, m)
    if x.flags.c_contiguous:
        left, a_row, a_step = x.reshape(-1), k, 1
    else:
        left, a_row, a_step = np.ascontiguousarray(x.T).reshape(-1), 1, m
    plan = _plan(m, k, n, _Layout(a_row, a_step, b_step, b_panel, width), add)
    sums = out.reshape(-1) if plan.parts == 1 else np.empty(plan.parts * m * n, x.dtype)
    launch(multiply, plan.items, left, right, bias, sums, *plan.tables, work=m * n * k // 16)
    if plan.parts > 1:
        launch(sum_blocks, m * n, sums.reshape(plan.parts, -1), out.reshape(-1), work=sums.size)


def _product_turned(x: np.ndarray, weight: np.ndarray, out: np.ndarray, bias: np.ndarray) -> None:
    """x @ weight.T as the transpose of weight @ x.T: of few rows, x and the result are less to turn than the weight.

    Each sum has the same terms in the same order, so the bits are the same.
    """
    m, n = len(x), len(weight)
    turned = np.empty((n, m), x.dtype)
    if len(bias):
        launch(fill_rows, n, bias, turned, work=turned.size)
    _product(np.ascontiguousarray(weight), x.T, turned, nothing(x.dtype), add=len(bias) > 0)
    lanes = REGISTER // x.itemsize
    launch(transpose, -(-m // lanes), turned, out, lanes, work=out.size)


@lru_cache(1024)
def _plan(m: int, k: int, n: int, layout: _Layout, add: bool) -> _Plan:
    panels = -(-n // layout.width)
    blocks = -(-m // (BLOCK if panels < FEW else TALL))
    rows, terms = -(-m // blocks), k
    parts = -(-k // TERMS) if layout.a_row == 1 and blocks * panels < FEW else 1
    if parts > 1:
        terms = -(-k // (parts * CHAIN)) * CHAIN
        parts = blocks = -(-k // terms)
        rows, apart = m, (terms * layout.a_step, terms * layout.b_step, m * n)
    else:
        blocks = -(-m // rows)
        apart = rows * layout.a_row, 0, rows * n
    full = _jobs(rows, terms, n, layout, add)
    rest = (m, k - (parts - 1) * terms) if parts > 1 else (m - (blocks - 1) * rows, k)
    last = _jobs(*rest, n, layout, add)
    grid = Grid(blocks, 1, panels, 1, len(full), layout.width, *apart, b_panel=layout.b_panel)
    runs = np.arange(terms // CHAIN + 1, dtype=np.int64) * CHAIN
    tables = runs * layout.a_step, runs * layout.b_step, table([*full, *last]), np.array(grid, np.int64)
    return _Plan(parts, grid.items, tables)


def _jobs(rows: int, terms: int, columns: int, layout: _Layout, add: bool) -> list[Job]:
    """Runs that are chains, and what is left of the terms."""
    whole, rest = divmod(terms, CHAIN)
    job = Job(rows, columns, 0, whole, CHAIN, layout.a_step, layout.b_step, a_row=layout.a_row, c_row=columns)
    job = job._replace(mode=ADD if add else WRITE)
    jobs = [job] if whole else []
    if rest or not whole:
        jobs.append(job._replace(first=whole, runs=1, run=rest, mode=ADD if whole or add else WRITE))
    return jobs


def _right(y: np.ndarray, width: int, uses: int) -> tuple[np.ndarray, int, int]:
    """The right operand's memory, how far its rows and how far its panels lie apart: as it is, or copied to panels."""
    k, n = y.shape
    turned = not y.flags.c_contiguous
    if not turned and (uses < COPY_FROM or n < COPY_FROM):
        return y.reshape(-1), n, width
    copy = np.empty((-(-n // width), k, width), y.dtype)
    if turned:
        lanes = REGISTER // y.itemsize
        launch(panels_of_columns, len(copy), np.ascontiguousarray(y.T), copy, n, lanes, work=copy.size)
    else:
        launch(panels_of_rows, len(copy), y.reshape(k, 1, n), copy, len(copy), work=copy.size)
    return copy.reshape(-1), width, k * width
