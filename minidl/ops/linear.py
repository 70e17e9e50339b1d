"""Matrix products: `matmul` and the affine map of a Linear layer."""

import math

import numpy as np

from ..autograd import Pullback, op
from ..kernels.launch import launch
from ..kernels.layout import dense, ordered, reshaped
from ..kernels.matmul import matmul as product
from ..kernels.reduce import BLOCK_ROWS, column_sums, merge
from ..kernels.sums import sum_over
from .checks import check_broadcast, check_float

Rule = tuple[np.ndarray, Pullback | None]


def sum_rows(x: np.ndarray) -> np.ndarray:
    """The sum over the rows of a C-ordered matrix, in blocks of a fixed number of rows merged in order."""
    blocks = -(-x.shape[0] // BLOCK_ROWS)
    if blocks == 1:  # nothing to merge
        out = np.empty(x.shape[1], x.dtype)
        launch(column_sums, 1, x, out[None], work=x.size)
        return out
    partial, out = np.empty((blocks, x.shape[1]), x.dtype), np.empty(x.shape[1], x.dtype)
    launch(column_sums, blocks, x, partial, work=x.size)
    merge(partial, out)
    return out


@op
def matmul(x: np.ndarray, y: np.ndarray, *, needs: list[bool]) -> Rule:
    """The matrix product over the last two dimensions; the others broadcast, and a vector is a row or a column.

    Shape: (..., M, K) and (..., K, N), to (..., M, N).
    Raises: ValueError: the inner extents differ, or an input has no dimensions.
    """
    check_float("matmul", x=x, y=y)
    if not x.ndim or not y.ndim:
        raise ValueError(
            f"matmul: expected at least one dimension each, got {x.shape} and {y.shape}; use * for scaling"
        )
    left = x.reshape(1, -1) if x.ndim == 1 else x
    right = y.reshape(-1, 1) if y.ndim == 1 else y
    if left.shape[-1] != right.shape[-2]:
        raise ValueError(f"matmul: expected equal inner extents, got {x.shape} and {y.shape}")
    check_broadcast("matmul", np.empty(left.shape[:-2]), np.empty(right.shape[:-2]))
    z = _stacked(left, right)

    def pullback(dz: np.ndarray) -> tuple:
        dz = dz.reshape(z_shape)
        dx = _stacked(dz, right.swapaxes(-1, -2)) if needs[0] else None
        dy = _stacked(left.swapaxes(-1, -2), dz) if needs[1] else None
        return _as_vector(dx, x), _as_vector(dy, y)

    z_shape = z.shape
    squeezed = [d for d, vector in ((-2, x.ndim == 1), (-1, y.ndim == 1)) if vector]
    return np.squeeze(z, tuple(squeezed)), pullback


def _stacked(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The product of each matrix of one stack with that of the other; the stacks broadcast."""
    if x.ndim == y.ndim == 2:
        return product(x, y)
    stack = np.broadcast_shapes(x.shape[:-2], y.shape[:-2])
    x, y = np.broadcast_to(x, stack + x.shape[-2:]), np.broadcast_to(y, stack + y.shape[-2:])
    out = np.empty((*stack, x.shape[-2], y.shape[-1]), x.dtype)
    for place in np.ndindex(stack):
        product(x[place], y[place], out=out[place])
    return out


def _as_vector(gradient: np.ndarray | None, original: np.ndarray) -> np.ndarray | None:
    """The gradient of a vector that took part as a matrix, summed over the broadcast dimensions."""
    if gradient is None or original.ndim != 1:
        return gradient
    return sum_over(gradient.reshape(-1, original.size), (0,)).reshape(original.shape)


@op
def linear(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None = None, *, needs: list[bool]) -> Rule:
    """y = x W^T + b over the last dimension.

    Shape: x (..., in), weight (out, in), bias (out,), to (..., out).
    Raises: ValueError: the shapes do not fit. TypeError: the dtypes differ.
    """
    check_float("linear", x=x, weight=weight, bias=bias)
    if weight.ndim != 2 or not x.ndim or x.shape[-1] != weight.shape[1]:
        raise ValueError(
            f"linear: expected x (..., {weight.shape[-1] if weight.ndim else '?'}) for weight {weight.shape} "
            f"(out, in), got x {x.shape}; flatten images first"
        )
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ValueError(f"linear: expected bias of shape {weight.shape[:1]}, got {bias.shape}")
    shape, outputs, flat = x.shape, weight.shape[0], x.ndim == 2
    matrix = x if flat else reshaped(x, (math.prod(shape[:-1]), shape[-1]))
    y = product(matrix, weight.T, bias=bias if bias is None else dense(bias))

    def pullback(dy: np.ndarray) -> tuple:
        gradient = ordered(dy if flat else reshaped(dy, (len(matrix), outputs)))
        dx = None
        if needs[0]:
            dx = product(gradient, weight)
            dx = dx if flat else dx.reshape(shape)
        return dx, product(gradient.T, matrix) if needs[1] else None, sum_rows(gradient) if needs[2] else None

    return y if flat else y.reshape(*shape[:-1], outputs), pullback
