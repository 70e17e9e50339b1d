"""What decides a function's machine code, in a few digits."""

import hashlib
import types
from collections.abc import Callable
from typing import Any

import numpy as np
from numba.core.dispatcher import Dispatcher
from numba.core.extending import _Intrinsic

_FOREIGN = {"builtins", "functools", "llvmlite", "math", "numba", "numpy", "typing"}


def fingerprint(function: Callable) -> str:
    """Sixteen hexadecimal digits of all that decides a kernel's machine code, as Numba's cache sees only its file.

    Numba's on-disk cache does not notice a change in another file, in a global or in a closure; the digits stand in
    the door's name, so a change makes a new entry. They also tell apart functions that share a name, as those do that
    one function makes (see inner.py).
    """
    digest = hashlib.sha256()
    _feed_function(digest, function, set())
    return digest.hexdigest()[:16]


def keyed(function: Callable) -> Callable:
    """The function itself, under a name that says what decides its machine code: Numba's cache names its files so."""
    function.__qualname__ += f"_{fingerprint(function)}"
    return function


def _feed(digest, value: Any, seen: set[int]) -> None:
    if isinstance(value, Dispatcher):
        value = value.py_func
    elif isinstance(value, _Intrinsic):
        value = value._defn
    if isinstance(value, types.FunctionType | type) and value.__module__.split(".")[0] in _FOREIGN:
        digest.update(value.__qualname__.encode())  # changes with its package's version, which Numba's cache does see
    elif isinstance(value, types.FunctionType):
        _feed_function(digest, value, seen)
    elif isinstance(value, type):
        for base in value.__bases__:
            _feed(digest, base, seen)
        for name, member in vars(value).items():
            digest.update(name.encode())
            _feed(digest, member, seen)
    elif isinstance(value, types.CodeType):
        digest.update(value.co_code + repr((value.co_names, value.co_varnames)).encode())
        for constant in value.co_consts:
            _feed(digest, constant, seen)
    elif isinstance(value, np.ndarray):
        digest.update(value.tobytes())
    elif isinstance(value, tuple | list):
        for part in value:
            _feed(digest, part, seen)
    elif isinstance(value, bool | int | float | str | bytes | frozenset | np.generic | type(None)):
        digest.update(repr(value).encode())
    else:  # a module, a type of LLVM's: its name is all that can be said of it
        digest.update(getattr(value, "__name__", type(value).__qualname__).encode())


def _feed_function(digest, function: Callable, seen: set[int]) -> None:
    """A function's code, what it captured, and the globals that it and the functions inside it name."""
    if id(function) in seen:
        return
    seen.add(id(function))
    _feed(digest, function.__code__, seen)
    for cell in function.__closure__ or ():
        _feed(digest, cell.cell_contents, seen)
    for name in sorted(_names_in(function.__code__)):
        if name in function.__globals__:
            digest.update(name.encode())
            _feed(digest, function.__globals__[name], seen)


def _names_in(code: types.CodeType) -> set[str]:
    inside = [_names_in(constant) for constant in code.co_consts if isinstance(constant, types.CodeType)]
    return set(code.co_names).union(*inside)
