"""What constructors check. Every message names the layer, what was expected and what came."""

import math
from typing import Any

import numpy as np

Pair = int | tuple[int, int]


def check_whole(layer: str, name: str, value: Any, least: int) -> int:
    """Answer a whole number of at least `least`.

    Raises:
        TypeError: it is not a whole number.
        ValueError: it is smaller.
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"{layer}: expected a whole number as {name}, got {value!r}")
    if value < least:
        raise ValueError(f"{layer}: expected {name} of at least {least}, got {value}")
    return int(value)


def check_pair(layer: str, name: str, value: Any, least: int) -> tuple[int, int]:
    """Answer (height, width), from one number for both or from two.

    Raises:
        TypeError: it is neither.
        ValueError: one is smaller than `least`.
    """
    if not isinstance(value, tuple | list):
        value = (value, value)
    if len(value) != 2:
        raise ValueError(f"{layer}: expected one or two whole numbers as {name}, got {tuple(value)}")
    return check_whole(layer, name, value[0], least), check_whole(layer, name, value[1], least)


def check_number(layer: str, name: str, value: Any, low: float, high: float = math.inf) -> Any:
    """Answer a finite number from `low` to `high`.

    Raises:
        TypeError: it is not a number.
        ValueError: it lies outside, or is not finite.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        raise TypeError(f"{layer}: expected a number as {name}, got {value!r}")
    if not low <= value <= high or math.isinf(value):
        wanted = f"from {low:g} to {high:g}" if math.isfinite(high) else f"of at least {low:g}"
        raise ValueError(f"{layer}: expected {name} {wanted}, got {value}")
    return value  # as it came: print(model) shows it


def check_choice(layer: str, name: str, value: Any, choices: tuple[str, ...]) -> str:
    """Answer one of the choices.

    Raises:
        ValueError: it is none of them.
    """
    if value not in choices:
        raise ValueError(f"{layer}: expected {name} to be one of {', '.join(map(repr, choices))}, got {value!r}")
    return value
