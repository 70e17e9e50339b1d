"""Sums, means, variances and extremes over dimensions."""

import math
from typing import Any

import numpy as np

from ..autograd import Pullback, op
from ..checks import check_whole
from ..kernels import elementwise, sums
from ..kernels.elementwise import map_one, map_two
from ..kernels.launch import Kernel
from ..kernels.layout import stretched
from ..kernels.sums import extreme_gradient, extreme_over, sum_over
from .checks import check_dim, check_float

Rule = tuple[np.ndarray, Pullback | None]
Dims = int | tuple[int, ...] | list[int] | None


def _axes(name: str, x: np.ndarray, dim: Dims) -> tuple[int, ...]:
    """The dimensions to reduce, counted from the front; all of them for `None`."""
    if dim is None:
        return tuple(range(x.ndim))
    axes = tuple(check_dim(name, d, x.ndim) for d in (dim if isinstance(dim, tuple | list) else (dim,)))
    if len(set(axes)) != len(axes):
        raise ValueError(f"{name}: expected each dimension once, got dim={dim}")
    return axes if x.ndim else ()


def _kept(shape: tuple[int, ...], axes: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(1 if d in axes else extent for d, extent in enumerate(shape))


def _count(name: str, x: np.ndarray, axes: tuple[int, ...]) -> int:
    count = math.prod(x.shape[d] for d in axes)
    if count == 0:
        raise ValueError(f"{name}: expected at least one element to reduce, got shape {x.shape} over dim {axes}")
    return count


def _without(y: np.ndarray, axes: tuple[int, ...], keepdim: bool) -> np.ndarray:
    """A result in which the reduced dimensions, of extent 1, stay or go."""
    return y if keepdim else y.reshape([extent for d, extent in enumerate(y.shape) if d not in axes])


@op
def sum(x: np.ndarray, *, dim: Dims = None, keepdim: bool = False) -> Rule:
    """The sum over `dim` (all dimensions for `None`)."""
    check_float("sum", x=x)
    axes = _axes("sum", x, dim)
    shape, kept = x.shape, _kept(x.shape, axes)
    return _without(sum_over(x, axes), axes, keepdim), lambda dy: stretched(dy.reshape(kept), shape)


@op
def mean(x: np.ndarray, *, dim: Dims = None, keepdim: bool = False) -> Rule:
    """The mean over `dim` (all dimensions for `None`).

    Raises:
        ValueError: there is nothing to average.
    """
    check_float("mean", x=x)
    axes = _axes("mean", x, dim)
    shape, kept, count = x.shape, _kept(x.shape, axes), float(_count("mean", x, axes))

    def pullback(dy: np.ndarray) -> np.ndarray:
        return stretched(map_one(elementwise.over, dy, count).reshape(kept), shape)

    return _without(sum_over(x, axes, count), axes, keepdim), pullback


@op
def var(x: np.ndarray, *, dim: Dims = None, correction: int = 1, keepdim: bool = False) -> Rule:
    """The variance over `dim`, of squared deviations summed and divided by (count - correction), as in PyTorch.

    Raises:
        ValueError: no more elements than `correction`.
    """
    check_float("var", x=x)
    axes = _axes("var", x, dim)
    total = _count("var", x, axes)
    count = total - check_whole("var", "correction", correction, 0)
    if count <= 0:
        raise ValueError(f"var: expected more than {correction} elements, got shape {x.shape} over dim {axes}")
    deviation = map_two(elementwise.subtract, x, sum_over(x, axes, float(total)))
    squares, kept = map_two(elementwise.multiply, deviation, deviation), _kept(x.shape, axes)

    def pullback(dy: np.ndarray) -> np.ndarray:
        return map_two(elementwise.multiply, deviation, map_one(elementwise.over, dy, count / 2).reshape(kept))

    return _without(sum_over(squares, axes, float(count)), axes, keepdim), pullback


def std(x: Any, *, dim: Dims = None, correction: int = 1, keepdim: bool = False):
    """The standard deviation over `dim`: the root of `var`."""
    return var(x, dim=dim, correction=correction, keepdim=keepdim).sqrt()


@op
def max(x: np.ndarray, *, dim: Dims = None, keepdim: bool = False) -> Rule:
    """The largest values over `dim`; equal ones share the gradient.

    Raises:
        ValueError: there is nothing to compare.
    """
    return _extreme("max", sums.largest, x, dim, keepdim)


@op
def min(x: np.ndarray, *, dim: Dims = None, keepdim: bool = False) -> Rule:
    """The smallest values over `dim`; equal ones share the gradient.

    Raises:
        ValueError: there is nothing to compare.
    """
    return _extreme("min", sums.smallest, x, dim, keepdim)


def _extreme(name: str, kernel: Kernel, x: np.ndarray, dim: Dims, keepdim: bool) -> Rule:
    check_float(name, x=x)
    axes = _axes(name, x, dim)
    _count(name, x, axes)
    y = extreme_over(kernel, x, axes)
    return _without(y, axes, keepdim), lambda dy: extreme_gradient(x, y, dy.reshape(y.shape), axes)


@op
def argmax(x: np.ndarray, *, dim: int | None = None) -> Rule:
    """The place of the first largest value along `dim` (in the flattened tensor for `None`), int64."""
    return _place("argmax", np.argmax, x, dim), None


@op
def argmin(x: np.ndarray, *, dim: int | None = None) -> Rule:
    """The place of the first smallest value along `dim` (in the flattened tensor for `None`), int64."""
    return _place("argmin", np.argmin, x, dim), None


def _place(name: str, function: Any, x: np.ndarray, dim: int | None) -> np.ndarray:
    axis = None if dim is None else check_dim(name, dim, x.ndim)
    _count(name, x, tuple(range(x.ndim)) if axis is None else (axis,))
    return np.asarray(function(x, axis=axis), np.int64)
