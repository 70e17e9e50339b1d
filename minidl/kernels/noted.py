"""Arrays that note what NumPy does to them while a step is recorded."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from . import recording

_HARMLESS = frozenset(  # functions of shapes and strides, not of numbers
    "shape ndim size may_share_memory shares_memory result_type can_cast reshape transpose swapaxes moveaxis rollaxis "
    "expand_dims squeeze broadcast_to".split()
)
_MAKERS = frozenset({"empty_like", "zeros_like", "ones_like"})  # no numbers of the array's, but new arrays
_METHODS = (
    "item tolist astype copy fill sort tobytes argmax argmin argsort argpartition partition nonzero take put choose "
    "compress repeat searchsorted dot cumsum cumprod trace flatten round byteswap tofile dump dumps __bool__ "
    "__float__ __int__ __index__ __complex__ __setitem__ __contains__ __copy__ __deepcopy__ __reduce__ "
    "__repr__ __str__ __format__"
).split()


class Noted(np.ndarray):
    """An array that code from outside sees while a step is recorded; `what` it is of the step.

    To compute with it in NumPy is noted, as a replay would not do it.
    """

    what = "an array"

    def __array_finalize__(self, source: Any) -> None:
        self.what = getattr(source, "what", self.what)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        self._refuse(f"numpy.{ufunc.__name__}")
        return getattr(ufunc, method)(*map(plain, inputs), **{k: plain(v) for k, v in options.items()})

    def __array_function__(self, function: Callable, types: Any, args: Any, kwargs: Any) -> Any:
        if function.__name__ in _HARMLESS:
            return super().__array_function__(function, types, args, kwargs)
        if function.__name__ not in _MAKERS:
            self._refuse(f"numpy.{function.__name__}")
        return function(*map(plain, args), **{k: plain(v) for k, v in kwargs.items()})

    def __getitem__(self, index: Any) -> Any:
        part = super().__getitem__(index)
        if not isinstance(part, np.ndarray) or not np.may_share_memory(plain(part), plain(self)):
            self._refuse("indexing")
        return part

    def _refuse(self, how: str) -> None:
        active = recording.active
        if active is not None:
            active.refuse(
                f"the step works on {self.what} in NumPy ({how}), as a replay would not; use ops, write a kernel "
                "(@kernel, its outputs annotated Out), or do it outside of the step"
            )


def plain(value: Any) -> Any:
    """`value` with plain arrays in place of noted ones."""
    if isinstance(value, tuple | list):
        return type(value)(map(plain, value))
    return value.view(np.ndarray) if isinstance(value, Noted) else value


def noted(array: np.ndarray, what: str) -> Noted:
    """The array as one that notes what NumPy does to it."""
    view = array.view(Noted)
    view.what = what
    return view


def shown(gradient: np.ndarray) -> np.ndarray:
    """A gradient as code is to see it in a tensor's `grad` while a step is recorded."""
    active = recording.active
    if isinstance(gradient, Noted) or active is None or not active.mine:
        return gradient
    return noted(gradient, "a gradient")


def is_foreign(function: Callable[..., Any]) -> bool:
    """Whether a function comes from outside of minidl, so that it may compute in NumPy."""
    return not (getattr(function, "__module__", None) or "").startswith("minidl.")


def quiet(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function without NumPy's warnings: a diverging run shows NaN, as it does in compiled kernels."""

    @functools.wraps(function)
    def call(*arrays: Any) -> Any:
        with np.errstate(all="ignore"):
            return function(*arrays)

    return call


def handed(function: Callable[..., Any], arrays: list[Any]) -> list[Any]:
    """The arrays as a function is to see them while a step is recorded: one from outside of minidl sees noted ones."""
    active = recording.active
    if active is None or not active.mine or not is_foreign(function):
        return arrays
    what = f"an array in {getattr(function, '__qualname__', type(function).__name__)}"
    return [noted(array, what) if isinstance(array, np.ndarray) else array for array in arrays]


def _noting(name: str) -> Callable[..., Any]:
    method = getattr(np.ndarray, name)

    def call(self: Noted, *args: Any, **options: Any) -> Any:
        self._refuse(name)
        return getattr(plain(self), name)(*map(plain, args), **options)

    return functools.wraps(method)(call)


for _name in _METHODS:
    setattr(Noted, _name, _noting(_name))
