"""Memory whose neighbour must not be touched: every array that NumPy makes ends, or begins, at an unreadable page.

`install()` makes NumPy allocate so, in the calling thread and for good, hidden temporaries included; one element read
or written too far kills the process, so it is for processes that may die. What was never written is NaN.

Source: NEP 49, "Data allocation strategies"; the handler's layout is in numpy/ndarraytypes.h.
"""

import ctypes
import mmap
import sys

import numpy as np
from numpy._core import _multiarray_umath

PAGE = mmap.PAGESIZE
READ_WRITE, PRIVATE_ANONYMOUS = mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
SET_HANDLER = 304  # its place in the table of NumPy's C functions: numpy/__multiarray_api.h
NOT_A_NUMBER = 0xFF  # as every byte: NaN as a float, -1 as an integer

_libc = ctypes.CDLL(None)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
_libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
_libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]

_blocks: dict[int, tuple[int, int, int]] = {}  # by address: where the mapping begins, its length, the bytes in use
_at_start = [False]
_kept: list = []  # what NumPy holds addresses of

_pointer, _size = ctypes.c_void_p, ctypes.c_size_t
_MALLOC = ctypes.CFUNCTYPE(_pointer, _pointer, _size)
_CALLOC = ctypes.CFUNCTYPE(_pointer, _pointer, _size, _size)
_REALLOC = ctypes.CFUNCTYPE(_pointer, _pointer, _pointer, _size)
_FREE = ctypes.CFUNCTYPE(None, _pointer, _pointer, _size)


class _Handler(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char * 127),
        ("version", ctypes.c_uint8),
        ("context", _pointer),
        ("malloc", _MALLOC),
        ("calloc", _CALLOC),
        ("realloc", _REALLOC),
        ("free", _FREE),
    )


def _allocate(size: int, byte: int) -> int:
    inside = -(-max(size, 1) // PAGE) * PAGE
    base = _libc.mmap(None, inside + 2 * PAGE, 0, PRIVATE_ANONYMOUS, -1, 0)
    _libc.mprotect(base + PAGE, inside, READ_WRITE)
    address = base + PAGE if _at_start[0] else base + PAGE + inside - size
    _blocks[address] = base, inside + 2 * PAGE, size
    if byte:
        ctypes.memset(base + PAGE, byte, inside)
    return address


def _malloc(_, size):
    return _allocate(size, NOT_A_NUMBER)


def _calloc(_, count, size):
    return _allocate(count * size, 0)


def _realloc(_, address, size):
    moved = _allocate(size, NOT_A_NUMBER)
    if address:
        ctypes.memmove(moved, address, min(size, _blocks[address][2]))
        _free(_, address, 0)
    return moved


def _free(context, address, size):
    if address:
        base, length, _ = _blocks.pop(address)
        _libc.munmap(base, length)


def install() -> None:
    """From here on, NumPy's arrays end at unreadable pages."""
    handler = _Handler(b"guard", 1, None, _MALLOC(_malloc), _CALLOC(_calloc), _REALLOC(_realloc), _FREE(_free))
    api = ctypes.pythonapi
    api.PyCapsule_GetPointer.restype, api.PyCapsule_GetPointer.argtypes = _pointer, [ctypes.py_object, ctypes.c_char_p]
    api.PyCapsule_New.restype = ctypes.py_object
    api.PyCapsule_New.argtypes = [_pointer, ctypes.c_char_p, _pointer]
    table = api.PyCapsule_GetPointer(_multiarray_umath._ARRAY_API, None)
    function = ctypes.cast(table, ctypes.POINTER(_pointer))[SET_HANDLER]
    name = b"mem_handler"
    capsule = api.PyCapsule_New(ctypes.addressof(handler), name, None)
    _kept.extend((handler, name, capsule))
    set_handler = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.py_object)(function)
    _kept.append(set_handler(capsule))
    probe = np.empty(5, np.float32)
    if probe.ctypes.data not in _blocks or not np.isnan(probe).all():
        sys.exit("NumPy did not take the memory handler")


def guard_start(at_start: bool) -> None:
    """Whether arrays made from here on begin behind an unreadable page, rather than end before one."""
    _at_start[0] = at_start
