"""Batch normalization."""

import math
from typing import Any

import numpy as np

from ..autograd import Pullback, op
from ..checks import check_choice, check_number
from ..kernels import columns, moments, statistics
from ..kernels import normalization as kernels
from ..kernels.launch import launch
from ..kernels.layout import alike, dense, empty, flat, ordered
from ..kernels.memory import CACHE_LINE
from ..tensor import FLOATS
from .checks import check_float, check_ndim
from .constants import ones, zeros

Rule = tuple[np.ndarray, Pullback | None]


@op
def batch_norm(
    x: np.ndarray,
    weight: np.ndarray | None = None,
    bias: np.ndarray | None = None,
    *,
    running_mean: np.ndarray | None = None,
    running_var: np.ndarray | None = None,
    num_batches_tracked: np.ndarray | None = None,
    training: bool = True,
    momentum: float | None = 0.1,
    eps: float = 1e-5,
    activation: str | None = None,
    name: str = "batch_norm",
    needs: list[bool],
) -> Rule:
    """y = (x - mean) / sqrt(var + eps) * weight + bias for each channel, over the batch and all places in an image.

    In training with the batch's mean and biased variance, and the running statistics, where given, move in place by
    `momentum` towards the batch's mean and unbiased variance. Otherwise with the running statistics. Where
    `num_batches_tracked`, an int64, is given, training counts it up, and `momentum=None` makes the running statistics
    the mean over all batches.

    With activation="relu" it is max(y, 0), in the same pass each way.

    Shape: x (N, C), (N, C, L) or (N, C, H, W), all else (C,), to the shape of x.
    Raises: ValueError: the shapes do not fit, or training on one value per channel. TypeError: the dtypes differ.
    Source: Ioffe & Szegedy, "Batch normalization" (2015), algorithms 1 and 2.
    """
    if not _surely_fit(x, weight, bias, running_mean, running_var, num_batches_tracked, momentum, eps):
        _check_batch_norm(name, x, weight, bias, running_mean, running_var)
        _check_count(name, num_batches_tracked)
        _check_settings(name, x, running_mean, num_batches_tracked, training, momentum, eps)
    if activation is not None and activation != "relu":
        check_choice(name, "activation", activation, ("relu",))
    if running_mean is None or running_var is None:
        running_mean = running_var = zeros(0, x.dtype)
    tracked = _UNCOUNTED if num_batches_tracked is None else flat(num_batches_tracked)
    weight = ones(x.shape[1], x.dtype) if weight is None else dense(weight)
    bias = zeros(x.shape[1], x.dtype) if bias is None else dense(bias)
    parameters, rectified = (weight, bias, running_mean, running_var), activation is not None
    images = x if x.ndim != 3 else dense(x[:, :, None])
    if training:
        momentum = -1.0 if momentum is None else momentum
        rule = _normalize_batch(images, parameters, tracked, rectified, momentum, eps, needs[0])
    else:
        rule = _normalize_fixed(images, parameters, rectified, eps, needs[0])
    return rule if x.ndim != 3 else _without_rows(*rule)


def _without_rows(y: np.ndarray, pull: Any) -> Rule:
    """The rule of sequences (N, C, L), of that for images of one row."""

    def pullback(dy: np.ndarray) -> tuple:
        dx, dweight, dbias = pull(dense(dy[:, :, None]))
        return None if dx is None else ordered(dx[:, :, 0]), dweight, dbias

    return ordered(y[:, :, 0]), pullback


def _normalize_batch(
    x: np.ndarray,
    parameters: tuple[np.ndarray, ...],
    tracked: np.ndarray,
    rectified: bool,
    momentum: float,
    eps: float,
    wants_input: bool,
) -> Rule:
    """By the batch's statistics; the parameters are weight and bias, running mean and variance, empty if not given."""
    shape, size, dtype, row = x.shape, x.size, x.dtype, flat(x)
    channels = shape[1]
    rows = size // max(channels, 1)
    walk = moments.walk_of(rows, channels)
    sums, affine, saved = empty(walk.sums, _DOUBLE), empty(walk.maps, dtype), empty((2, channels), _DOUBLE)
    y = empty(shape, dtype)
    if walk.groups and momentum >= 0:  # else the count of batches is read in one launch and changed in another
        arguments = (row, *parameters, tracked, sums, saved, affine, flat(y), moments.TOGETHER)
        launch(columns.normalize_groups, walk.groups, *arguments, rectified, momentum, eps, work=2 * size)
    else:
        launch(moments.batch_moments, walk.parts, row, sums, channels, *walk[:3], work=2 * size)
        arguments = (sums, *parameters, tracked, saved, affine, rows, walk.part * walk.width // channels, walk.width)
        launch(statistics.batch_statistics, channels, *arguments, momentum, eps, work=4 * walk.parts * channels)
        arguments = (row, affine, tracked, flat(y), walk.width, walk.step, rectified, _streams(row, walk))
        launch(kernels.normalize, walk.blocks, *arguments, work=size)
    kept = row, parameters[0], sums, affine, saved
    return y, _batch_norm_pullback(kept, walk, shape, rectified, True, wants_input)


def _normalize_fixed(
    x: np.ndarray, parameters: tuple[np.ndarray, ...], rectified: bool, eps: float, wants_input: bool
) -> Rule:
    """By the running statistics."""
    shape, channels, row = x.shape, x.shape[1], flat(x)
    walk = moments.walk_of(row.size // max(channels, 1), channels)
    sums, affine, saved = empty(walk.sums, _DOUBLE), empty(walk.maps, row.dtype), empty((2, channels), _DOUBLE)
    y = empty(shape, row.dtype)
    launch(statistics.fixed_statistics, channels, *parameters, saved, affine, walk.width, eps)
    arguments = (row, affine, _UNCOUNTED, flat(y), walk.width, walk.step, rectified, _streams(row, walk))
    launch(kernels.normalize, walk.blocks, *arguments, work=row.size)
    kept = row, parameters[0], sums, affine, saved
    return y, _batch_norm_pullback(kept, walk, shape, rectified, False, wants_input)


def _batch_norm_pullback(
    kept: tuple[np.ndarray, ...],
    walk: moments.Walk,
    shape: tuple[int, ...],
    rectified: bool,
    training: bool,
    wants_input: bool,
) -> Pullback:
    """The pullback; kept are x as a row, weight, memory for sums, the maps of the input and what else is saved."""

    def pullback(dy: np.ndarray) -> tuple:
        row, weight, sums, affine, saved = kept
        channels, dtype, size = len(weight), row.dtype, row.size
        given, dweight, dbias = flat(dy), empty((channels,), dtype), empty((channels,), dtype)
        dx = empty(shape if wants_input else (0,), dtype)
        if walk.groups:
            arguments = (row, given, weight, saved, affine, sums, dweight, dbias, flat(dx), moments.TOGETHER)
            launch(columns.differentiate_groups, walk.groups, *arguments, rectified, training, work=4 * size)
            return dx if wants_input else None, dweight, dbias
        arguments = (row, given, affine, sums, channels, *walk[:3], rectified)
        launch(kernels.batch_gradient_sums, walk.parts, *arguments, work=2 * size)
        arguments = (sums, weight, saved, dweight, dbias, affine, size // max(channels, 1), walk.width, training)
        launch(statistics.batch_gradients, channels, *arguments, work=2 * walk.parts * channels)
        if not wants_input:
            return None, dweight, dbias
        arguments = (row, given, affine, flat(dx), walk.width, walk.step, rectified, training, _streams(row, walk))
        launch(kernels.batch_input_gradient, walk.blocks, *arguments, work=2 * size)
        return dx, dweight, dbias

    return pullback


_UNCOUNTED = np.empty(0, np.int64)
_DOUBLE = FLOATS[1]


def _streams(row: np.ndarray, walk: moments.Walk) -> bool:
    """Whether a row as large is to be stored past the caches, in whole cache lines."""
    return row.nbytes >= kernels.STREAM_FROM and not walk.groups and walk.width * row.itemsize % CACHE_LINE == 0


def _surely_fit(
    x: np.ndarray, weight: Any, bias: Any, mean: Any, var: Any, tracked: Any, momentum: float | None, eps: float
) -> bool:
    """Whether `_check_batch_norm` and `_check_settings` would pass, told quickly and of the usual case alone."""
    dtype, shape = x.dtype, x.shape
    if (dtype is not FLOATS[0] and dtype is not FLOATS[1]) or len(shape) not in (2, 3, 4) or x.size < 2 * shape[1]:
        return False
    if not alike(weight, bias, mean, var) or weight.dtype is not dtype or weight.shape != shape[1:2]:
        return False
    if type(tracked) is not np.ndarray or tracked.dtype is not _UNCOUNTED.dtype:
        return False
    if tracked.size != 1 or not tracked.flags.writeable:
        return False
    if momentum is not None and not (type(momentum) is float and 0 <= momentum <= 1):
        return False
    return type(eps) is float and 0 <= eps < math.inf


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


def _check_count(name: str, tracked: np.ndarray | None) -> None:
    """Refuse what a kernel could not count up."""
    if tracked is None:
        return
    if not isinstance(tracked, np.ndarray) or tracked.dtype != np.int64:
        kind = tracked.dtype if isinstance(tracked, np.ndarray) else type(tracked).__name__
        raise TypeError(f"{name}: expected num_batches_tracked, an int64 ndarray, got {kind}; pass a tensor's .data")
    if tracked.size != 1 or not tracked.flags.writeable:
        raise ValueError(f"{name}: expected num_batches_tracked of one writable element, got shape {tracked.shape}")


def _check_settings(
    name: str,
    x: np.ndarray,
    running: np.ndarray | None,
    tracked: np.ndarray | None,
    training: bool,
    momentum: float | None,
    eps: float,
) -> None:
    check_number(name, "eps", eps, 0)
    if momentum is not None or tracked is None:
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
