"""What sums need beside `registers.py`: a fixed number of lanes, other widths, the sum of the lanes, and the cache."""

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils

from .memory import CACHE_LINE
from .registers import Register, in_every_lane, operation, pointer_to
from .vectors import REGISTER

LANES = 32  # two registers of AVX-512, four of AVX2: as many sums beside each other as an addition's latency asks for
# Columns beside each other that are walked down together, each with sums and numbers of its own in its lane: as many as
# registers hold, for memory is read the faster the longer the pieces. How many there are changes no sum.
SPAN = 64 if REGISTER == 64 else LANES
_INT32, _BYTE = ir.IntType(32), ir.IntType(8)


@operation(lambda value: value.astype(np.float64))
def widen(typing, value):
    """The value in float64."""
    kind = Register(types.float64, value.lanes)

    def codegen(context, builder, signature, arguments):
        return arguments[0] if value == kind else builder.fpext(arguments[0], context.get_value_type(kind))

    return kind(value), codegen


@operation(lambda x, value: value.astype(x.dtype))
def narrow(typing, x, value):
    """A float64 value in the dtype of the array x."""
    kind = Register(x.dtype, value.lanes)

    def codegen(context, builder, signature, arguments):
        return arguments[1] if value == kind else builder.fptrunc(arguments[1], context.get_value_type(kind))

    return kind(x, value), codegen


@operation(np.sqrt)
def root(typing, value):
    """The square root of float64 numbers."""

    def codegen(context, builder, signature, arguments):
        kind = arguments[0].type
        function = ir.FunctionType(kind, [kind])
        function = cgutils.get_or_insert_function(builder.module, function, f"llvm.sqrt.v{kind.count}f64")
        return builder.call(function, arguments)

    return value(value), codegen


@operation(lambda value, count: np.where(np.arange(len(value)) < count, value, value.dtype.type(0)))
def first(typing, value, count):
    """The first `count` lanes as they are, 0 in the others."""

    def codegen(context, builder, signature, arguments):
        lanes, zero = value.lanes, ir.Constant(arguments[0].type, None)
        places = ir.Constant(ir.VectorType(_INT32, lanes), list(range(lanes)))
        mask = builder.icmp_signed("<", places, in_every_lane(builder, builder.trunc(arguments[1], _INT32), lanes))
        return builder.select(mask, arguments[0], zero)

    return value(value, types.intp), codegen


def _halved(builder: Any, value: Any, combine: Callable[[Any, Any], Any]) -> Any:
    """The lanes combined to one, the second half with the first until one is left."""
    width = value.type.count
    while width > 1:
        width //= 2
        index = ir.VectorType(_INT32, width)
        halves = (ir.Constant(index, list(range(start, start + width))) for start in (0, width))
        value = combine(*(builder.shuffle_vector(value, value, half) for half in halves))
    return builder.extract_element(value, ir.Constant(_INT32, 0))


def _plain_sum(value):
    while len(value) > 1:
        value = value[: len(value) // 2] + value[len(value) // 2 :]
    return value[0]


@operation(_plain_sum)
def lane_sum(typing, value):
    """The sum of the lanes: the second half added to the first until one is left."""

    def codegen(context, builder, signature, arguments):
        return _halved(builder, arguments[0], builder.fadd)

    return value.dtype(value), codegen


@operation(np.max)
def lane_top(typing, value):
    """The largest lane; none is NaN."""

    def codegen(context, builder, signature, arguments):
        def larger(x, y):
            return builder.select(builder.fcmp_ordered("<", x, y), y, x)

        return _halved(builder, arguments[0], larger)

    return value.dtype(value), codegen


@operation(lambda x, at: None)
def prefetch(typing, x, at):
    """Have the LANES elements from `at` on on their way to the cache; they need not exist."""

    def codegen(context, builder, signature, arguments):
        function = ir.FunctionType(ir.VoidType(), [_BYTE.as_pointer(), _INT32, _INT32, _INT32])
        function = cgutils.get_or_insert_function(builder.module, function, "llvm.prefetch.p0")
        place = pointer_to(context, builder, signature.args[0], arguments[0], arguments[1], _BYTE)
        options = [ir.Constant(_INT32, option) for option in (0, 3, 1)]  # to read, to keep, data
        for line in range(0, LANES * context.get_abi_sizeof(context.get_data_type(x.dtype)), CACHE_LINE):
            builder.call(function, [builder.gep(place, [ir.Constant(_INT32, line)]), *options])
        return context.get_dummy_value()

    return types.void(x, types.intp), codegen


def _plain_stream(x, at, value):
    x.reshape(-1)[at : at + len(value)] = value


@operation(_plain_stream)
def stream(typing, x, at, value):
    """Store all lanes past the cache, at a place aligned to its lines; after the last of them call `settle`."""

    def codegen(context, builder, signature, arguments):
        place = pointer_to(context, builder, signature.args[0], arguments[0], arguments[1], arguments[2].type)
        stored = builder.store(arguments[2], place, align=CACHE_LINE)
        stored.set_metadata("nontemporal", builder.module.add_metadata([ir.Constant(_INT32, 1)]))
        return context.get_dummy_value()

    return types.void(x, types.intp, value), codegen


@operation(lambda: None)
def settle(typing: Any):
    """Let other threads see what was stored past the cache."""

    def codegen(context, builder, signature, arguments):
        builder.fence("seq_cst")
        return context.get_dummy_value()

    return types.void(), codegen
