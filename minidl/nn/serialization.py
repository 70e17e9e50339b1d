"""Arrays by name in a safetensors file: no pickle, nothing in a file is ever run."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..files import writing
from ..tensor import Tensor

_KINDS = frozenset("bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64".split())


def save(state: Mapping[str, Any], path: str | os.PathLike[str]) -> None:
    """Write arrays by name, such as `model.state_dict()`, to a file that appears whole or not at all.

    Raises:
        TypeError: `state` is not a dict with string keys, or a value is not an array of numbers.
    """
    from safetensors.numpy import save_file

    if not isinstance(state, Mapping):
        raise TypeError(
            f"save: expected a dict of arrays by name, got {type(state).__name__}; pass model.state_dict() for a model"
        )
    arrays = {}
    for name, value in state.items():
        array = value._array if isinstance(value, Tensor) else np.asarray(value)
        if not isinstance(name, str) or array.dtype.name not in _KINDS:
            raise TypeError(f"save: expected arrays of numbers under string keys, got {array.dtype} as {name!r}")
        arrays[name] = np.array(array, array.dtype.newbyteorder("="), order="C")
    with writing(path) as temporary:
        save_file(arrays, temporary)


def load(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Read the arrays that `save` (or anyone) wrote to a safetensors file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not a whole safetensors file; the message names the file and what is wrong.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    if not Path(path).is_file():
        raise FileNotFoundError(f"load: expected a safetensors file, got no file at {os.fspath(path)!r}")
    try:
        return load_file(path)
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"load: expected a whole safetensors file, got {os.fspath(path)!r}, which is not one: {error}"
        ) from error
