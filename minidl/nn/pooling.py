"""Pooling layers."""

from typing import Any

from .. import ops
from ..checks import Sizes, check_pair, check_whole
from ..tensor import Tensor
from .module import Module


def _check_window(layer: str, kernel_size: Sizes, stride: Sizes, padding: Sizes) -> None:
    kernel, pad = check_pair(layer, "kernel_size", kernel_size, 1), check_pair(layer, "padding", padding, 0)
    check_pair(layer, "stride", stride, 1)
    if pad[0] > kernel[0] // 2 or pad[1] > kernel[1] // 2:
        raise ValueError(f"{layer}: expected padding of at most half of kernel_size {kernel_size}, got {padding}")


class MaxPool2d(Module):
    """The largest value in each window; `stride` is `kernel_size` unless given.

    Shape: (N, C, H, W) or (C, H, W), to (N, C, H', W') with H' = (H + 2 padding - dilation (kh - 1) - 1) / stride + 1,
    rounded down, or up with `ceil_mode` where the window then begins inside the image or its padding on the left.
    Raises: TypeError, ValueError: a size is not a whole number or too small, padding exceeds half the window, or x does
    not fit.
    """

    def __init__(
        self,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        dilation: Sizes = 1,
        *,
        ceil_mode: bool = False,
    ):
        super().__init__()
        self.kernel_size, self.stride = kernel_size, kernel_size if stride is None else stride
        self.padding, self.dilation, self.ceil_mode = padding, dilation, ceil_mode
        _check_window("MaxPool2d", kernel_size, self.stride, padding)
        check_pair("MaxPool2d", "dilation", dilation, 1)

    def forward(self, x: Any) -> Tensor:
        """The largest value in each window."""
        return ops.max_pool2d(
            x,
            kernel_size=self.kernel_size,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            ceil_mode=self.ceil_mode,
        )

    def extra_repr(self) -> str:
        """As PyTorch's."""
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        )


class AvgPool2d(Module):
    """The mean of each window; `stride` is `kernel_size` unless given.

    Divided by the window's size, by the number of its pixels inside the image (`count_include_pad=False`), or by
    `divisor_override`.

    Shape: (N, C, H, W) or (C, H, W), to (N, C, H', W') with H' = (H + 2 padding - kh) / stride + 1, rounded down, or up
    with `ceil_mode` where the window then begins inside the image or its padding on the left.
    Raises: TypeError, ValueError: a size is not a whole number or too small, padding exceeds half the window, or x does
    not fit.
    """

    def __init__(
        self,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ):
        super().__init__()
        self.kernel_size, self.stride = kernel_size, kernel_size if stride is None else stride
        self.padding, self.ceil_mode, self.count_include_pad = padding, ceil_mode, count_include_pad
        self.divisor_override = divisor_override
        _check_window("AvgPool2d", kernel_size, self.stride, padding)
        if (
            divisor_override is not None
            and check_whole("AvgPool2d", "divisor_override", divisor_override, -(1 << 31)) == 0
        ):
            raise ValueError("AvgPool2d: expected a divisor_override other than 0, got 0")

    def forward(self, x: Any) -> Tensor:
        """The mean of each window."""
        return ops.avg_pool2d(
            x,
            kernel_size=self.kernel_size,
            stride=self.stride,
            padding=self.padding,
            ceil_mode=self.ceil_mode,
            count_include_pad=self.count_include_pad,
            divisor_override=self.divisor_override,
        )

    def extra_repr(self) -> str:
        """As PyTorch's."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AdaptiveAvgPool2d(Module):
    """The mean of H' x W' windows that together cover the image, as even as can be; `None` keeps an extent.

    Shape: (N, C, H, W) or (C, H, W), to (N, C, H', W') with (H', W') = output_size.
    Raises: TypeError, ValueError: a size is not a positive whole number, or x does not fit.
    """

    def __init__(self, output_size: int | tuple[int | None, int | None] | None):
        super().__init__()
        sizes = output_size if isinstance(output_size, tuple | list) else (output_size, output_size)
        check_pair("AdaptiveAvgPool2d", "output_size", tuple(1 if size is None else size for size in sizes), 1)
        self.output_size = output_size

    def forward(self, x: Any) -> Tensor:
        """The means."""
        return ops.adaptive_avg_pool2d(x, output_size=self.output_size)

    def extra_repr(self) -> str:
        """As PyTorch's."""
        return f"output_size={self.output_size}"
