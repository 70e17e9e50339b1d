"""Batch and layer normalization."""

import math
from typing import NamedTuple

import numpy as np

from ..autograd import Pullback, op
from ..checks import check_choice, check_number, check_sizes
from ..kernels import layer_norm as layers
from ..kernels import moments as statistics
from ..kernels import normalization as kernels
from ..kernels.lanes import CACHE_LINE
from ..kernels.launch import launch
from ..kernels.layout import dense, empty_like, flat
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
    activation: str | None = None,
    name: str = "batch_norm",
    needs: list[bool],
) -> Rule:
    """y = (x - mean) / sqrt(var + eps) * weight + bias for each channel, over the batch and all places in an image.

    In training with the batch's mean and biased variance, and the running statistics, where given, move in place by
    `momentum` towards the batch's mean and unbiased variance. Otherwise with the running statistics.

    With activation="relu" it is max(y, 0), in the same pass each way.

    Shape: x (N, C), (N, C, L) or (N, C, H, W), all else (C,), to the shape of x.
    Raises: ValueError: the shapes do not fit, or training on one value per channel. TypeError: the dtypes differ.
    Source: Ioffe & Szegedy, "Batch normalization" (2015), algorithms 1 and 2.
    """
    running = _check_batch_norm(name, x, weight, bias, running_mean, running_var)
    _check_settings(name, x, running, training, momentum, eps)
    if activation is not None:
        check_choice(name, "activation", activation, ("relu",))
    rectified = activation is not None
    running = running or (np.zeros(x.shape[1], x.dtype), np.zeros(x.shape[1], x.dtype))  # written, never read again
    images, ndim = dense(_as_images(x)), x.ndim
    walk = statistics.walk_of(x.size // max(x.shape[1], 1), x.shape[1])
    saved = _statistics(flat(images), walk, weight, bias, running, training, momentum, eps)
    (y, streamed), blocks = _output(images, walk), -(-x.size // max(walk.step * walk.width, 1))
    arguments = (saved.x, saved.affine, flat(y), walk.width, walk.step, rectified, streamed)
    launch(kernels.normalize, blocks, *arguments, work=y.size)

    def pullback(dy: np.ndarray) -> tuple:
        dx, streamed = _output(images, walk) if needs[0] else (None, False)
        arguments = (saved, walk, rectified, training, dx, streamed)
        dweight, dbias = _batch_norm_gradients(flat(dense(_as_images(dy))), *arguments)
        dx = None if dx is None else _as_given(dx, ndim)
        return dx, dweight if needs[1] else None, dbias if needs[2] else None

    return _as_given(y, ndim), pullback


class _Saved(NamedTuple):
    """What backward needs: x in memory, weight, (center, scale, shift), (1 / deviation, remainder)."""

    x: np.ndarray
    weight: np.ndarray
    affine: np.ndarray
    moments: np.ndarray


def _as_images(x: np.ndarray) -> np.ndarray:
    """(N, C, L) as images of height 1."""
    return x[:, :, None] if x.ndim == 3 else x


def _as_given(y: np.ndarray, ndim: int) -> np.ndarray:
    return dense(y[:, :, 0]) if ndim == 3 else y


def _statistics(
    x: np.ndarray,
    walk: statistics.Walk,
    weight: np.ndarray | None,
    bias: np.ndarray | None,
    running: Pair,
    training: bool,
    momentum: float,
    eps: float,
) -> _Saved:
    """The statistics as a map of the input: the running ones, or the batch's, which then move the running ones."""
    channels, (width, padded, step, part, parts) = len(running[0]), walk
    scale = np.ones_like(running[0]) if weight is None else dense(weight)
    shift = np.zeros_like(scale) if bias is None else dense(bias)
    saved = _Saved(x, scale, np.empty((3, padded), x.dtype), np.empty((2, channels)))
    arguments = (scale, shift, *running, saved.moments, saved.affine)
    if not training:
        launch(statistics.fixed_statistics, channels, *arguments, width, eps)
        return saved
    moments = np.empty((parts, 2, padded))
    launch(statistics.batch_moments, parts, x, moments, channels, width, step, part, work=2 * x.size)
    arguments += (x.size // channels, part * width // channels, width, momentum, eps)
    launch(statistics.batch_statistics, channels, moments, *arguments, work=4 * parts * channels)
    return saved


def _output(images: np.ndarray, walk: statistics.Walk) -> tuple[np.ndarray, bool]:
    """An uninitialised array like `images`, and whether it is to be stored past the caches, aligned to their lines."""
    if images.nbytes < kernels.STREAM_FROM or walk.width * images.itemsize % CACHE_LINE:
        return empty_like(images), False
    memory = np.empty(images.nbytes + CACHE_LINE, np.uint8)
    start = -memory.ctypes.data % CACHE_LINE
    row = memory[start : start + images.nbytes].view(images.dtype)
    if images.ndim != 4:
        return row.reshape(images.shape), True
    n, c, h, w = images.shape
    return row.reshape(n, h, w, c).transpose(0, 3, 1, 2), True


def _batch_norm_gradients(
    dy: np.ndarray,
    saved: _Saved,
    walk: statistics.Walk,
    rectified: bool,
    training: bool,
    dx: np.ndarray | None,
    streamed: bool,
) -> Pair:
    """The gradients of weight and bias, and that of the input written into `dx`, if it is wanted."""
    (x, weight, affine, moments), (width, padded, step, part, parts) = saved, walk
    channels, sums = len(weight), np.empty((parts, 2, padded))
    arguments = (x, dy, affine, sums, channels, width, step, part, rectified)
    launch(kernels.batch_gradient_sums, parts, *arguments, work=2 * x.size)
    dweight, dbias, slopes = np.empty_like(weight), np.empty_like(weight), np.empty_like(affine)
    arguments = (sums, weight, moments, dweight, dbias, slopes, x.size // max(channels, 1), width, training)
    launch(kernels.batch_gradients, channels, *arguments, work=2 * parts * channels)
    if dx is not None:
        blocks, arguments = -(-x.size // max(step * width, 1)), (x, dy, affine, slopes, flat(dx), width, step)
        launch(kernels.batch_input_gradient, blocks, *arguments, rectified, training, streamed, work=2 * x.size)
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
    x = np.ascontiguousarray(x)  # an example's elements in the order of its shape, images too
    scale = np.ones(size, x.dtype) if weight is None else np.ascontiguousarray(weight).reshape(size)
    shift = np.zeros(size, x.dtype) if bias is None else np.ascontiguousarray(bias).reshape(size)
    source, count, y = x.reshape(-1), x.size // size, np.empty(shape, x.dtype)
    moments = np.empty((2, count))
    launch(layers.layer_norm_forward, count, source, scale, shift, y.reshape(-1), moments, eps, work=3 * y.size)

    def pullback(dy: np.ndarray) -> tuple:
        step = layers.rows_of_part(count)
        blocks, dx = max(1, -(-count // step)), np.empty(shape, source.dtype)
        partial = np.empty((blocks, 2 * size), source.dtype)
        arguments = (source, scale, np.ascontiguousarray(dy).reshape(-1), moments, dx.reshape(-1), partial, step)
        launch(layers.layer_norm_backward, blocks, *arguments, work=4 * source.size)
        sums, gradients = np.empty(2 * size), np.empty((2, *extents), source.dtype)
        launch(merge_columns, 2 * size, partial, sums, gradients.reshape(-1), work=partial.size)
        return dense(dx) if needs[0] else None, gradients[0], gradients[1]

    return dense(y), pullback


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
