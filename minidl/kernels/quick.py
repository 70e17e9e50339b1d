"""The quick way in: a launch of a kernel for types it has run with before, without Numba's dispatcher.

The dispatcher takes 60 to 100 ns to unbox an array. This function, made once, reads the objects' memory instead: it
finds the entry point for their types in the kernel's table, packs their addresses and extents, and calls it. What it
relies on is NumPy's C interface (the fields of PyArrayObject) and Python's (float, tuple). It answers False, having
done nothing, to whatever the table does not hold: the door then compiles for it, or refuses it.
"""

from collections.abc import Callable

import numpy as np
from llvmlite import ir
from numba import cfunc, types

from .builtin import METH_FASTCALL, make
from .fingerprint import keyed
from .inner import inner
from .memory import ALIGNED, C_CONTIGUOUS, DATA, DTYPE, EXTENTS, FLAGS, ITEMS, LENGTH, NDIM, TYPE, VALUE
from .team import call_entry, call_loop, half_at, intrinsic, put, word_at

_C_ORDERED_ALIGNED = C_CONTIGUOUS | ALIGNED
ARRAY_TYPE, FLOAT_TYPE, INT_TYPE, BOOL_TYPE, BLOCK, SHARED_BLOCK, LOOP = range(7)  # words of the state

as_long = types.ExternalFunction("PyLong_AsLongLong", types.int64(types.intp))
truth = types.ExternalFunction("PyBool_FromLong", types.intp(types.int64))
error = types.ExternalFunction("PyErr_Occurred", types.intp())
clear = types.ExternalFunction("PyErr_Clear", types.void())


@intrinsic
def _bits_of(typing, number):
    """A whole number as the bits of a float64."""

    def codegen(context, builder, signature, arguments):
        return builder.bitcast(builder.sitofp(arguments[0], ir.DoubleType()), ir.IntType(64))

    return types.intp(types.intp), codegen


@inner
def _packed(state, row, count, items, block):
    """Whether the items are of the row's types; if so they stand in the block."""
    for i in range(count):
        item, dtype, kind = word_at(items + 8 * i), word_at(row + 16 * i), word_at(row + 16 * i + 8)
        type_ = word_at(item + TYPE)
        if dtype != 0:
            if (
                type_ != word_at(state + 8 * ARRAY_TYPE)
                or word_at(item + DTYPE) != dtype
                or half_at(item + NDIM) != kind
            ):
                return False
            if half_at(item + FLAGS) & _C_ORDERED_ALIGNED != _C_ORDERED_ALIGNED:
                return False
            put(block, word_at(item + DATA))
            extents = word_at(item + EXTENTS)
            for d in range(kind):
                put(block + 8 + 8 * d, word_at(extents + 8 * d))
            block += 8 + 8 * kind
            continue
        if type_ == word_at(state + 8 * FLOAT_TYPE) and kind == 0:
            put(block, word_at(item + VALUE))
        elif type_ == word_at(state + 8 * INT_TYPE) or type_ == word_at(state + 8 * BOOL_TYPE):
            value = as_long(item)
            if value == -1 and error() != 0:
                clear()
                return False
            put(block, value if kind == 1 else _bits_of(value))
        else:
            return False
        block += 8
    return True


def _launch_quickly(itself, given, _):
    """`quick(table, n, chunks, arguments)`: run the kernel and answer True, or False if its types are not known."""
    state, table = as_long(itself), as_long(word_at(given))
    n, chunks, arguments = as_long(word_at(given + 8)), as_long(word_at(given + 16)), word_at(given + 24)
    count = word_at(table)
    if word_at(arguments + LENGTH) != count:
        return truth(0)
    block = word_at(state + 8 * (BLOCK if chunks == 1 else SHARED_BLOCK))
    for i in range(word_at(table + 8)):
        row = table + 16 + i * (16 * count + 8)
        if _packed(state, row + 8, count, arguments + ITEMS, block):
            if chunks == 1:
                call_entry((word_at(row), block, 0, n))
            else:
                call_loop((word_at(state + 8 * LOOP), word_at(row), block, n, chunks))
            return truth(1)
    return truth(0)


def make_quick(state: np.ndarray) -> Callable[[int, int, int, tuple], bool]:
    """The function `quick(table, n, chunks, arguments)` over these words of state."""
    state[:BLOCK] = id(np.ndarray), id(float), id(int), id(bool)
    compiled = cfunc(types.intp(types.intp, types.intp, types.intp), cache=True)(keyed(_launch_quickly))
    return make("quick", compiled, METH_FASTCALL, state.ctypes.data)
