"""Pooling: the largest or the mean of each window."""

from functools import lru_cache
from typing import Any

import numpy as np

from ..autograd import Pullback, op
from ..checks import Pair, Sizes, check_pair, check_whole
from ..kernels.launch import launch
from ..kernels.layout import dense, empty, images
from ..kernels.pooling import (
    average_backward,
    average_backward_apart,
    average_forward,
    max_backward,
    max_backward_apart,
    max_forward,
    max_forward_by_twos,
    max_forward_with_places,
)
from .geometry import (
    Spans,
    adaptive_spans,
    axis,
    batched,
    check_images,
    count_windows,
    spans,
    unbatched,
)

Rule = tuple[np.ndarray, Pullback | None]


Windows = tuple[tuple[int, int, int, int, int, int], ...]


def _windows(name: str, size: tuple, *options: Any) -> Windows:
    """For each axis: size, kernel, stride, padding, dilation and the number of windows.

    `options` are kernel_size, stride, padding, dilation and ceil_mode. Those in numbers are kept: a step of a small
    network would spend more on checking them than on pooling.
    """
    in_numbers = {type(option) for option in options} <= {int, bool, type(None)}
    return _kept_windows(name, size, *options) if in_numbers else _checked_windows(name, size, *options)


def _checked_windows(
    name: str, size: tuple, kernel_size: Sizes, stride: Sizes | None, padding: Sizes, dilation: Sizes, ceil_mode: bool
) -> Windows:
    kernel = check_pair(name, "kernel_size", kernel_size, 1)
    steps = kernel if stride is None else check_pair(name, "stride", stride, 1)
    pads, gaps = check_pair(name, "padding", padding, 0), check_pair(name, "dilation", dilation, 1)
    if any(2 * p > k for k, p in zip(kernel, pads, strict=True)):
        raise ValueError(f"{name}: expected padding of at most half the kernel {kernel}, got {pads}; pad less")
    windows = []
    for extent, k, s, p, g in zip(size, kernel, steps, pads, gaps, strict=True):
        windows.append((extent, k, s, p, g, count_windows(extent, k, s, 2 * p, g, ceil_mode)))
    if min(w[-1] for w in windows) < 1:
        raise ValueError(
            f"{name}: expected images that hold a window, got {tuple(size)} with padding {pads} for kernel {kernel} "
            f"(dilation {gaps}); use a smaller kernel or fewer pooling layers"
        )
    return tuple(windows)


_kept_windows = lru_cache(maxsize=512, typed=True)(_checked_windows)  # typed: True is no kernel size, though it is 1


def _largest(
    windows: tuple, tables: tuple[np.ndarray, np.ndarray], seen: np.ndarray, out: np.ndarray, wanted: bool
) -> np.ndarray | None:
    """Fill `out` with each window's largest entry; answers which place of the window it has, if that is wanted."""
    (rows, columns), apart = (window[1] for window in windows), all(_side_by_side(*window) for window in windows)
    items, work = out.shape[0] * out.shape[1], out.size * rows * columns
    by_twos = apart and rows == columns == 2
    if not wanted and not by_twos:
        launch(max_forward, items, seen, *tables, out, work=work)
        return None
    places = np.empty(out.shape, np.uint8 if rows * columns <= 256 else np.int32)
    if by_twos:  # quicker than without the places, which this has for next to nothing
        launch(max_forward_by_twos, items, seen, out, places, work=work)
    else:
        launch(max_forward_with_places, items, seen, *tables, out, places, work=work)
    return places


@op
def max_pool2d(
    x: np.ndarray,
    *,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
    needs: list[bool],
) -> Rule:
    """y[n, c, oy, ox] = max over ky, kx of x[n, c, oy stride - padding + ky dilation, ...] inside the image.

    `stride` is `kernel_size` unless given. Of equal values the first gets the gradient; NaN is larger than all numbers.

    Shape: (N, C, H, W) or (C, H, W), to the same with H' = floor((H + 2 padding - dilation (kh - 1) - 1) / stride) + 1;
    with `ceil_mode` rounded up, but the last window starts inside the image or the padding before it.
    Raises: ValueError: a size is not positive, padding is more than half the kernel, no window fits.
    """
    check_images("max_pool2d", x)
    windows = _windows("max_pool2d", x.shape[-2:], kernel_size, stride, padding, dilation, ceil_mode)
    ndim, x = x.ndim, dense(batched(x))
    (down, down_back), (across, across_back) = (axis(*window) for window in windows)
    rows, columns = windows[0][1], windows[1][1]
    y = empty((*x.shape[:2], len(down), len(across)), x.dtype)
    seen, out, shape, dtype = images(x), images(y), x.shape, x.dtype
    places = _largest(windows, (down, across), seen, out, needs[0])
    if places is None or not needs[0]:
        return unbatched(y, ndim), None
    apart, work = _side_by_side(*windows[0]) and _side_by_side(*windows[1]), y.size * rows * columns

    def pullback(dy: np.ndarray) -> np.ndarray:
        dx, upstream = empty(shape, dtype), images(dense(batched(dy)))
        if apart:
            launch(max_backward_apart, shape[0] * len(down), upstream, places, rows, columns, images(dx), work=dx.size)
        else:
            arguments = upstream, places, down_back, across_back, images(dx)
            launch(max_backward, shape[0] * shape[2], *arguments, work=max(dx.size, work))
        return unbatched(dx, ndim)

    return unbatched(y, ndim), pullback


def _side_by_side(size: int, kernel: int, stride: int, padding: int, dilation: int, count: int) -> bool:
    """Whether the windows of an axis cover it, each pixel once."""
    return kernel == stride and padding == 0 and dilation == 1 and count * kernel == size


@op
def avg_pool2d(
    x: np.ndarray,
    *,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Rule:
    """y[n, c, oy, ox] = sum over the window of x / divisor.

    The divisor is the number of places of the window inside the padded image; without `count_include_pad` those
    inside the image; or `divisor_override`. `stride` is `kernel_size` unless given.

    Shape: (N, C, H, W) or (C, H, W), to the same with H' = floor((H + 2 padding - kh) / stride) + 1; with `ceil_mode`
    rounded up, but the last window starts inside the image or the padding before it.
    Raises: ValueError: a size is not positive, padding is more than half the kernel, no window fits, divisor is 0.
    """
    check_images("avg_pool2d", x)
    _check_divisor(divisor_override)
    windows = _windows("avg_pool2d", x.shape[-2:], kernel_size, stride, padding, 1, ceil_mode)
    down, across = (spans(n, k, s, p, count, bool(count_include_pad)) for n, k, s, p, _, count in windows)
    if divisor_override is not None:
        down = down._replace(counts=_repeated(int(divisor_override), len(down.counts)))
        across = across._replace(counts=_repeated(1, len(across.counts)))
    return _average(x, down, across, _side_by_side(*windows[0]) and _side_by_side(*windows[1]))


@lru_cache(maxsize=512)
def _repeated(number: int, count: int) -> np.ndarray:
    return np.full(count, number, np.int64)


def _check_divisor(divisor: Any) -> None:
    if divisor is None:
        return
    if check_whole("avg_pool2d", "divisor_override", divisor, -(1 << 31)) == 0:
        raise ValueError("avg_pool2d: expected a divisor_override other than 0, got 0")


@op
def adaptive_avg_pool2d(x: np.ndarray, *, output_size: Any) -> Rule:
    """y[n, c, oy, ox] = mean of x over rows [floor(oy H / H'), ceil((oy + 1) H / H')) and columns likewise.

    `output_size` is (H', W'), or one number for both; `None` keeps the extent of the image.

    Shape: (N, C, H, W) or (C, H, W), to (N, C, H', W') or (C, H', W').
    Raises: ValueError: an output size is not positive. TypeError: it is not a whole number or None.
    """
    check_images("adaptive_avg_pool2d", x)
    size = output_size if isinstance(output_size, tuple | list) else (output_size, output_size)
    if len(size) == 2:
        size = tuple(extent if s is None else s for s, extent in zip(size, x.shape[-2:], strict=True))
    counts: Pair = check_pair("adaptive_avg_pool2d", "output_size", size, 1)
    down, across = (adaptive_spans(extent, count) for extent, count in zip(x.shape[-2:], counts, strict=True))
    return _average(x, down, across, x.shape[-2] % counts[0] == 0 == x.shape[-1] % counts[1])


def _average(x: np.ndarray, down: Spans, across: Spans, apart: bool) -> Rule:
    ndim, x = x.ndim, dense(batched(x))
    y = empty((*x.shape[:2], len(down.taps), len(across.taps)), x.dtype)
    counts, shape = (down.counts, across.counts), x.shape
    work = max(x.size, y.size)
    launch(average_forward, len(y) * y.shape[2], images(x), down.taps, across.taps, *counts, images(y), work=work)

    def pullback(dy: np.ndarray) -> np.ndarray:
        upstream = dense(batched(dy))
        dx = empty(shape, upstream.dtype)
        if apart:
            rows, columns = shape[2] // len(down.taps), shape[3] // len(across.taps)
            arguments = images(upstream), rows, columns, 1 / int(counts[0][0] * counts[1][0]), images(dx)
            launch(average_backward_apart, shape[0] * len(down.taps), *arguments, work=work)
        else:
            arguments = images(upstream), down.back, across.back, *counts, images(dx)
            launch(average_backward, shape[0] * shape[2], *arguments, work=work)
        return unbatched(dx, ndim)

    return unbatched(y, ndim), pullback
