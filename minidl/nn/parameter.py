"""Parameter: what is trained."""

from typing import Any

from ..tensor import Tensor, tensor


class Parameter(Tensor):
    """A tensor that a module trains: a leaf that holds a copy of `data` and requires a gradient.

    Raises:
        TypeError: the data are not floating-point numbers.
    """

    __slots__ = ()

    def __init__(self, data: Any, requires_grad: bool = True):
        super().__init__(tensor(data)._array)
        self.requires_grad = requires_grad

    def __repr__(self) -> str:
        return "Parameter containing:\n" + super().__repr__()
