"""What an op is given, as tensors: an ndarray, or a number beside other tensors."""

import math
from functools import lru_cache
from typing import Any

import numpy as np

from .tensor import Tensor, tensor


def wrap(name: str, value: Any, inputs: tuple, optional: bool) -> Tensor | None:
    """An op's input that is no tensor: an ndarray as it is, a number in the dtype of the op's other inputs.

    Raises:
        TypeError: it is neither, nor a None that stands for an input left out.
    """
    if value is None and optional:
        return None
    if isinstance(value, np.ndarray):
        out = Tensor(value)
        out._exposed = True
        return out
    if isinstance(value, bool | int | float | np.number | np.bool_):
        return _number(value, [x.dtype for x in inputs if isinstance(x, Tensor | np.ndarray) and x.dtype != np.bool_])
    raise TypeError(
        f"{name}: expected a Tensor, an ndarray or a number, got {type(value).__name__}; minidl.tensor(...) makes one"
    )


def _number(value: Any, kinds: list[np.dtype]) -> Tensor:
    """A number in the first of these dtypes (masks have no say in it), or in its own where that would change it."""
    if kinds and kinds[0].kind == "f":
        return Tensor(_constant(value, math.copysign(1, value), kinds[0]))
    out = tensor(value)
    if kinds:
        with np.errstate(invalid="ignore"):
            array = out._array.astype(kinds[0])
        out._array = array if array == out._array else out._array
    return out


@lru_cache(4096, typed=True)
def _constant(value: Any, sign: float, dtype: np.dtype) -> np.ndarray:
    """A number that nobody may write to, at the same place in every step; 0 and -0 are equal, but not the same."""
    array = np.array(value, dtype)
    array.flags.writeable = False
    return array
