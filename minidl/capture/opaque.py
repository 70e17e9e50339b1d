"""What objects of the standard library hold that have no attributes to look at."""

import array
import ctypes
import functools
import operator
import types
import weakref
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

MISSING = object()  # stands for what a name does not stand for
_WRAPPED = ("__wrapped__", "__func__", "fget", "func", "__self__")  # what wraps a function, and a method's object
_GETTERS = operator.attrgetter, operator.itemgetter, operator.methodcaller
_MEMORY: Any = (ctypes.c_int.__base__, ctypes.Structure, ctypes.Union, ctypes.Array)
VIEWS = type({}.keys()), type({}.values()), type({}.items())


def reader(value: Any) -> Callable[[], Any] | None:
    """A function that answers what an object holds now, if one can tell."""
    if isinstance(value, ContextVar):
        return functools.partial(value.get, MISSING)
    if isinstance(value, weakref.ReferenceType):
        return value
    if isinstance(value, memoryview | array.array):
        return value.tobytes
    return functools.partial(bytes, value) if isinstance(value, _MEMORY) else None


def inside(value: Any) -> list[Any]:
    """Objects that an object was made of, or belongs to."""
    if isinstance(value, weakref.ProxyTypes):
        return [value.__reduce__.__self__]
    inner = [getattr(value, name, None) for name in _WRAPPED]
    return [each for each in inner if each is not None and not isinstance(each, types.ModuleType)]


def texts_of(value: Any) -> set[str]:
    """The names of attributes that a getter gets."""
    if isinstance(value, _GETTERS):
        return {part for text in value.__reduce__()[1] if isinstance(text, str) for part in text.split(".")}
    return set()


def contents(cell: Any) -> Any:
    """What a closure's cell holds, if anything yet, or still."""
    try:
        return cell.cell_contents
    except ValueError:
        return MISSING
