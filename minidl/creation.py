"""New leaf tensors: zeros, ones, random numbers."""

from typing import Any

import numpy as np

from .checks import check_dtype, check_sizes
from .kernels.layout import empty
from .random import as_generator
from .tensor import FLOATS, Tensor


def _shape(name: str, sizes: tuple) -> tuple[int, ...]:
    """`zeros(2, 3)` and `zeros((2, 3))` mean the same."""
    return check_sizes(name, sizes[0] if len(sizes) == 1 and isinstance(sizes[0], tuple | list) else sizes)


def _filled(name: str, sizes: tuple, value: float, dtype: Any, requires_grad: bool) -> Tensor:
    out = Tensor(empty(_shape(name, sizes), check_dtype(name, dtype)))
    out._array[...] = value
    out.requires_grad = requires_grad
    return out


def zeros(*sizes: Any, dtype: Any = np.float32, requires_grad: bool = False) -> Tensor:
    """A tensor of zeros.

    Raises:
        TypeError: a size is not a whole number, or the dtype is none of numbers.
        ValueError: a size is negative.
    """
    return _filled("zeros", sizes, 0, dtype, requires_grad)


def ones(*sizes: Any, dtype: Any = np.float32, requires_grad: bool = False) -> Tensor:
    """A tensor of ones.

    Raises:
        TypeError: a size is not a whole number, or the dtype is none of numbers.
        ValueError: a size is negative.
    """
    return _filled("ones", sizes, 1, dtype, requires_grad)


def randn(*sizes: Any, dtype: Any = np.float32, requires_grad: bool = False, rng: Any = None) -> Tensor:
    """A tensor of independent standard normal numbers.

    Raises:
        TypeError: a size is not a whole number, or the dtype is not float32 or float64.
        ValueError: a size is negative.
    """
    shape = _shape("randn", sizes)
    kind = check_dtype("randn", dtype)
    if kind not in FLOATS:
        raise TypeError(f"randn: expected dtype float32 or float64, got {kind}")
    out = Tensor(as_generator(rng).normal(shape, dtype=kind.type))
    out.requires_grad = requires_grad
    return out
