"""Where windows lie on an image: the one place that knows stride, padding, dilation and rounding.

Kernels are given tables made here, one for each axis, and follow them. They are small, and kept, since a network asks
for the same few again and again.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from ..checks import Pair
from ..kernels.simd import VECTORS
from ..kernels.vectors import REGISTER
from .checks import check_float, check_ndim
from .windows import Extents


class Axis(NamedTuple):
    """Windows of `taps.shape[1]` places along one axis of an image, and the same seen from the image."""

    taps: np.ndarray  # (outputs, kernel): the input that output o sees at place k, -1 in the padding
    back: np.ndarray  # (inputs, kernel): the output that sees input i at place k, -1 for none


class Spans(NamedTuple):
    """Windows without gaps along one axis of an image, and the same seen from the image."""

    taps: np.ndarray  # (outputs, 2): output o sees the inputs [taps[o, 0], taps[o, 1])
    back: np.ndarray  # (inputs, 2): input i is seen by the outputs [back[i, 0], back[i, 1])
    counts: np.ndarray  # (outputs,): the divisor of the mean is the product of the counts of both axes


def check_images(name: str, x: np.ndarray, **others: np.ndarray | None) -> None:
    """Refuse what is not a batch of images, or one image, of a float dtype, or has an extent of 0.

    Raises:
        TypeError: a dtype is not float32 or float64, or they differ.
        ValueError: the shape is neither (N, C, H, W) nor (C, H, W), or something in it is 0.
    """
    check_float(name, x=x, **others)
    check_ndim(name, x, 3, 4, form="(N, C, H, W) or (C, H, W)")
    if not x.size:
        what = "an empty batch" if x.ndim == 4 and not x.shape[0] else "an empty image"
        raise ValueError(f"{name}: expected at least one image, channel and pixel, got {what} of shape {x.shape}")


def batched(x: np.ndarray) -> np.ndarray:
    """Images (N, C, H, W): as they are, or one image (C, H, W) as a batch of one."""
    return x if x.ndim == 4 else x[None]


def unbatched(x: np.ndarray, ndim: int) -> np.ndarray:
    """Undo `batched` for an input that had `ndim` dimensions."""
    return x if ndim == 4 else x[0]


@lru_cache(maxsize=512)
def axis(size: int, kernel: int, stride: int, before: int, dilation: int, count: int) -> Axis:
    """`count` windows of `kernel` places `dilation` apart, starting `before` before the image, `stride` apart."""
    taps = np.arange(count, dtype=np.int64)[:, None] * stride - before + np.arange(kernel) * dilation
    taps[(taps < 0) | (taps >= size)] = -1
    back = np.full((size, kernel), -1, np.int64)
    outputs, places = np.nonzero(taps >= 0)
    back[taps[outputs, places], places] = outputs
    return Axis(taps, back)


def _spans(low: np.ndarray, high: np.ndarray, size: int, counts: np.ndarray) -> Spans:
    """Windows [low, high), whose ends never go backwards: so those that hold an input are neighbours too."""
    inputs = np.arange(size)
    back = (np.searchsorted(high, inputs, side="right"), np.searchsorted(low, inputs, side="right"))
    return Spans(*(np.ascontiguousarray(a, np.int64) for a in (np.stack([low, high], 1), np.stack(back, 1), counts)))


@lru_cache(maxsize=512)
def spans(size: int, kernel: int, stride: int, padding: int, count: int, include_padding: bool) -> Spans:
    """`count` windows of `kernel` places; padding counts as zeros that were seen, or not at all."""
    low = np.arange(count) * stride - padding
    high = np.minimum(low + kernel, size + padding)
    inside = np.maximum(low, 0), np.minimum(high, size)
    return _spans(*inside, size, high - low if include_padding else inside[1] - inside[0])


@lru_cache(maxsize=512)
def adaptive_spans(size: int, count: int) -> Spans:
    """`count` windows [floor(o size / count), ceil((o + 1) size / count)) that cover the image."""
    o = np.arange(count)
    low, high = o * size // count, -(-(o + 1) * size // count)
    return _spans(low, high, size, high - low)


def count_windows(size: int, kernel: int, stride: int, padding: int, dilation: int, ceil_mode: bool = False) -> int:
    """How many windows fit on an axis, `padding` being that of both ends together.

    With `ceil_mode` the last one may reach over the end, unless it would start in the padding there.
    """
    spare = size + padding - dilation * (kernel - 1) - 1
    if not ceil_mode:
        return spare // stride + 1
    count = -(-spare // stride) + 1
    return count - 1 if (count - 1) * stride >= size + padding // 2 else count


class Geometry(NamedTuple):
    """Everything that the plan of a convolution depends on; along each axis: size, kernel, stride, padding before,
    dilation, windows."""

    images: int
    channels: int
    outputs: int
    groups: int
    down: tuple[int, int, int, int, int, int]
    across: tuple[int, int, int, int, int, int]
    itemsize: int

    @property
    def axes(self) -> tuple[Axis, Axis]:
        """Which input each window sees at each place, and the inverse, down and across."""
        return axis(*self.down), axis(*self.across)

    @property
    def source(self) -> Extents:
        """The extents of an input image."""
        return Extents(self.down[0], self.across[0], self.channels)

    @property
    def target(self) -> Extents:
        """The extents of an output image."""
        return Extents(self.down[5], self.across[5], self.outputs)

    @property
    def window(self) -> Pair:
        """Height and width of the kernel."""
        return self.down[1], self.across[1]

    @property
    def width(self) -> int:
        """Columns of a panel."""
        return VECTORS * REGISTER // self.itemsize

    @property
    def narrow(self) -> bool:
        """Whether the channels of all places in a row of the window fit 64 bytes, the widest register: on any machine,
        since sums are then taken in another order."""
        return self.groups == 1 and self.window[1] * self.channels * self.itemsize <= 64

    @property
    def work(self) -> int:
        """Multiplications, counted as elements that pass through memory would be."""
        terms = self.channels // self.groups * self.window[0] * self.window[1]
        return self.images * self.target.image * terms // 16
