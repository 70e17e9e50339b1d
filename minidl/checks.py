"""What is asked of numbers, sizes and dtypes. Every message names who asks, what was expected and what came."""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

Pair = tuple[int, int]
Sizes = int | tuple[int, int] | list[int]
_WHOLE, _NUMBER = (int, np.integer), (int, float, np.integer, np.floating)


def check_whole(owner: str, option: str, value: Any, least: int) -> int:
    """Answer a whole number of at least `least`.

    Raises:
        TypeError: it is not a whole number.
        ValueError: it is smaller.
    """
    if type(value) is not int and (isinstance(value, bool) or not isinstance(value, _WHOLE)):
        raise TypeError(f"{owner}: expected a whole number as {option}, got {value!r}")
    if value < least:
        raise ValueError(f"{owner}: expected {option} of at least {least}, got {value}")
    return int(value)


def check_pair(owner: str, option: str, value: Any, least: int) -> Pair:
    """Answer (height, width), from one number for both or from two.

    Raises:
        TypeError: one is not a whole number.
        ValueError: there are more than two, or one is smaller than `least`.
    """
    if not isinstance(value, tuple | list):
        value = (value, value)
    if len(value) != 2:
        raise ValueError(f"{owner}: expected a whole number or a pair of them as {option}, got {tuple(value)}")
    return check_whole(owner, option, value[0], least), check_whole(owner, option, value[1], least)


def check_sizes(owner: str, sizes: Iterable[Any], least: int = 0) -> tuple[int, ...]:
    """Answer whole numbers of at least `least`, as the extents of a shape.

    Raises:
        TypeError: one is not a whole number.
        ValueError: one is smaller.
    """
    sizes = tuple(sizes)
    for size in sizes:
        if isinstance(size, bool) or not isinstance(size, int | np.integer):
            raise TypeError(f"{owner}: expected whole numbers as sizes, got {size!r}")
        if size < least:
            raise ValueError(f"{owner}: expected sizes of at least {least}, got {sizes}")
    return sizes


def check_number(owner: str, option: str, value: Any, low: float, high: float = math.inf) -> Any:
    """Answer a finite number from `low` to `high`.

    Raises:
        TypeError: it is not a number.
        ValueError: it lies outside, or is not finite.
    """
    if type(value) is not float and (isinstance(value, bool) or not isinstance(value, _NUMBER)):
        raise TypeError(f"{owner}: expected a number as {option}, got {value!r}")
    if not low <= value <= high or math.isinf(value):
        wanted = f"from {low:g} to {high:g}" if math.isfinite(high) else f"of at least {low:g}"
        raise ValueError(f"{owner}: expected {option} {wanted}, got {value}")
    return value  # as it came: print(model) shows it


def check_flag(owner: str, option: str, value: Any) -> bool:
    """Answer True or False.

    Raises:
        TypeError: it is neither.
    """
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{owner}: expected True or False as {option}, got {value!r}")
    return bool(value)


def check_choice(owner: str, option: str, value: Any, choices: tuple[str, ...]) -> str:
    """Answer one of the choices.

    Raises:
        ValueError: it is none of them.
    """
    if value not in choices:
        raise ValueError(f"{owner}: expected {option} to be one of {', '.join(map(repr, choices))}, got {value!r}")
    return value


def check_dtype(owner: str, dtype: Any) -> np.dtype:
    """Answer a dtype of real numbers or of booleans, in the machine's byte order.

    Raises:
        TypeError: it is none.
    """
    try:
        kind = np.dtype(np.dtype(dtype).type)  # NumPy's own object, not an equal one: kernels are found by it
    except TypeError:
        kind = None
    if kind is None or kind.kind not in "biuf":
        raise TypeError(f"{owner}: expected a dtype of numbers, such as 'float32', got {dtype!r}")
    return kind
