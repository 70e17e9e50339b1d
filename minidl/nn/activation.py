"""Activations as layers."""

from typing import Any

from .. import ops
from ..checks import check_number, check_whole
from ..tensor import Tensor
from .module import Module


class ReLU(Module):
    """max(x, 0).

    Shape: any, to the same.
    Raises: TypeError: x is not float32 or float64.
    """

    def forward(self, x: Any) -> Tensor:
        """max(x, 0)."""
        return ops.relu(x)


class LeakyReLU(Module):
    """x where x > 0, negative_slope * x elsewhere.

    Shape: any, to the same.
    Raises: TypeError: the slope is not a number, or x is not float32 or float64. ValueError: the slope is negative.
    """

    def __init__(self, negative_slope: float = 0.01):
        super().__init__()
        self.negative_slope = check_number("LeakyReLU", "negative_slope", negative_slope, 0)

    def forward(self, x: Any) -> Tensor:
        """x, less steep below zero."""
        return ops.leaky_relu(x, negative_slope=self.negative_slope)

    def extra_repr(self) -> str:
        """As PyTorch's."""
        return f"negative_slope={self.negative_slope}"


class Tanh(Module):
    """(e^x - e^-x) / (e^x + e^-x).

    Shape: any, to the same.
    Raises: TypeError: x is not float32 or float64.
    """

    def forward(self, x: Any) -> Tensor:
        """tanh(x)."""
        return ops.tanh(x)


class Sigmoid(Module):
    """1 / (1 + e^-x).

    Shape: any, to the same.
    Raises: TypeError: x is not float32 or float64.
    """

    def forward(self, x: Any) -> Tensor:
        """1 / (1 + e^-x)."""
        return ops.sigmoid(x)


class Softmax(Module):
    """e^x_i / sum_j e^x_j along `dim`, which, unlike in PyTorch, has to be named.

    Shape: any, to the same.
    Raises: TypeError: dim is not a whole number, or x is not float32 or float64. ValueError: x has no such dimension.
    """

    def __init__(self, dim: int):
        super().__init__()
        self.dim = check_whole(type(self).__name__, "dim", dim, -(1 << 31))

    def forward(self, x: Any) -> Tensor:
        """Shares of 1."""
        return ops.softmax(x, dim=self.dim)

    def extra_repr(self) -> str:
        """As PyTorch's."""
        return f"dim={self.dim}"


class LogSoftmax(Softmax):
    """x_i - log sum_j e^x_j along `dim`, which, unlike in PyTorch, has to be named.

    Shape: any, to the same.
    Raises: TypeError: dim is not a whole number, or x is not float32 or float64. ValueError: x has no such dimension.
    """

    def forward(self, x: Any) -> Tensor:
        """Logarithms of shares of 1."""
        return ops.log_softmax(x, dim=self.dim)
