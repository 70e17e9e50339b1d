"""Dropout."""

from typing import Any

from .. import ops
from ..checks import check_number
from ..random import as_generator
from ..tensor import Tensor
from .module import Module


class Dropout(Module):
    """Zeroes each element with probability p in training and divides the others by 1 - p; in evaluation x itself.

    `rng` (a Generator or a seed) is drawn from anew at each call, minidl's default generator if it is not given.

    Shape: any, to the same.
    Raises: TypeError, ValueError: p is not a number from 0 to 1, or x is not float32 or float64.
    Source: Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting" (2014), section 10
    (the inverted form).
    """

    def __init__(self, p: float = 0.5, *, rng: Any = None):
        super().__init__()
        self.p = check_number("Dropout", "p", p, 0, 1)
        self.rng = None if rng is None else as_generator(rng)

    def forward(self, x: Any) -> Tensor:
        """x with holes, or x."""
        return ops.dropout(x, p=self.p, training=self.training, rng=self.rng)

    def extra_repr(self) -> str:
        """As PyTorch's; dropout is never in place."""
        return f"p={self.p}, inplace=False"
