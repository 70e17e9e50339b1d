"""Whether a gradient is anybody else's: told by the counts of references."""

import sys
from typing import Any

import numpy as np


def _references(parts: list[Any], place: int) -> int:
    return sys.getrefcount(parts[place])


def _references_of_base(parts: list[Any], place: int) -> int:
    return sys.getrefcount(parts[place].base)


_view = [np.empty(2)[:1]]
_ALONE, _BASE_ALONE = _references(_view, 0), _references_of_base(_view, 0)  # Pythons differ in what they count


def is_alone(parts: list[Any], place: int) -> bool:
    """Whether nothing but `parts` refers to a gradient, nor anything but it to the memory it lies in: then a leaf may
    keep it without a copy."""
    if _references(parts, place) != _ALONE:
        return False
    base = parts[place].base
    if base is None:
        return True
    owns = type(base) is np.ndarray and base.base is None
    del base
    return owns and _references_of_base(parts, place) == _BASE_ALONE
