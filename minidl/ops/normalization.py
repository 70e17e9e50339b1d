"""Batch and layer normalization."""

import math
from typing import Any

import numpy as np

from ..autograd import Pullback, op
from ..checks import check_choice, check_number, check_sizes
from ..kernels import layer_norm as layers
from ..kernels import moments as statistics
from ..kernels import normalization as kernels
from ..kernels.lanes import CACHE_LINE
from ..kernels.launch import launch
from ..kernels.layout import dense, flat
from ..tensor import FLOATS
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
    if not _surely_fit(x, weight, bias, running_mean, running_var, momentum, eps):
        _check_batch_norm(name, x, weight, bias, running_mean, running_var)
        _check_settings(name, x, running_mean, training, momentum, eps)
    running = None if running_mean is None or running_var is None else (running_mean, running_var)
    if activation is not None:
        check_choice(name, "activation", activation, ("relu",))
    return _batch_norm(x, weight, bias, running, training, (momentum, eps), activation is not None, needs[0])


def _batch_norm(
    x: np.ndarray,
    weight: np.ndarray | None,
    bias: np.ndarray | None,
    running: Pair | None,
    training: bool,
    settings: tuple[float, float],
    rectified: bool,
    wants_input: bool,
) -> Rule:
    """The rule; `settings` are momentum and eps."""
    shape, channels, dtype = x.shape, x.shape[1], x.dtype
    rows = x.size // max(channels, 1)
    walk, row = statistics.walk_of(rows, channels), _row(x)
    weight, bias = _or_all(weight, 1, channels, dtype), _or_all(bias, 0, channels, dtype)
    sums, affine, saved = np.empty(walk.sums), np.empty(walk.maps, dtype), np.empty((2, channels))
    if running is None:
        running = np.zeros(channels, dtype), np.zeros(channels, dtype)  # written, never read again
    if training:
        launch(statistics.batch_moments, walk.parts, row, sums, channels, *walk[:3], work=2 * row.size)
        counts = rows, walk.part * walk.width // channels, walk.width
        arguments = (sums, weight, bias, *running, saved, affine, *counts, *settings)
        launch(statistics.batch_statistics, channels, *arguments, work=4 * walk.parts * channels)
    else:
        launch(statistics.fixed_statistics, channels, weight, bias, *running, saved, affine, walk.width, settings[1])
    y, streamed = _output(row, walk.width)
    launch(kernels.normalize, walk.blocks, row, affine, y, walk.width, walk.step, rectified, streamed, work=row.size)
    kept = row, weight, sums, affine, saved
    return _as_given(y, shape), _batch_norm_pullback(kept, walk, shape, rectified, training, wants_input)


def _batch_norm_pullback(
    kept: tuple[np.ndarray, ...],
    walk: statistics.Walk,
    shape: tuple[int, ...],
    rectified: bool,
    training: bool,
    wants_input: bool,
) -> Pullback:
    """The pullback; kept are x as a row, weight, memory for sums, the maps of the input and what else is saved."""

    def pullback(dy: np.ndarray) -> tuple:
        row, weight, sums, affine, saved = kept
        channels, dtype, size = len(weight), row.dtype, row.size
        given, dweight, dbias = _row(dy), np.empty(channels, dtype), np.empty(channels, dtype)
        arguments = (row, given, affine, sums, channels, *walk[:3], rectified)
        launch(kernels.batch_gradient_sums, walk.parts, *arguments, work=2 * size)
        arguments = (sums, weight, saved, dweight, dbias, affine, size // max(channels, 1), walk.width, training)
        launch(kernels.batch_gradients, channels, *arguments, work=2 * walk.parts * channels)
        if not wants_input:
            return None, dweight, dbias
        dx, streamed = _output(row, walk.width)
        arguments = (row, given, affine, dx, walk.width, walk.step, rectified, training, streamed)
        launch(kernels.batch_input_gradient, walk.blocks, *arguments, work=2 * size)
        return _as_given(dx, shape), dweight, dbias

    return pullback


def _row(x: np.ndarray) -> np.ndarray:
    """The elements in one row, a place's channels side by side: the memory itself where they lie so, else a copy."""
    if x.ndim == 2:
        return x.ravel()
    return flat(x) if x.ndim == 4 else x.transpose(0, 2, 1).ravel()


def _as_given(row: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """What `_row` made one row, in canonical order."""
    if len(shape) == 2:
        return row.reshape(shape)
    if len(shape) == 4:
        n, c, h, w = shape
        return row.reshape(n, h, w, c).transpose(0, 3, 1, 2)
    n, c, length = shape
    return dense(row.reshape(n, length, c).transpose(0, 2, 1))


def _or_all(given: np.ndarray | None, value: int, channels: int, dtype: np.dtype) -> np.ndarray:
    return np.full(channels, value, dtype) if given is None else dense(given)


def _output(like: np.ndarray, width: int) -> tuple[np.ndarray, bool]:
    """An uninitialised row, and whether it is to be stored past the caches, aligned to their lines."""
    size = like.nbytes
    if size < kernels.STREAM_FROM or width * like.itemsize % CACHE_LINE:
        return np.empty(like.size, like.dtype), False
    memory = np.empty(size + CACHE_LINE, np.uint8)
    start = -memory.ctypes.data % CACHE_LINE
    return memory[start : start + size].view(like.dtype), True


def _surely_fit(x: np.ndarray, *given: Any) -> bool:
    """Whether `_check_batch_norm` and `_check_settings` would pass, told quickly and of the usual case alone."""
    *arrays, momentum, eps = given
    dtype, shape = x.dtype, x.shape
    if (dtype is not FLOATS[0] and dtype is not FLOATS[1]) or len(shape) not in (2, 3, 4) or x.size < 2 * shape[1]:
        return False
    channels = shape[1:2]
    for array in arrays:
        if type(array) is not np.ndarray or array.dtype is not dtype or array.shape != channels:
            return False
    for running in arrays[2:]:
        flags = running.flags
        if not (flags.c_contiguous and flags.writeable):
            return False
    return type(momentum) is type(eps) is float and 0 <= momentum <= 1 and 0 <= eps < math.inf


def _check_batch_norm(
    name: str,
    x: np.ndarray,
    weight: np.ndarray | None,
    bias: np.ndarray | None,
    running_mean: np.ndarray | None,
    running_var: np.ndarray | None,
) -> None:
    """Refuse what does not fit the channels of `x`."""
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
    if (running_mean is None) != (running_var is None):
        raise ValueError(f"{name}: expected running_mean and running_var together, got one of them; pass both or none")


def _check_settings(
    name: str, x: np.ndarray, running: np.ndarray | None, training: bool, momentum: float, eps: float
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
    shape, dtype, size = x.shape, x.dtype, math.prod(extents)
    count, row = x.size // size, x.ravel()  # an example's elements in the order of its shape, images too
    scale = np.ones(size, dtype) if weight is None else weight.ravel()
    shift = np.zeros(size, dtype) if bias is None else bias.ravel()
    y, moments = np.empty(x.size, dtype), np.empty((2, count))
    launch(layers.layer_norm_forward, count, row, scale, shift, y, moments, eps, work=3 * row.size)

    def pullback(dy: np.ndarray) -> tuple:
        step = layers.rows_of_part(count)
        blocks, dx = max(1, -(-count // step)), np.empty(row.size, dtype)
        partial, dweight, dbias = (
            np.empty((blocks, 2 * size), dtype),
            np.empty(extents, dtype),
            np.empty(extents, dtype),
        )
        arguments = (row, scale, dy.ravel(), moments, dx, partial, step)
        launch(layers.layer_norm_backward, blocks, *arguments, work=4 * row.size)
        launch(layers.merge_parts, size, partial, dweight.ravel(), dbias.ravel(), work=2 * partial.size)
        return _in_order(dx, shape) if needs[0] else None, dweight, dbias

    return _in_order(y, shape), pullback


def _in_order(row: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    return row.reshape(shape) if len(shape) < 4 else dense(row.reshape(shape))


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
