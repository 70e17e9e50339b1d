"""Batch and layer normalization."""

import math
from typing import NamedTuple

import numpy as np

from ..autograd import Pullback, op
from ..checks import check_number, check_sizes
from ..kernels import normalization as kernels
from ..kernels.launch import launch
from ..kernels.layout import dense, empty_like, rows
from ..kernels.reduce import merge_columns
from .checks import check_float, check_ndim

Rule = tuple[np.ndarray, Pullback | None]
Pair = tuple[np.ndarray, np.ndarray]


@op
def batch_norm(
    x: np.ndarray,
    weight: np.ndarray | None = None,
    bias: np.ndarray | None = None,
    *,
    running_mean: np.ndarray | None = None,
    running_var: np.ndarray | None = None,
    training: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
    name: str = "batch_norm",
    needs: list[bool],
) -> Rule:
    """y = (x - mean) / sqrt(var + eps) * weight + bias for each channel, over the batch and all places in an image.

    In training with the batch's mean and biased variance, and the running statistics, where given, move in place by
    `momentum` towards the batch's mean and unbiased variance. Otherwise with the running statistics.

    Shape: x (N, C), (N, C, L) or (N, C, H, W), all else (C,), to the shape of x.
    Raises: ValueError: the shapes do not fit, or training on one value per channel. TypeError: the dtypes differ.
    Source: Ioffe & Szegedy, "Batch normalization" (2015), algorithms 1 and 2.
    """
    running = _check_batch_norm(name, x, weight, bias, running_mean, running_var)
    _check_settings(name, x, running, training, momentum, eps)
    running = running or (np.zeros(x.shape[1], x.dtype), np.zeros(x.shape[1], x.dtype))  # written, never read again
    images, ndim = dense(_as_images(x)), x.ndim
    saved = _statistics(_wide(images), weight, bias, running, training, momentum, eps)
    y = empty_like(images)
    launch(kernels.normalize, len(saved.matrix), saved.matrix, saved.affine, _wide(y), work=y.size)

    def pullback(dy: np.ndarray) -> tuple:
        dx = empty_like(images) if needs[0] else None
        dweight, dbias = _batch_norm_gradients(_wide(dense(_as_images(dy))), saved, training, dx)
        dx = None if dx is None else _as_given(dx, ndim)
        return dx, dweight if needs[1] else None, dbias if needs[2] else None

    return _as_given(y, ndim), pullback


class _Saved(NamedTuple):
    """What backward needs: rows (several side by side), weight, (center, scale, shift), (1 / deviation, remainder)."""

    matrix: np.ndarray
    weight: np.ndarray
    affine: np.ndarray
    moments: np.ndarray


def _as_images(x: np.ndarray) -> np.ndarray:
    """(N, C, L) as images of height 1."""
    return x[:, :, None] if x.ndim == 3 else x


def _as_given(y: np.ndarray, ndim: int) -> np.ndarray:
    return dense(y[:, :, 0]) if ndim == 3 else y


def _wide(images: np.ndarray) -> np.ndarray:
    """A dense array as a matrix of rows, or, where the channels are few, of several rows side by side."""
    matrix = rows(images)
    count, channels = matrix.shape
    lanes = kernels.lanes_of(count, channels)
    return matrix.reshape(count // lanes, lanes * channels)


def _statistics(
    matrix: np.ndarray,
    weight: np.ndarray | None,
    bias: np.ndarray | None,
    running: Pair,
    training: bool,
    momentum: float,
    eps: float,
) -> _Saved:
    """The statistics as a map of the input: the running ones, or the batch's, which then move the running ones."""
    scale = np.ones_like(running[0]) if weight is None else dense(weight)
    shift = np.zeros_like(scale) if bias is None else dense(bias)
    saved = _Saved(matrix, scale, np.empty((3, matrix.shape[1]), matrix.dtype), np.empty((2, len(scale))))
    if not training:
        arguments = (*running, scale, shift, saved.moments, saved.affine, eps)
        launch(kernels.fixed_statistics, len(scale), *arguments)
        return saved
    count, width = matrix.shape
    step = kernels.block_rows(width)
    pivot, rest, squares = np.empty((3, -(-count // step), width), matrix.dtype)
    merged = np.empty((2, width))
    launch(kernels.batch_moments, len(pivot), matrix, pivot, rest, squares, step, work=2 * matrix.size)
    launch(kernels.merge_moments, width, pivot, rest, squares, *merged, count, step, work=4 * pivot.size)
    arguments = (scale, shift, *running, saved.moments, saved.affine, count, momentum, eps)
    launch(kernels.batch_statistics, len(scale), *merged, *arguments)
    return saved


def _batch_norm_gradients(dy: np.ndarray, saved: _Saved, training: bool, dx: np.ndarray | None) -> Pair:
    """The gradients of weight and bias, and that of the input written into `dx`, if it is wanted."""
    matrix, weight, affine, moments = saved
    count, width = matrix.shape
    step = kernels.block_rows(width)
    blocks = max(1, -(-count // step))  # an empty batch has one block of no rows: its sums are zero
    partial, sums = np.empty((2, blocks, width), dy.dtype), np.empty((2, width))
    launch(kernels.batch_gradient_sums, blocks, matrix, dy, affine, *partial, step, work=2 * dy.size)
    for part, out in zip(partial, sums, strict=True):
        launch(merge_columns, width, part, out, out, work=part.size)
    dweight, dbias, slopes = np.empty_like(weight), np.empty_like(weight), np.empty_like(affine)
    arguments = (sums, weight, moments, dweight, dbias, slopes, count, training)
    launch(kernels.batch_gradients, len(weight), *arguments)
    if dx is not None and training:
        launch(kernels.batch_input_gradient, count, matrix, dy, affine, slopes, _wide(dx), work=2 * dy.size)
    elif dx is not None:  # fixed statistics: dx = (dy - 0) * scale + 0
        launch(kernels.normalize, count, dy, slopes, _wide(dx), work=dy.size)
    return dweight, dbias


def _check_batch_norm(
    name: str,
    x: np.ndarray,
    weight: np.ndarray | None,
    bias: np.ndarray | None,
    running_mean: np.ndarray | None,
    running_var: np.ndarray | None,
) -> Pair | None:
    """Refuse what does not fit the channels of `x`; answer the running statistics, if there are any."""
    check_float(name, x=x, weight=weight, bias=bias)
    check_ndim(name, x, 2, 3, 4, form="(N, C), (N, C, L) or (N, C, H, W)")
    for key, array in {"running_mean": running_mean, "running_var": running_var}.items():
        if array is not None and not isinstance(array, np.ndarray):
            raise TypeError(f"{name}: expected an ndarray as {key}, got {type(array).__name__}; pass a tensor's .data")
    given = {"weight": weight, "bias": bias, "running_mean": running_mean, "running_var": running_var}
    for key, array in given.items():
        if array is not None and array.shape != x.shape[1:2]:
            raise ValueError(
                f"{name}: expected {key} of shape {x.shape[1:2]} for the channels of x {x.shape}, got {array.shape}"
            )
    for key in ("running_mean", "running_var"):
        array = given[key]
        if array is not None and array.dtype != x.dtype:
            raise TypeError(f"{name}: expected {key} of dtype {x.dtype}, as x, got {array.dtype}; convert one")
        if array is not None and not (array.flags.c_contiguous and array.flags.writeable):
            raise ValueError(f"{name}: expected {key} that can be updated in place, got a read-only or strided array")
    if running_mean is None and running_var is None:
        return None
    if running_mean is None or running_var is None:
        raise ValueError(f"{name}: expected running_mean and running_var together, got one of them; pass both or none")
    return running_mean, running_var


def _check_settings(
    name: str, x: np.ndarray, running: Pair | None, training: bool, momentum: float, eps: float
) -> None:
    check_number(name, "eps", eps, 0)
    check_number(name, "momentum", momentum, 0, 1)
    if training and x.size // max(x.shape[1], 1) < 2:
        raise ValueError(
            f"{name}: expected more than one value per channel in training, got shape {x.shape}; use larger batches "
            "(drop_last=True leaves out a last batch of one) or eval()"
        )
    if not training and running is None:
        raise ValueError(
            f"{name}: expected running_mean and running_var outside training, got None; pass training=True"
        )


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
    extents = _check_layer_norm(x, weight, bias, normalized_shape, eps)
    shape, size = x.shape, math.prod(extents)
    matrix = np.ascontiguousarray(x).reshape(-1, size)  # an example's elements in the order of its shape, images too
    scale = np.ones(size, x.dtype) if weight is None else np.ascontiguousarray(weight).reshape(size)
    shift = np.zeros(size, x.dtype) if bias is None else np.ascontiguousarray(bias).reshape(size)
    y, moments = np.empty_like(matrix), np.empty((2, len(matrix)))
    launch(kernels.layer_norm_forward, len(y), matrix, scale, shift, y, *moments, eps, work=3 * y.size)

    def pullback(dy: np.ndarray) -> tuple:
        upstream, dx, dweight, dbias = np.ascontiguousarray(dy).reshape(matrix.shape), None, None, None
        if needs[0]:
            out = np.empty_like(matrix)
            launch(kernels.layer_norm_backward, len(out), matrix, scale, upstream, *moments, out, work=3 * out.size)
            dx = dense(out.reshape(shape))
        if needs[1] or needs[2]:
            dweight, dbias = (g.reshape(extents) for g in _layer_norm_gradients(upstream, matrix, moments))
        return dx, dweight, dbias

    return dense(y.reshape(shape)), pullback


def _layer_norm_gradients(dy: np.ndarray, matrix: np.ndarray, moments: np.ndarray) -> np.ndarray:
    """The gradients of weight and bias: sums over the rows, in blocks, merged in order."""
    count, size = matrix.shape
    step = kernels.block_rows(size)
    blocks = max(1, -(-count // step))
    partial, sums, gradients = np.empty((2, blocks, size), dy.dtype), np.empty(size), np.empty((2, size), dy.dtype)
    launch(kernels.layer_norm_gradient_sums, blocks, matrix, dy, *moments, *partial, step, work=2 * dy.size)
    for part, out in zip(partial, gradients, strict=True):
        launch(merge_columns, size, part, sums, out, work=part.size)
    return gradients


def _check_layer_norm(
    x: np.ndarray,
    weight: np.ndarray | None,
    bias: np.ndarray | None,
    normalized_shape: int | tuple[int, ...],
    eps: float,
) -> tuple[int, ...]:
    """The extents to normalize over."""
    check_float("layer_norm", x=x, weight=weight, bias=bias)
    check_number("layer_norm", "eps", eps, 0)
    given = normalized_shape if isinstance(normalized_shape, tuple | list) else (normalized_shape,)
    extents = check_sizes("layer_norm", given, 1)
    if not extents:
        raise ValueError("layer_norm: expected normalized_shape of at least one size, got ()")
    if x.shape[-len(extents) :] != extents:
        raise ValueError(f"layer_norm: expected x to end in normalized_shape {extents}, got shape {x.shape}")
    for key, array in {"weight": weight, "bias": bias}.items():
        if array is not None and array.shape != extents:
            raise ValueError(f"layer_norm: expected {key} of shape {extents}, got {array.shape}")
    return extents
