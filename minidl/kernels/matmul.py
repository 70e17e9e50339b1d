"""Matrix products: the tile over blocks of rows and panels of columns."""

import functools

import numpy as np

from .launch import kernel, launch
from .simd import REGISTER, ROWS, VECTORS, make_tile, turn

CHAIN = 256  # terms summed in a register before they are added up: longer chains round worse
BLOCK = 4  # of the tallest tiles, one below the other, that share a panel of the right operand while it is in the cache
COPY_FROM = 256  # rows of the result and columns from which panels side by side in memory pay for their copy
_tile_0, _tile_1, _tile_2, _tile_3, _tile_4 = (make_tile(rows) for rows in ROWS)
_ROWS_0, _ROWS_1, _ROWS_2, _ROWS_3, _ROWS_4 = ROWS


@kernel
def tiled_product(a, b, c, a_steps, b_steps, a_row: int, b_panel: int, rows: int, width: int, low, high):
    """c (rows, columns) = a @ b, for blocks of rows and panels of `width` columns, numbered row by row.

    Panel p of b begins at element p * b_panel; the steps say how far each k is from there.
    """
    columns = c.shape[1]
    panels = (columns + width - 1) // width
    memory = c.reshape(c.size)
    for item in range(low, high):
        block, panel = item // panels, item % panels
        left, from_ = panel * width, panel * b_panel
        wide = min(width, columns - left)
        end = min(rows, (block + 1) * BLOCK * _ROWS_0)
        for first in range(0, len(a_steps), CHAIN):
            n, add = min(CHAIN, len(a_steps) - first), first > 0
            i = block * BLOCK * _ROWS_0
            while i < end:
                at, to = i * a_row, i * columns + left
                if end - i >= _ROWS_0:
                    _tile_0(a, at, a_row, a_steps, b, from_, b_steps, first, n, memory, to, columns, wide, add)
                    i += _ROWS_0
                elif end - i >= _ROWS_1:
                    _tile_1(a, at, a_row, a_steps, b, from_, b_steps, first, n, memory, to, columns, wide, add)
                    i += _ROWS_1
                elif end - i >= _ROWS_2:
                    _tile_2(a, at, a_row, a_steps, b, from_, b_steps, first, n, memory, to, columns, wide, add)
                    i += _ROWS_2
                elif end - i >= _ROWS_3:
                    _tile_3(a, at, a_row, a_steps, b, from_, b_steps, first, n, memory, to, columns, wide, add)
                    i += _ROWS_3
                else:
                    _tile_4(a, at, a_row, a_steps, b, from_, b_steps, first, n, memory, to, columns, wide, add)
                    i += _ROWS_4


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
def panels_of_columns(x, y, lanes: int, low, high):
    """y[p, k, j] = x[p * width + j, k]: the same of the transpose of x."""
    width, source, target = y.shape[2], x.reshape(x.size), y.reshape(y.size)
    rows, columns = x.shape
    for p in range(low, high):
        for r in range(p * width, min(rows, (p + 1) * width), lanes):
            at = p * columns * width + r - p * width
            for c in range(0, columns, lanes):
                high_r, high_c = min(lanes, rows - r), min(lanes, columns - c)
                turn(source, r * columns + c, columns, high_r, high_c, target, at + c * width, width)


@functools.lru_cache(1024)
def _steps(count: int, apart: int) -> np.ndarray:
    return np.arange(count, dtype=np.int64) * apart


def matmul(x: np.ndarray, y: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """x @ y for matrices that are C-ordered or transposes of such, with the same bits on any number of threads."""
    (m, k), n = x.shape, y.shape[1]
    out = np.empty((m, n), x.dtype) if out is None else out
    if not k:
        out[...] = 0
        return out
    lanes = REGISTER // x.itemsize
    width = VECTORS * lanes
    panels = -(-n // width)
    memory, panel, apart = _right(y, panels, width, lanes, m)
    if x.flags.c_contiguous:
        left, row, step = x.reshape(-1), k, 1
    else:
        left, row, step = np.ascontiguousarray(x.T).reshape(-1), 1, m
    items = -(-m // (BLOCK * ROWS[0])) * panels
    steps = _steps(k, step), _steps(k, apart)
    launch(tiled_product, items, left, memory, out, *steps, row, panel, m, width, work=m * n * k // 16)
    return out


def _right(y: np.ndarray, panels: int, width: int, lanes: int, uses: int) -> tuple[np.ndarray, int, int]:
    """The right operand's memory, how far its panels and how far its rows lie apart: as it is, or copied to panels."""
    k, n = y.shape
    turned = not y.flags.c_contiguous
    if not turned and (uses < COPY_FROM or n < COPY_FROM):
        return y.reshape(-1), width, n
    copy = np.empty((panels, k, width), y.dtype)
    if turned:
        launch(panels_of_columns, panels, np.ascontiguousarray(y.T), copy, lanes, work=copy.size)
    else:
        launch(panels_of_rows, panels, y, copy, work=copy.size)
    return copy.reshape(-1), k * width, width
