"""`flat`, `dense`, `empty` and `alike` of layout.py in machine code, for arrays as they come in a training step.

Every op needs them several times, and NumPy takes 0.1 to 0.3 us for each view and each new array, twice that where
images push the interpreter out of the caches. This code reads an array's fields and makes arrays through NumPy's C
interface (`PyArray_NewFromDescr`, `PyArray_SetBaseObject`); where anything is not as usual it calls the function that
it stands in for.
"""

import ctypes
from importlib import import_module

import numpy as np
from llvmlite import binding, ir
from numba import cfunc, types

from .builtin import replace, vectorcall
from .fingerprint import keyed
from .inner import inner
from .memory import (
    ALIGN_FROM,
    ALIGNED,
    C_CONTIGUOUS,
    CACHE_LINE,
    DATA,
    DTYPE,
    EXTENTS,
    FLAGS,
    ITEMS,
    LENGTH,
    NDIM,
    STRIDES,
    TYPE,
    WRITEABLE,
)
from .quick import as_long, clear, error, truth
from .team import half_at, intrinsic, put, word_at

_CARRAY = C_CONTIGUOUS | ALIGNED | WRITEABLE
_MOST = 8  # dimensions of a new array
_INWARDS = (0, 2, 3, 1)  # places of images, rows, columns and channels, the innermost in memory last
_NEW_FROM_DESCR, _SET_BASE_OBJECT = 94, 282  # places in NumPy's table of functions, the same since 1.7
_NAMES = {"ndarray": np.ndarray, "tuple": tuple} | {name: np.dtype(name) for name in ("float32", "float64", "int64")}

_word, _half = types.intp, types.intc
_call = types.ExternalFunction("minidl_call", _word(_word, _word, _word, _word))
_hold = types.ExternalFunction("Py_IncRef", types.void(_word))
_release = types.ExternalFunction("Py_DecRef", types.void(_word))
_new = types.ExternalFunction("minidl_new", _word(_word, _word, _half, _word, _word, _word, _half, _word))
_set_base = types.ExternalFunction("minidl_set_base", _half(_word, _word))


def _name_addresses() -> None:
    """Make known what the code refers to by name: objects, and NumPy's functions."""
    core = "numpy._core" if np.__version__ >= "2" else "numpy.core"
    table = import_module(f"{core}._multiarray_umath")._ARRAY_API
    pointer_of = ctypes.pythonapi.PyCapsule_GetPointer
    pointer_of.restype, pointer_of.argtypes = ctypes.c_void_p, (ctypes.py_object, ctypes.c_char_p)
    functions = (ctypes.c_void_p * (_SET_BASE_OBJECT + 1)).from_address(pointer_of(table, None))
    binding.add_symbol("minidl_call", vectorcall())
    binding.add_symbol("minidl_new", functions[_NEW_FROM_DESCR])
    binding.add_symbol("minidl_set_base", functions[_SET_BASE_OBJECT])
    for name, known in _NAMES.items():
        binding.add_symbol(f"minidl_{name}", id(known))


@intrinsic(prefer_literal=True)
def _named(typing, name):
    """The address of an object in `_NAMES`."""

    def codegen(context, builder, signature, arguments):
        full = f"minidl_{name.literal_value}"
        known = builder.module.globals.get(full)
        if known is None:
            known = ir.GlobalVariable(builder.module, ir.IntType(8), full)
            known.linkage = "external"
        return builder.ptrtoint(known, ir.IntType(64))

    return _word(name), codegen


@intrinsic(prefer_literal=True)
def _room(typing, words):
    """The address of so many 64-bit words on the stack."""

    def codegen(context, builder, signature, arguments):
        with builder.goto_entry_block():
            room = builder.alloca(ir.IntType(64), words.literal_value)
        return builder.ptrtoint(room, ir.IntType(64))

    return _word(words), codegen


@inner
def _item_size(dtype):
    """Bytes of an element of the dtypes that come in a training step; of others 0."""
    if dtype == _named("float32"):
        return 4
    return 8 if dtype == _named("float64") or dtype == _named("int64") else 0


@inner
def _size(ndim, extents):
    size = 1
    for d in range(ndim):
        size *= word_at(extents + 8 * d)
    return size


@inner
def _lies_in_a_row(array, item):
    """Whether an array's elements in canonical order, `item` bytes each, follow one another."""
    if half_at(array + NDIM) != 4:
        return half_at(array + FLAGS) & C_CONTIGUOUS != 0
    extents, strides, step = word_at(array + EXTENTS), word_at(array + STRIDES), item
    for place in _INWARDS[::-1]:
        extent = word_at(extents + 8 * place)
        if word_at(strides + 8 * place) != step and extent != 1:
            return False
        step *= extent
    return step != 0


@inner
def _over(owner, dtype, ndim, extents, strides, data, flags):
    """A new array over another's memory, which it keeps alive; 0 after an error."""
    _hold(dtype)
    array = _new(_named("ndarray"), dtype, ndim, extents, strides, data, flags, 0)
    if array != 0:
        _hold(owner)
        if _set_base(array, owner) < 0:
            _release(array)
            return 0
    return array


def _flat(function, given, count, names):
    if names == 0 and count == 1 and word_at(word_at(given) + TYPE) == _named("ndarray"):
        array = word_at(given)
        dtype, ndim = word_at(array + DTYPE), half_at(array + NDIM)
        item = _item_size(dtype)
        if item and _lies_in_a_row(array, item):
            if ndim == 1:
                _hold(array)
                return array
            extents = _room(1)
            put(extents, _size(ndim, word_at(array + EXTENTS)))
            flags = half_at(array + FLAGS) & WRITEABLE
            return _over(array, dtype, 1, extents, 0, word_at(array + DATA), flags)
    return _call(function, given, count, names)


def _dense(function, given, count, names):
    if names == 0 and count == 1 and word_at(word_at(given) + TYPE) == _named("ndarray"):
        array = word_at(given)
        item = _item_size(word_at(array + DTYPE))
        if item and _lies_in_a_row(array, item):
            _hold(array)
            return array
    return _call(function, given, count, names)


@inner
def _read_shape(shape, extents):
    """Put a tuple's whole numbers into words; False if it is not one of at most `_MOST` of them, none below 0."""
    if word_at(shape + TYPE) != _named("tuple") or word_at(shape + LENGTH) > _MOST:
        return False
    for d in range(word_at(shape + LENGTH)):
        extent = as_long(word_at(shape + ITEMS + 8 * d))
        if extent < 0:
            if error() != 0:
                clear()
            return False
        put(extents + 8 * d, extent)
    return True


@inner
def _strides_of_images(extents, strides, item):
    """The address of the strides of channels-last order, once they are there."""
    for place in _INWARDS[::-1]:
        put(strides + 8 * place, item)
        item *= word_at(extents + 8 * place)
    return strides


def _empty(function, given, count, names):
    if names != 0 or count != 2:
        return _call(function, given, count, names)
    shape, dtype, extents, row = word_at(given), word_at(given + 8), _room(_MOST), _room(1)
    item = _item_size(dtype)
    if item == 0 or not _read_shape(shape, extents):
        return _call(function, given, count, names)
    ndim = word_at(shape + LENGTH)
    size = _size(ndim, extents)
    strides = _strides_of_images(extents, _room(4), item) if ndim == 4 else 0  # 0: NumPy's own, which is C order
    _hold(dtype)
    if size < ALIGN_FROM:
        return _new(_named("ndarray"), dtype, ndim, extents, strides, 0, 0, 0)
    put(row, size + CACHE_LINE)
    room = _new(_named("ndarray"), dtype, 1, row, 0, 0, 0, 0)
    if room == 0:
        return 0
    data = word_at(room + DATA)
    array = _over(room, dtype, ndim, extents, strides, data + -data % CACHE_LINE, WRITEABLE)
    _release(room)
    return array


@inner
def _are_alike(array, first):
    ndim, extents = half_at(first + NDIM), word_at(first + EXTENTS)
    if word_at(array + TYPE) != _named("ndarray") or half_at(array + FLAGS) & _CARRAY != _CARRAY:
        return False
    if word_at(array + DTYPE) != word_at(first + DTYPE) or half_at(array + NDIM) != ndim:
        return False
    own = word_at(array + EXTENTS)
    for d in range(ndim):
        if word_at(own + 8 * d) != word_at(extents + 8 * d):
            return False
    return True


def _alike(function, given, count, names):
    if names == 0 and count > 0 and word_at(word_at(given) + TYPE) == _named("ndarray"):
        agree = True
        for i in range(count):
            agree = agree and _are_alike(word_at(given + 8 * i), word_at(given))
        if agree:
            return truth(1)
    return _call(function, given, count, names)


def replace_by_machine_code() -> None:
    """Let the built-in functions of layout.py run this code; what is in the cache is not compiled again."""
    _name_addresses()
    signature = _word(_word, _word, _word, _word)
    for name, function in (("flat", _flat), ("dense", _dense), ("empty", _empty), ("alike", _alike)):
        replace(name, cfunc(signature, cache=True)(keyed(function)))
