"""Linear, and the layers that only rearrange or pass on."""

from collections.abc import Callable
from typing import Any

from .. import ops
from ..autograd import chain
from ..checks import check_whole
from ..random import as_generator
from ..tensor import Tensor
from . import init
from .activation import ReLU, Sigmoid, Tanh
from .module import Module

_BOTH = {ReLU: chain(ops.linear, ops.relu), Sigmoid: chain(ops.linear, ops.sigmoid), Tanh: chain(ops.linear, ops.tanh)}


class Linear(Module):
    """y = x W^T + b.

    Weight and bias start uniform in +-1/sqrt(in_features), as in PyTorch; `rng` (a Generator or a seed) draws them.

    Shape: x (..., in_features), weight (out_features, in_features), bias (out_features,), to (..., out_features).
    Raises: TypeError, ValueError: a size is not a positive whole number, or x does not fit.
    """

    def __init__(self, in_features: int, out_features: int, bias: bool = True, *, rng: Any = None):
        super().__init__()
        self.in_features = check_whole("Linear", "in_features", in_features, 1)
        self.out_features = check_whole("Linear", "out_features", out_features, 1)
        rng = as_generator(rng)
        self.weight = init.default_weight((out_features, in_features), rng)
        self.bias = init.default_bias(self.weight, rng) if bias else None

    def forward(self, x: Any) -> Tensor:
        """x W^T + b."""
        return ops.linear(x, self.weight, self.bias)

    def fused_with(self, following: Module) -> Callable[[Any], Tensor] | None:
        """This layer and an activation as one op, with the same bits."""
        both = _BOTH.get(type(following)) if type(self) is Linear else None
        return None if both is None else lambda x: both(x, self.weight, self.bias)

    def extra_repr(self) -> str:
        """As PyTorch's."""
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


class Flatten(Module):
    """Dimensions `start_dim` to `end_dim` as one, in PyTorch's order of features: channel, row, column.

    Shape: (N, C, H, W) to (N, C * H * W) by default.
    Raises: TypeError: a dimension is not a whole number. ValueError: x has no such dimension.
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1):
        super().__init__()
        self.start_dim = check_whole("Flatten", "start_dim", start_dim, -(1 << 31))
        self.end_dim = check_whole("Flatten", "end_dim", end_dim, -(1 << 31))

    def forward(self, x: Any) -> Tensor:
        """x with fewer dimensions."""
        return ops.flatten(x, start_dim=self.start_dim, end_dim=self.end_dim)

    def extra_repr(self) -> str:
        """As PyTorch's."""
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Identity(Module):
    """x itself; arguments are accepted and not used, so that it can stand for any layer.

    Shape: any, to the same.
    """

    def __init__(self, *_: Any, **__: Any):
        super().__init__()

    def forward(self, x: Any) -> Any:
        """x itself."""
        return x
