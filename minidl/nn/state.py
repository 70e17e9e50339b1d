"""Values by name, written into the tensors of a module: all of them, or none."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from ..mutation import note_change
from ..tensor import Tensor


class IncompatibleKeys(NamedTuple):
    """What `load_state_dict` answers: names the module has and the state lacks, and the other way round."""

    missing_keys: list[str]
    unexpected_keys: list[str]


def write(layer: str, held: dict[str, Tensor], given: Any, strict: bool) -> IncompatibleKeys:
    """Copy the given values into the tensors held under the same names.

    Raises:
        ValueError: names are missing or not expected (`strict`), or shapes differ.
        TypeError: `given` is not a mapping, or a value cannot be stored.
    """
    if not isinstance(given, Mapping):
        raise TypeError(f"{layer}.load_state_dict: expected a dict of arrays by name, got {type(given).__name__}")
    keys = IncompatibleKeys([name for name in held if name not in given], [name for name in given if name not in held])
    values = {name: _array(layer, name, given[name], held[name]) for name in held if name in given}
    wrong = [
        f"'{name}' has shape {held[name].shape} here and {value.shape} there"
        for name, value in values.items()
        if value.shape != held[name].shape
    ]
    if strict and keys.missing_keys:
        wrong.insert(0, "missing: " + ", ".join(f"'{name}'" for name in keys.missing_keys))
    if strict and keys.unexpected_keys:
        wrong.insert(0, "not expected: " + ", ".join(f"'{name}'" for name in keys.unexpected_keys))
    if wrong:
        raise ValueError(
            f"{layer}.load_state_dict: expected the names and shapes of this module, got other ones; nothing was "
            "loaded:\n  " + "\n  ".join(wrong)
        )
    for name, value in values.items():
        held[name]._array[...] = value
        note_change(held[name])
    return keys


def _array(layer: str, name: str, value: Any, target: Tensor) -> np.ndarray:
    try:
        array = value._array if isinstance(value, Tensor) else np.asarray(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(f"{layer}.load_state_dict: expected an array as '{name}', got {value!r}: {error}") from error
    if array.dtype.kind not in "biuf" or not np.can_cast(array.dtype, target.dtype, "same_kind"):
        raise TypeError(
            f"{layer}.load_state_dict: expected {target.dtype} as '{name}', got {array.dtype}; nothing was loaded"
        )
    return array
