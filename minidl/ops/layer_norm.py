"""Layer normalization."""

import math
from typing import Any

import numpy as np

from ..autograd import Pullback, op
from ..checks import check_number, check_sizes
from ..kernels import layer_norm as kernels
from ..kernels.launch import launch
from ..kernels.layout import alike, dense, empty, flat, ordered
from ..tensor import FLOATS
from .checks import check_float
from .constants import ones, zeros

Rule = tuple[np.ndarray, Pullback | None]


@op
def layer_norm(
    x: np.ndarray,
    weight: np.ndarray | None = None,
    bias: np.ndarray | None = None,
    *,
    normalized_shape: int | tuple[int, ...],
    eps: float = 1e-5,
    needs: list[bool],
) -> Rule:
    """y = (x - mean) / sqrt(var + eps) * weight + bias for each example, over the last dimensions.

    Shape: x (..., *normalized_shape), weight and bias normalized_shape, to the shape of x.
    Raises: ValueError: the shapes do not fit. TypeError: the dtypes differ.
    Source: Ba, Kiros & Hinton, "Layer normalization" (2016), section 3.
    """
    extents: Any = normalized_shape
    if not _surely_fit(x, weight, bias, normalized_shape, eps):
        extents = _check_layer_norm(x, weight, bias, normalized_shape, eps)
    shape, dtype, size = x.shape, x.dtype, math.prod(extents)
    count, row = x.size // size, _in_row(x)  # an example's elements in the order of its shape, images too
    scale = ones(size, dtype) if weight is None else _in_row(weight)
    shift = zeros(size, dtype) if bias is None else _in_row(bias)
    y, moments = empty((x.size,), dtype), empty((2, count), FLOATS[1])
    launch(kernels.layer_norm_forward, count, row, scale, shift, y, moments, eps, work=3 * row.size)

    def pullback(dy: np.ndarray) -> tuple:
        step = kernels.rows_of_part(count, size)
        blocks, dx = max(1, -(-count // step)), empty(row.shape, dtype)
        along, total = empty((blocks, size), dtype), empty((blocks, size), dtype)
        arguments = (row, scale, _in_row(dy), moments, dx, along, total, step)
        launch(kernels.layer_norm_backward, blocks, *arguments, work=4 * row.size)
        dweight, dbias = along, total
        if blocks > 1:
            dweight, dbias = empty((size,), dtype), empty((size,), dtype)
            launch(kernels.merge_parts, size, along, total, dweight, dbias, work=4 * along.size)
        return _in_order(dx, shape) if needs[0] else None, dweight.reshape(extents), dbias.reshape(extents)

    return _in_order(y, shape), pullback


def _in_row(x: np.ndarray) -> np.ndarray:
    return flat(x) if x.ndim != 4 else ordered(x).reshape(-1)


def _in_order(row: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    return row.reshape(shape) if len(shape) < 4 else dense(row.reshape(shape))


def _surely_fit(x: np.ndarray, weight: Any, bias: Any, extents: Any, eps: float) -> bool:
    """Whether `_check_layer_norm` would pass, told quickly and of the usual case alone."""
    dtype = x.dtype
    if (dtype is not FLOATS[0] and dtype is not FLOATS[1]) or type(extents) is not tuple:
        return False
    if not alike(weight, bias) or weight.dtype is not dtype or not weight.size:
        return False
    if not weight.shape == extents == x.shape[-len(extents) :]:
        return False
    return type(eps) is float and 0 <= eps < math.inf


def _check_layer_norm(
    x: np.ndarray,
    weight: np.ndarray | None,
    bias: np.ndarray | None,
    normalized_shape: int | tuple[int, ...],
    eps: float,
) -> tuple[int, ...]:
    """The extents to normalize over."""
    check_float("layer_norm", x=x, weight=weight, bias=bias)
    if type(eps) is not float or not 0 <= eps < math.inf:
        check_number("layer_norm", "eps", eps, 0)
    extents = _check_extents(normalized_shape)
    if x.shape[-len(extents) :] != extents:
        raise ValueError(f"layer_norm: expected x to end in normalized_shape {extents}, got shape {x.shape}")
    for key, array in (("weight", weight), ("bias", bias)):
        if array is not None and array.shape != extents:
            raise ValueError(f"layer_norm: expected {key} of shape {extents}, got {array.shape}")
    return extents


def _check_extents(given: int | tuple[int, ...] | list[int]) -> tuple[int, ...]:
    if type(given) is tuple and len(given) == 1 and type(given[0]) is int and given[0] > 0:
        return given
    extents = check_sizes("layer_norm", given if isinstance(given, tuple | list) else (given,), 1)
    if not extents:
        raise ValueError("layer_norm: expected normalized_shape of at least one size, got ()")
    return extents
