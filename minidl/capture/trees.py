"""What a captured step takes and returns: arrays and tensors, alone or in tuples, lists and dicts, among others."""

from collections.abc import Callable
from typing import Any

import numpy as np

from ..tensor import Tensor

_PLAIN = frozenset({bool, int, float, complex, str, bytes, type(None)})


def describe(value: Any, arrays: list[np.ndarray]) -> tuple:
    """All of `value` but the contents of its arrays, which are collected; two descriptions can be compared.

    A tensor that requires a gradient is an object of its own here, as a parameter is, and not an array among others.
    """
    kind = type(value)
    if kind is Tensor and not value._requires_grad:
        array = value._array
        arrays.append(array)
        return kind, array.shape, array.dtype
    if kind is tuple or kind is list:
        return kind, *[describe(part, arrays) for part in value]
    if kind is float:
        return kind, repr(value)  # 0 and -0 are equal, and NaN is not
    if kind in _PLAIN:
        return kind, value
    if isinstance(value, np.ndarray):
        arrays.append(value)
        return kind, value.shape, value.dtype
    if kind is dict:
        return kind, *[(key, describe(part, arrays)) for key, part in value.items()]
    if isinstance(value, np.generic):
        return kind, value.item()
    return kind, id(value)


def mapped(value: Any, of_tensor: Callable[[Tensor], Any], of_array: Callable[[np.ndarray], Any]) -> Any:
    """`value` with other tensors and arrays, in the order in which `describe` meets them."""
    kind = type(value)
    if kind is Tensor:
        return of_tensor(value)
    if isinstance(value, np.ndarray):
        return of_array(value)
    if kind is tuple or kind is list:
        return kind(mapped(part, of_tensor, of_array) for part in value)
    if kind is dict:
        return {key: mapped(part, of_tensor, of_array) for key, part in value.items()}
    return value


def objects(value: Any) -> list[Any]:
    """What is neither array nor plain value in `value`: what `describe` tells apart by identity."""
    kind = type(value)
    if kind is tuple or kind is list or kind is dict:
        return [found for part in (value.values() if kind is dict else value) for found in objects(part)]
    is_array = isinstance(value, np.ndarray | np.generic) or (kind is Tensor and not value._requires_grad)
    return [] if is_array or kind in _PLAIN else [value]
