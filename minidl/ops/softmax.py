"""Softmax and its logarithm, and how a dimension comes to lie along a matrix's rows."""

import math

import numpy as np

from ..autograd import Pullback, op
from ..kernels import softmax as kernels
from ..kernels.launch import Kernel, launch
from ..kernels.layout import dense, ordered
from .checks import check_dim, check_float

Rule = tuple[np.ndarray, Pullback | None]


def along_rows(x: np.ndarray, dim: int) -> np.ndarray:
    """A C-ordered matrix whose rows run along `dim`; for images and dim 1 it is their memory as it lies."""
    if x.ndim == 2 and dim == 1:
        return ordered(x)
    moved = np.moveaxis(x, dim, -1) if x.ndim else x.reshape(1)
    return ordered(moved).reshape(math.prod(moved.shape[:-1]), moved.shape[-1])


def from_rows(matrix: np.ndarray, shape: tuple[int, ...], dim: int) -> np.ndarray:
    """The array of this shape, in canonical order, of which `along_rows` made the matrix."""
    if not shape:
        return matrix.reshape(())
    if len(shape) == 2 and dim == 1:
        return matrix
    others = shape[:dim] + shape[dim + 1 :]
    return dense(np.moveaxis(matrix.reshape(*others, shape[dim]), -1, dim))


@op
def softmax(x: np.ndarray, *, dim: int) -> Rule:
    """e^x / sum(e^x) along `dim`.

    Shape: any, to the same.
    Raises: ValueError: there is no such dimension. TypeError: x is not float32 or float64.
    """
    return _rowwise("softmax", kernels.softmax_forward, kernels.softmax_backward, x, dim)


@op
def log_softmax(x: np.ndarray, *, dim: int) -> Rule:
    """x - log(sum(e^x)) along `dim`.

    Shape: any, to the same.
    Raises: ValueError: there is no such dimension. TypeError: x is not float32 or float64.
    """
    return _rowwise("log_softmax", kernels.log_softmax_forward, kernels.log_softmax_backward, x, dim)


def _rowwise(name: str, forward: Kernel, backward: Kernel, x: np.ndarray, dim: int) -> Rule:
    check_float(name, x=x)
    dim, shape = check_dim(name, dim, x.ndim), x.shape
    matrix = along_rows(x, dim)
    y = np.empty_like(matrix)
    launch(forward, len(y), matrix, y, work=16 * y.size)

    def pullback(dy: np.ndarray) -> np.ndarray:
        dx = np.empty_like(y)
        launch(backward, len(dx), y, along_rows(dy, dim), dx, work=4 * dx.size)
        return from_rows(dx, shape, dim)

    return from_rows(y, shape, dim), pullback
