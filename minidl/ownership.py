"""Whether a gradient is anybody else's: told by the counts of references."""

import sys
from typing import Any

import numpy as np


def _references(parts: list[Any], place: int) -> tuple[int, int]:
    return sys.getrefcount(parts[place]), sys.getrefcount(parts[place].base)


_ALONE, _BASE_ALONE = _references([np.empty(2)[:1]], 0)  # Pythons differ in what they count


def is_alone(parts: list[Any], place: int) -> bool:
    """Whether nothing but `parts` refers to a gradient, nor anything but it to the memory it lies in: then a leaf may
    keep it without a copy."""
    if sys.getrefcount(parts[place]) != _ALONE:
        return False
    if parts[place].base is None:
        return True
    if sys.getrefcount(parts[place].base) != _BASE_ALONE:
        return False
    base = parts[place].base
    return type(base) is np.ndarray and base.base is None
