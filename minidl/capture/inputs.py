"""The array that stands for an input while a step is recorded."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from ..kernels import recording


class Input(np.ndarray):
    """An input while the step is recorded: to compute with it in NumPy is noted, as a replay would not do it."""

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        _refuse(f"numpy.{ufunc.__name__}")
        return getattr(ufunc, method)(*map(_plain, inputs), **{k: _plain(v) for k, v in options.items()})

    def __array_function__(self, function: Callable, types: Any, args: Any, kwargs: Any) -> Any:
        if function.__name__ not in ("shape", "ndim", "size"):
            _refuse(f"numpy.{function.__name__}")
        return super().__array_function__(function, types, args, kwargs)

    def __getitem__(self, index: Any) -> Any:
        part = super().__getitem__(index)
        if not isinstance(part, np.ndarray) or not np.may_share_memory(part.view(np.ndarray), self.view(np.ndarray)):
            _refuse("indexing")
        return part


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(map(_plain, value))
    return value.view(np.ndarray) if isinstance(value, Input) else value


def _refuse(what: str) -> None:
    if recording.active is not None:
        recording.active.refuse(
            f"the step works on an input in NumPy ({what}), as a replay would not; use ops, or do it before the step"
        )


def _noted(name: str) -> Callable[..., Any]:
    method = getattr(np.ndarray, name)

    def noted(self: Input, *args: Any, **options: Any) -> Any:
        _refuse(name)
        return getattr(self.view(np.ndarray), name)(*args, **options)

    return functools.wraps(method)(noted)


for _name in (
    "item",
    "tolist",
    "astype",
    "copy",
    "fill",
    "sort",
    "tobytes",
    "__bool__",
    "__float__",
    "__int__",
    "__index__",
    "__setitem__",
    "__contains__",
):
    setattr(Input, _name, _noted(_name))
