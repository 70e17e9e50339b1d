"""Conv2d."""

from typing import Any

from .. import ops
from ..checks import Sizes, check_choice, check_pair, check_whole
from ..random import as_generator
from ..tensor import Tensor
from . import init
from .module import Module


class Conv2d(Module):
    """Cross-correlation with `out_channels` filters.

    y[n, o, i, j] = b[o] + sum over c, p, q of W[o, c, p, q] * x[n, c, i * stride + p * dilation - padding, ...]

    `padding` is a number of zeros, or "same" (output of the input's size, stride 1) or "valid" (none). Channels fall
    into `groups`, each with its own filters. Weight and bias start uniform in +-1/sqrt(fan_in), drawn by `rng` (a
    Generator or a seed).

    Shape: x (N, C, H, W) or (C, H, W), weight (out_channels, in_channels / groups, kh, kw), bias (out_channels,), to
    (N, out_channels, H', W') with H' = (H + 2 padding - dilation (kh - 1) - 1) // stride + 1.
    Raises: TypeError, ValueError: a size is not a positive whole number, groups do not divide the channels, "same" with
    a stride, or x does not fit.
    Source: LeCun et al., "Gradient-based learning applied to document recognition" (1998), section II.A.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes = 1,
        padding: str | Sizes = 0,
        dilation: Sizes = 1,
        groups: int = 1,
        bias: bool = True,
        *,
        rng: Any = None,
    ):
        super().__init__()
        self.in_channels = check_whole("Conv2d", "in_channels", in_channels, 1)
        self.out_channels = check_whole("Conv2d", "out_channels", out_channels, 1)
        self.kernel_size = check_pair("Conv2d", "kernel_size", kernel_size, 1)
        self.stride = check_pair("Conv2d", "stride", stride, 1)
        self.padding = _padding(padding, self.stride)
        self.dilation = check_pair("Conv2d", "dilation", dilation, 1)
        self.groups = check_whole("Conv2d", "groups", groups, 1)
        if in_channels % groups or out_channels % groups:
            raise ValueError(
                f"Conv2d: expected groups that divide in_channels {in_channels} and out_channels {out_channels}, "
                f"got {groups}"
            )
        rng = as_generator(rng)
        self.weight = init.default_weight((out_channels, in_channels // groups, *self.kernel_size), rng)
        self.bias = init.default_bias(self.weight, rng) if bias else None

    def forward(self, x: Any) -> Tensor:
        """The filters' answers."""
        return ops.conv2d(
            x,
            self.weight,
            self.bias,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            groups=self.groups,
        )

    def extra_repr(self) -> str:
        """As PyTorch's: what is at its default is left out."""
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        text += f", padding={self.padding}" if self.padding != (0, 0) else ""
        text += f", dilation={self.dilation}" if self.dilation != (1, 1) else ""
        text += f", groups={self.groups}" if self.groups != 1 else ""
        return text + (", bias=False" if self.bias is None else "")


def _padding(padding: str | Sizes, stride: tuple[int, int]) -> str | tuple[int, int]:
    if not isinstance(padding, str):
        return check_pair("Conv2d", "padding", padding, 0)
    if check_choice("Conv2d", "padding", padding, ("same", "valid")) == "same" and stride != (1, 1):
        raise ValueError(f"Conv2d: expected stride 1 with padding 'same', got stride {stride}")
    return padding
