"""Sums, and the largest and smallest elements, over some axes of an array, in an order that its shape alone decides.

An array in canonical order is seen as (before, summed, after), all axes of each kind as one. What is summed is cut into
blocks, and the sums of the blocks, in float64, are summed in the same way: a tree, whose branches err no more than
NumPy's pairs.
"""

from collections.abc import Callable
from functools import lru_cache
from math import prod
from typing import Any, NamedTuple

import numpy as np

from .inner import inner
from .lanes import LANES, lane_sum, lane_top
from .launch import Kernel, Out, kernel, launch
from .layout import dense, empty, flat, ordered, shaped
from .reduce import total
from .register_arithmetic import exceeds, less, select, spread
from .registers import load

BLOCK = 512  # elements of a row that are summed in their own dtype
BLOCK_ROWS = 256  # rows that are
LONG = 4096  # elements of a row of which the largest is found at once
PANEL = 1024  # columns of an item


@kernel
def sums(x, y: Out, size: int, divisor: float, low, high):
    """y[o, b, i] = sum over block b of r of x[o, r, i], divided; the range is over (o, b, panels of i)."""
    rows, columns, blocks = x.shape[1], x.shape[2], y.shape[1]
    panels = (columns + PANEL - 1) // PANEL
    source = x.reshape(x.size)
    for item in range(low, high):
        o, b, left = item // (blocks * panels), item // panels % blocks, item % panels * PANEL
        start, end = b * size, min(rows, (b + 1) * size)
        if columns == 1:
            y[o, b, 0] = total(source[o * rows + start : o * rows + end]) / divisor
            continue
        out = y[o, b, left : left + PANEL]
        for i in range(len(out)):
            out[i] = 0
        for r in range(start, end):
            row = x[o, r, left : left + PANEL]
            for i in range(len(out)):
                out[i] += row[i]
        for i in range(len(out)):
            out[i] = out[i] / divisor


@inner
def _largest(x):
    """The largest entry of a row, NaN if one is."""
    end, best = len(x) - len(x) % LANES, spread(x, -np.inf, LANES)
    for at in range(0, end, LANES):
        value = load(x, at, LANES, LANES)
        best = select(exceeds(value, best), value, best)
    none, one = spread(x, 0, LANES), spread(x, 1, LANES)
    result = lane_top(best)
    if lane_sum(select(exceeds(best, spread(x, np.inf, LANES)), one, none)) > 0:
        result = x.dtype.type(np.nan)
    for at in range(end, len(x)):
        result = x[at] if (x[at] > result) | (x[at] != x[at]) else result
    return result


@inner
def _smallest(x):
    """The smallest entry of a row, NaN if one is."""
    end, best, most = len(x) - len(x) % LANES, spread(x, np.inf, LANES), spread(x, np.inf, LANES)
    for at in range(0, end, LANES):
        value = load(x, at, LANES, LANES)
        best = select(less(value, best) | exceeds(value, most), value, best)
    none, one = spread(x, 0, LANES), spread(x, 1, LANES)
    result = -lane_top(none - best)
    if lane_sum(select(exceeds(best, most), one, none)) > 0:
        result = x.dtype.type(np.nan)
    for at in range(end, len(x)):
        result = x[at] if (x[at] < result) | (x[at] != x[at]) else result
    return result


def _extreme(name: str, of_row: Callable, beats: Callable, says: str) -> Kernel:
    wins: Any = inner(beats)

    def run(x, y: Out, size: int, low, high):
        rows, columns, blocks = x.shape[1], x.shape[2], y.shape[1]
        panels = (columns + PANEL - 1) // PANEL
        source = x.reshape(x.size)
        for item in range(low, high):
            o, b, left = item // (blocks * panels), item // panels % blocks, item % panels * PANEL
            start, end = b * size, min(rows, (b + 1) * size)
            if columns == 1:
                y[o, b, 0] = of_row(source[o * rows + start : o * rows + end])
                continue
            out, first = y[o, b, left : left + PANEL], x[o, start, left : left + PANEL]
            for i in range(len(out)):
                out[i] = first[i]
            for r in range(start + 1, end):
                row = x[o, r, left : left + PANEL]
                for i in range(len(out)):
                    out[i] = row[i] if wins(row[i], out[i]) | (row[i] != row[i]) else out[i]

    run.__name__, run.__doc__ = name, says
    return kernel(run)


largest = _extreme("largest", _largest, lambda a, b: a > b, "y[o, b, i] = max over block b of r of x[o, r, i], or NaN.")
smallest = _extreme("smallest", _smallest, lambda a, b: a < b, "y[o, b, i] = min over block b of r of x[o, r, i].")


@kernel
def extreme_backward(x, y, dy, dx: Out, share: Out, low, high):
    """dx[o, r, i] = dy[o, i] / (how many of x[o, :, i] equal y[o, i]) where x equals y, else 0; the range is over o."""
    rows, columns = x.shape[1], x.shape[2]
    source, gradient = x.reshape(x.size), dx.reshape(dx.size)
    for o in range(low, high):
        out, best, upstream = share[o], y[o], dy[o]
        for i in range(columns):
            out[i] = 0
        if columns == 1:
            row, target, count, top = source[o * rows : (o + 1) * rows], gradient[o * rows : (o + 1) * rows], 0, best[0]
            for r in range(len(row)):
                count += row[r] == top
            out[0] = upstream[0] / count
            part = out[0]
            for r in range(len(target)):
                target[r] = part if row[r] == top else part * 0
            continue
        for r in range(rows):
            row = x[o, r]
            for i in range(len(out)):
                out[i] += row[i] == best[i]
        for i in range(len(out)):
            out[i] = upstream[i] / out[i]
        for r in range(rows):
            row, target = x[o, r], dx[o, r]
            for i in range(len(out)):
                target[i] = out[i] if row[i] == best[i] else out[i] * 0


class Seen(NamedTuple):
    """How an array looks to the kernels: what the axes that stay are beside extents of 1 for the others; an order of
    axes to copy it in, unless it lies so already; and the three extents."""

    kept: tuple[int, ...]
    order: tuple[int, ...] | None
    extents: tuple[int, int, int]

    def cube(self, x: np.ndarray) -> np.ndarray:
        """The array as (before, summed, after)."""
        return (flat(x) if self.order is None else ordered(x.transpose(self.order))).reshape(self.extents)

    def back(self, cube: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """The array in canonical order of which `cube` made this."""
        if self.order is None:
            return shaped(cube.reshape(-1), shape)
        order = self.order
        return dense(cube.reshape([shape[d] for d in order]).transpose(np.argsort(order)))


@lru_cache(4096)
def seen(shape: tuple[int, ...], axes: tuple[int, ...]) -> Seen:
    """An array of this shape in canonical order, summed over these axes."""
    order = (0, 2, 3, 1) if len(shape) == 4 else tuple(range(len(shape)))
    kept = tuple(1 if d in axes else extent for d, extent in enumerate(shape))
    inside = [d for d in order if shape[d] != 1]
    summed = [d in axes for d in inside]
    if True not in summed:
        return Seen(kept, None, (1, 1, prod(shape)))
    first, last = summed.index(True), len(summed) - summed[::-1].index(True)
    if all(summed[first:last]):
        parts = (inside[:first], inside[first:last], inside[last:])
        before, middle, after = (prod(shape[d] for d in part) for part in parts)
        return Seen(kept, None, (before, middle, after))
    moved = (*(d for d in order if d not in axes), *(d for d in order if d in axes))
    return Seen(kept, moved, (prod(kept), prod(shape[d] for d in axes), 1))


def sum_over(x: np.ndarray, axes: tuple[int, ...], divisor: float = 1.0) -> np.ndarray:
    """The sums over these axes, which stay with extent 1, divided by a number."""
    view = seen(x.shape, axes)
    cube, y = view.cube(x), empty(view.kept, x.dtype)
    while cube.shape[1] > (block := BLOCK if cube.shape[2] == 1 else BLOCK_ROWS):
        partial = np.empty((len(cube), -(-cube.shape[1] // block), cube.shape[2]))
        _launch(sums, cube, partial, block, 1.0)
        cube = partial
    _launch(sums, cube, flat(y).reshape(len(cube), 1, cube.shape[2]), block, divisor)
    return y


def extreme_over(kernel: Kernel, x: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    """The largest or smallest elements over these axes, which stay with extent 1."""
    view = seen(x.shape, axes)
    cube, y = view.cube(x), empty(view.kept, x.dtype)
    while cube.shape[1] > (block := LONG if cube.shape[2] == 1 else BLOCK_ROWS):
        partial = np.empty((len(cube), -(-cube.shape[1] // block), cube.shape[2]), x.dtype)
        _launch(kernel, cube, partial, block)
        cube = partial
    _launch(kernel, cube, flat(y).reshape(len(cube), 1, cube.shape[2]), block)
    return y


def _launch(kernel: Kernel, cube: np.ndarray, out: np.ndarray, block: int, *options: float) -> None:
    items = out.shape[0] * out.shape[1] * -(-out.shape[2] // PANEL)
    launch(kernel, items, cube, out, block, *options, work=cube.size)


def extreme_gradient(x: np.ndarray, y: np.ndarray, dy: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    """The gradient of `extreme_over`; `dy` has the shape of `y`."""
    view = seen(x.shape, axes)
    cube = view.cube(x)
    dx, best = np.empty_like(cube), flat(y).reshape(len(cube), cube.shape[2])
    launch(extreme_backward, len(cube), cube, best, flat(dy).reshape(best.shape), dx, np.empty_like(best), work=x.size)
    return view.back(dx, x.shape)


def unbroadcast(gradient: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Sum `gradient` over the axes along which an input of `shape` was stretched."""
    extra = gradient.ndim - len(shape)
    stretched = [d for d, extent in enumerate(shape) if extent == 1 and gradient.shape[d + extra] != 1]
    axes = (*range(extra), *(d + extra for d in stretched))
    if axes and gradient.dtype.kind == "f":
        gradient = sum_over(gradient, axes)
    return gradient.reshape(shape) if gradient.size == prod(shape) else gradient
