"""Where arrays lie in memory: C order, except that images are NCHW in shape and channels-last in memory.

The order of every 4-D array is N, H, W, C: a pixel's channels lie side by side, so a batch of images is a matrix of
(N*H*W) rows and C channels, for a kernel the same as a batch of feature vectors. Convolution weights
(out, in, kh, kw) are 4-D and follow the same rule. NumPy loses the order in many places (`copy`, `take`, `pad`, any
mix with an array in C order), so ops call `dense` on what comes in, upstream gradients included.
"""

import ctypes
import math
import sys
from functools import lru_cache
from typing import Any

import numpy as np

from .builtin import builtin
from .copying import assign, fill, merged
from .launch import launch
from .memory import ALIGN_FROM, CACHE_LINE, address_of

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of glibc's mallopt, in malloc.h


def keep_freed_memory() -> None:
    """Let the C library keep up to 1 GiB that is freed, rather than give it back and have it page by page anew.

    A training step frees what the next one allocates again, and fresh pages took half of a small CNN's step. 32 MiB is
    the largest block that glibc agrees to keep; without glibc nothing happens.
    """
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt is not None:
            mallopt(_M_MMAP_THRESHOLD, 32 << 20)
            mallopt(_M_TRIM_THRESHOLD, 1 << 30)


keep_freed_memory()


def give_freed_memory_back() -> None:
    """Let the system have the memory that is freed and kept, where the C library can do that."""
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)


@builtin
def dense(x: np.ndarray) -> np.ndarray:
    """`x` itself if it lies in canonical order without gaps, else a copy that does."""
    if x.ndim != 4:
        return ordered(x)
    images = x.transpose(0, 2, 3, 1)
    return x if images.flags.c_contiguous else ordered(images).transpose(0, 3, 1, 2)


def ordered(x: np.ndarray) -> np.ndarray:
    """`x` itself if it is C-ordered, else a copy that is."""
    if x.flags.c_contiguous:
        return x
    copy = empty((x.size,), x.dtype).reshape(x.shape)
    assign(copy, x)
    return copy


def copied(x: np.ndarray) -> np.ndarray:
    """A copy in canonical order."""
    copy = empty_like(x)
    assign(copy, x)
    return copy


def stretched(x: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A copy of `x` that is broadcast to `shape`, in canonical order."""
    copy = empty(shape, x.dtype)
    assign(copy, x)
    return copy


@builtin
def flat(x: np.ndarray) -> np.ndarray:
    """An array's elements in canonical order as one row: the memory itself if the array is dense, else a copy."""
    if x.ndim == 4:
        x = x.transpose(0, 2, 3, 1)
    if not x.flags.c_contiguous:
        x = ordered(x)
    return x if x.ndim == 1 else x.reshape(-1)


def shaped(row: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The array of this shape whose elements in canonical order a row holds."""
    if len(shape) != 4:
        return row if len(shape) == 1 else row.reshape(shape)
    n, c, h, w = shape
    return row.reshape(n, h, w, c).transpose(0, 3, 1, 2)


def reshaped(x: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """x in another shape, its elements in C order of both: a view where there can be one, else of a C-ordered copy."""
    return (x if x.flags.c_contiguous or _can_be_seen_as(x.shape, x.strides, shape) else ordered(x)).reshape(shape)


@lru_cache(1024)
def _can_be_seen_as(shape: tuple[int, ...], strides: tuple[int, ...], other: tuple[int, ...]) -> bool:
    """Whether each axis of the other shape lies in one stretch of axes without gaps."""
    stretches = [n for n, _, _ in merged([(n, s, s) for n, s in zip(shape, strides, strict=True) if n > 1])][::-1]
    left = 1
    for extent in other:
        if extent > 1:
            left = stretches.pop() if left == 1 else left
            if left % extent:
                return False
            left //= extent
    return True


def rows(x: np.ndarray) -> np.ndarray:
    """A dense array (N, C) or (N, C, H, W) as a matrix (rows, channels)."""
    return x if x.ndim == 2 else x.transpose(0, 2, 3, 1).reshape(-1, x.shape[1])


def images(x: np.ndarray) -> np.ndarray:
    """A dense array (N, C, H, W) as the C-ordered array (N, H, W, C) over the same memory."""
    return x.transpose(0, 2, 3, 1)


@builtin
def empty(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """An uninitialised array in canonical order; a large one begins at a cache line."""
    # The C library's blocks begin 16 bytes after a cache line as often as not; every load of a 64-byte register then
    # takes two lines, and a depthwise convolution or a layer normalization half as long again.
    size = math.prod(shape)
    if size < ALIGN_FROM:
        return shaped(np.empty(size, dtype), shape)
    room = np.empty(size + CACHE_LINE, dtype)
    start = -address_of(room) % CACHE_LINE // room.itemsize
    return shaped(room[start : start + size], shape)


@builtin
def alike(*arrays: Any) -> bool:
    """Whether these are ndarrays of one dtype and one shape, C-ordered, aligned and writable."""
    first = arrays[0]
    return all(
        type(x) is np.ndarray and x.dtype == first.dtype and x.shape == first.shape and x.flags.carray for x in arrays
    )


def aligned(x: np.ndarray) -> np.ndarray:
    """A dense array itself, or a copy of one that is large and does not begin at a cache line."""
    if x.size < ALIGN_FROM or address_of(x) % CACHE_LINE == 0:
        return x
    copy = empty(x.shape, x.dtype)
    copy[...] = x
    return copy


def empty_like(x: np.ndarray) -> np.ndarray:
    """An uninitialised array of the shape and dtype of `x`, in canonical order."""
    return empty(x.shape, x.dtype)


def zeros_like(x: np.ndarray) -> np.ndarray:
    """An array of zeros of the shape and dtype of `x`, in canonical order, that is made once and then kept."""
    out = empty_like(x)
    out[...] = 0
    return out


def cleared_like(x: np.ndarray) -> np.ndarray:
    """The same for floats by a launch: an array that each step makes anew."""
    out = empty_like(x)
    launch(fill, out.size, flat(out), 0.0)
    return out
