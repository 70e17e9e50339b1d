"""Python functions as built-in ones, which machine code stands in for once it is there."""

import ctypes
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

METH_FASTCALL, METH_KEYWORDS = 0x80, 0x2
_Function = TypeVar("_Function", bound=Callable)


class _Method(ctypes.Structure):  # PyMethodDef
    _fields_ = (("name", ctypes.c_char_p), ("code", ctypes.c_void_p), ("flags", ctypes.c_int), ("doc", ctypes.c_char_p))


_methods: dict[str, _Method] = {}  # of the functions made here, by name


def keep(*objects: Any) -> None:
    """Never free these: machine code refers to them by address, in threads to the very end of the process."""
    for kept in objects:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(kept))


def _parameters(function: Callable) -> list[str]:
    """The parameters as a built-in function's doc names them, without annotations."""
    return [str(p.replace(annotation=p.empty)) for p in inspect.signature(function).parameters.values()]


def make(name: str, code: Any, flags: int, itself: Any, of: Callable | None = None) -> Any:
    """A built-in function that runs machine code, whose first argument is `itself`, and is described as `of` is."""
    doc = None if of is None else f"{name}({', '.join(_parameters(of))})\n--\n\n{of.__doc__}".encode()
    _methods[name] = _Method(name.encode(), getattr(code, "address", code), flags, doc)
    keep(_methods[name], code)
    new = ctypes.pythonapi.PyCFunction_NewEx
    new.restype, new.argtypes = ctypes.py_object, (ctypes.c_void_p, ctypes.py_object, ctypes.py_object)
    return new(ctypes.addressof(_methods[name]), itself, __name__ if of is None else of.__module__)


def vectorcall() -> int | None:
    """The address of `PyObject_Vectorcall`, which calls anything; in Python 3.10 of what calls functions alone."""
    api = ctypes.pythonapi
    return ctypes.cast(getattr(api, "PyObject_Vectorcall", None) or api._PyFunction_Vectorcall, ctypes.c_void_p).value


def builtin(function: _Function) -> _Function:
    """The function as a built-in one that runs it, until `replace` names machine code, with which its hash changes.

    That code is called with `function`, to fall back on, and the three arguments of a vectorcall.
    """
    return make(function.__name__, vectorcall(), METH_FASTCALL | METH_KEYWORDS, function, function)


def replace(name: str, compiled: Any) -> None:
    """Let a built-in function run this machine code, a Numba `cfunc`, from now on."""
    keep(compiled)
    _methods[name].code = compiled.address
