"""Copies between arrays that lie in memory in different ways, and fills: what NumPy's assignments would do.

A kernel takes arrays without gaps. So an array with strides comes as the stretch of memory that it lies in, and a
table, kept, says where its elements are: column 0 where the first of x and of y lies, then a column for each axis, its
extent and its strides in x and y.
"""

import math
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from .inner import inner
from .launch import Kernel, Out, kernel, launch
from .memory import address_of
from .turning import turn
from .vectors import REGISTER

_FLOATS = (np.dtype(np.float32), np.dtype(np.float64))
_OTHERS = (np.dtype(np.bool_), np.dtype(np.int64))  # masks and labels
Axes = list[tuple[int, int, int]]  # extent, stride in x, stride in y


@kernel
def fill(y: Out, value: float, low, high):
    """y[i] = value."""
    y = y[low:high]
    value = y.dtype.type(value)
    for i in range(len(y)):
        y[i] = value


@inner
def places(table, axes, row):
    """Where a place among the first `axes` axes, counted in C order, lies in x and y."""
    x_at, y_at = table[1, 0], table[2, 0]
    for axis in range(axes, 0, -1):
        rest = row // table[0, axis] if axis > 1 else 0
        i = row - rest * table[0, axis]
        x_at, y_at, row = x_at + i * table[1, axis], y_at + i * table[2, axis], rest
    return x_at, y_at


@kernel
def copy(x, y: Out, table, low, high):
    """y = x at every place, in C order of the table's axes."""
    last = table.shape[1] - 1
    length, x_step, y_step = table[0, last], table[1, last], table[2, last]
    while low < high:
        row = low // length
        column = low - row * length
        count = min(length - column, high - low)
        x_at, y_at = places(table, last - 1, row)
        x_at, y_at = x_at + column * x_step, y_at + column * y_step
        if x_step == 1 and y_step == 1:
            source, target = x[x_at : x_at + count], y[y_at : y_at + count]
            for i in range(len(target)):
                target[i] = source[i]
        elif x_step == 0 and y_step == 1:
            number, target = x[x_at], y[y_at : y_at + count]
            for i in range(len(target)):
                target[i] = number
        else:
            for i in range(count):
                y[y_at + i * y_step] = x[x_at + i * x_step]
        low += count


@kernel
def copy_turned(x, y: Out, table, lanes: int, low, high):
    """The same where the last axis but one lies side by side in x, the last in y; the range: the others, and blocks of
    `lanes` of the last but one."""
    last = table.shape[1] - 1
    length, width, x_step, y_step = table[0, last], table[0, last - 1], table[1, last], table[2, last - 1]
    blocks = (width + lanes - 1) // lanes
    for item in range(low, high):
        column = item % blocks * lanes
        x_at, y_at = places(table, last - 2, item // blocks)
        x_at, y_at, columns = x_at + column, y_at + column * y_step, min(lanes, width - column)
        for r in range(0, length, lanes):
            turn(x, x_at + r * x_step, x_step, min(lanes, length - r), columns, y, y_at + r, y_step)


class _Plan(NamedTuple):
    """The kernel that copies between two arrays, or None where that is left to NumPy; of each array where the memory
    begins that it lies in, in bytes from its first element, and its length, or None if it has no gaps; the kernel's
    range and its arguments after the arrays."""

    kernel: Kernel | None
    source: tuple[int, int] | None = None
    target: tuple[int, int] | None = None
    n: int = 0
    arguments: tuple[Any, ...] = ()


def assign(y: np.ndarray, x: np.ndarray) -> None:
    """y[...] = x, for arrays that share no memory; floats, masks and labels by a launch, whatever else by NumPy."""
    kernel, source, target, n, arguments = _plan(y.shape, y.strides, y.dtype, x.shape, x.strides, x.dtype)
    from_ = x.ravel("K") if source is None else _memory(x, *source)
    to = y.ravel("K") if target is None else _memory(y, *target)
    if kernel is None or from_ is None or to is None:
        y[...] = x
    else:
        launch(kernel, n, from_, to, *arguments, work=y.size)


def _memory(x: np.ndarray, start: int, length: int) -> np.ndarray | None:
    """So many elements of the memory that an array with gaps lies in, as one row; None where its owner has gaps too."""
    owner = x if x.base is None else x.base
    if type(owner) is not np.ndarray or owner.dtype is not x.dtype:
        return None
    row = owner.ravel("K")
    if row.base is not owner and row.base is not owner.base:  # a copy
        return None
    at, rest = divmod(address_of(x) - address_of(owner) + start, x.itemsize)
    return row[at : at + length] if rest == 0 else None


@lru_cache(4096)
def _plan(
    shape: tuple[int, ...],
    strides: tuple[int, ...],
    dtype: np.dtype,
    of_shape: tuple[int, ...],
    of_strides: tuple[int, ...],
    of_dtype: np.dtype,
) -> _Plan:
    """How to copy the array described by the last three into the one described by the first three."""
    size, stretched = dtype.itemsize, _stretched(of_shape, of_strides, shape)
    known = dtype == of_dtype and dtype in (*_FLOATS, *_OTHERS)
    if not known or 0 in shape or any(s % size for s in (*strides, *of_strides)):
        return _Plan(None)
    source, target = _extent(of_shape, of_strides, size), _extent(shape, strides, size)
    axes = [(n, x // size, y // size) for n, x, y in zip(shape, stretched, strides, strict=True) if n > 1]
    starts = [sum(-(axis[0] - 1) * min(axis[side], 0) for axis in axes) for side in (1, 2)]
    axes = merged(sorted(axes, key=lambda axis: -abs(axis[2])))
    along = [axis for axis in axes[:-1] if axis[1] == 1 and dtype in _FLOATS]
    if along and axes[-1][2] == 1:  # otherwise x would be read, or y written, in steps
        axes = [*(axis for axis in axes[:-1] if axis is not along[0]), along[0], axes[-1]]
        lanes = REGISTER // size
        n = math.prod(axis[0] for axis in axes[:-2]) * -(-along[0][0] // lanes)
        return _Plan(copy_turned, source, target, n, (table(axes, *starts), lanes))
    return _Plan(copy, source, target, math.prod(shape), (table(axes, *starts),))


def _extent(shape: tuple[int, ...], strides: tuple[int, ...], itemsize: int) -> tuple[int, int] | None:
    """Where an array's memory begins, in bytes from its first element, and how many elements it has; None if it has no
    gaps and begins there."""
    size, solid = itemsize, True
    for stride, n in sorted((s, n) for s, n in zip(strides, shape, strict=True) if n > 1):
        size, solid = size * n, solid and stride == size
    ends = [(n - 1) * stride for n, stride in zip(shape, strides, strict=True)]
    return None if solid else (sum(end for end in ends if end < 0), sum(map(abs, ends)) // itemsize + 1)


def _stretched(shape: tuple[int, ...], strides: tuple[int, ...], to: tuple[int, ...]) -> tuple[int, ...]:
    """The strides of an array that broadcasts to another shape."""
    new = len(to) - len(shape)
    return (0,) * new + tuple(s if n == m else 0 for n, m, s in zip(shape, to[new:], strides, strict=True))


def merged(axes: Axes) -> Axes:
    """The axes, those that follow each other without a gap on both sides as one; at least one."""
    out: Axes = []
    for axis in axes:
        n, x, y = axis
        if out and out[-1][1:] == (n * x, n * y):
            out[-1] = out[-1][0] * n, x, y
        else:
            out.append(axis)
    return out or [(1, 1, 1)]


def table(axes: Axes, x_start: int = 0, y_start: int = 0) -> np.ndarray:
    """The axes as the kernels read them."""
    return np.ascontiguousarray(np.array([(0, x_start, y_start), *axes], np.int64).T)
