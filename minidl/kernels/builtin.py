"""Python functions as built-in ones, which machine code stands in for once it is there."""

import ctypes
from collections.abc import Callable
from typing import Any, TypeVar

METH_FASTCALL, METH_KEYWORDS = 0x80, 0x2
_Function = TypeVar("_Function", bound=Callable)


class _Method(ctypes.Structure):  # PyMethodDef
    _fields_ = (("name", ctypes.c_char_p), ("code", ctypes.c_void_p), ("flags", ctypes.c_int), ("doc", ctypes.c_char_p))


_alive: list[Any] = []  # what the functions made here refer to by address
_methods: dict[str, _Method] = {}  # of those that run Python in the beginning, by name


def make(name: str, code: int | None, flags: int, itself: Any) -> Any:
    """A built-in function that runs the code at an address, whose first argument is `itself`."""
    method = _Method(name.encode(), code, flags, None)
    _alive.append(method)
    new = ctypes.pythonapi.PyCFunction_NewEx
    new.restype, new.argtypes = ctypes.py_object, (ctypes.c_void_p, ctypes.py_object, ctypes.c_void_p)
    return new(ctypes.addressof(method), itself, None)


def vectorcall() -> int | None:
    """The address of `PyObject_Vectorcall`, which calls anything; in Python 3.10 of what calls functions alone."""
    api = ctypes.pythonapi
    return ctypes.cast(getattr(api, "PyObject_Vectorcall", None) or api._PyFunction_Vectorcall, ctypes.c_void_p).value


def builtin(function: _Function) -> _Function:
    """The function as a built-in one that runs it, until `replace` names machine code.

    Of that the first argument is `function`, for it to call where it does not do the work itself; the other three are
    those of a vectorcall, by which `function` itself is run in the beginning.
    """
    made = make(function.__name__, vectorcall(), METH_FASTCALL | METH_KEYWORDS, function)
    _methods[function.__name__] = _alive[-1]
    return made


def replace(name: str, compiled: Any) -> None:
    """Let a built-in function run this machine code, a Numba `cfunc`, from now on."""
    _alive.append(compiled)
    _methods[name].code = compiled.address
