"""Registers: values of many lanes that a kernel's loop holds in variables, for what LLVM does not make vectors of.

A kernel loads, computes and stores them by the functions below, in the same order on every processor: how many lanes
there are is written in the source, and LLVM spreads them over as many vector registers as that takes. Several beside
each other also keep the processor busy while each waits for its last result. Without the JIT they are NumPy arrays.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core import config as _config
from numba.extending import intrinsic, models, register_model

config: Any = _config
_INT32, _INT64 = ir.IntType(32), ir.IntType(64)


class Register(types.Type):
    """The Numba type of a register; of booleans it is a mask."""

    def __init__(self, dtype: Any, lanes: int):
        self.dtype, self.lanes = dtype, lanes
        super().__init__(f"Register({dtype} x {lanes})")


@register_model(Register)
class _Model(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Register):
        element = manager.lookup(kind.dtype).get_value_type()
        super().__init__(manager, kind, ir.VectorType(element, kind.lanes))


def operation(plain: Callable) -> Callable[[Callable], Any]:
    """Make a function that types its arguments and answers (signature, codegen) an intrinsic, whose twin is `plain`."""

    def make(typing: Callable) -> Any:
        return plain if config.DISABLE_JIT else intrinsic(prefer_literal=True)(typing)

    return make


def in_every_lane(builder: Any, value: Any, lanes: int) -> Any:
    undefined = ir.Constant(ir.VectorType(value.type, lanes), ir.Undefined)
    first = builder.insert_element(undefined, value, ir.Constant(_INT32, 0))
    return builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(_INT32, lanes), [0] * lanes))


def _all(builder: Any, count: Any, lanes: int) -> Any:
    return builder.icmp_signed(">=", count, ir.Constant(_INT64, lanes))


def _below(builder: Any, count: Any, lanes: int) -> Any:
    """On in the lanes whose place is below `count`."""
    places = ir.Constant(ir.VectorType(_INT32, lanes), list(range(lanes)))
    return builder.icmp_signed("<", places, in_every_lane(builder, builder.trunc(count, _INT32), lanes))


def pointer_to(context: Any, builder: Any, kind: Any, array: Any, at: Any, pointee: Any) -> Any:
    data = context.make_array(kind)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [at]), pointee.as_pointer())


def _masked(builder: Any, name: str, result: Any, vector: Any, arguments: list) -> Any:
    element = vector.element
    kind = {ir.FloatType(): "f32", ir.DoubleType(): "f64"}.get(element) or f"i{element.width}"
    function = ir.FunctionType(result, [argument.type for argument in arguments])
    function = cgutils.get_or_insert_function(builder.module, function, f"llvm.masked.{name}.v{vector.count}{kind}.p0")
    return builder.call(function, arguments)


def _plain_load(x, at, count, lanes):
    value, found = np.zeros(lanes, x.dtype), x.reshape(-1)[at : at + min(count, lanes)]
    value[: len(found)] = found
    return value


@operation(_plain_load)
def load(typing, x, at, count, lanes):
    """`count` elements of an array's memory from `at` on, at most all lanes; nothing is read for the others: zeros."""
    kind = Register(x.dtype, lanes.literal_value)

    def codegen(context, builder, signature, arguments):
        vector = context.get_value_type(kind)
        pointer = pointer_to(context, builder, signature.args[0], arguments[0], arguments[1], vector)
        align = context.get_abi_sizeof(vector.element)
        out = builder.alloca(vector)
        with builder.if_else(_all(builder, arguments[2], kind.lanes)) as (then, otherwise):
            with then:
                builder.store(builder.load(pointer, align=align), out)
            with otherwise:
                mask, zero = _below(builder, arguments[2], kind.lanes), ir.Constant(vector, None)
                operands = [pointer, ir.Constant(_INT32, align), mask, zero]
                builder.store(_masked(builder, "load", vector, vector, operands), out)
        return builder.load(out)

    return kind(x, types.intp, types.intp, lanes), codegen


def _plain_store(x, at, count, value):
    x.reshape(-1)[at : at + min(count, len(value))] = value[:count]


@operation(_plain_store)
def store(typing, x, at, count, value):
    """Write the first `count` lanes, at most all, over an array's memory from `at` on; nothing for the others."""

    def codegen(context, builder, signature, arguments):
        count, value = arguments[2:]
        pointer = pointer_to(context, builder, signature.args[0], arguments[0], arguments[1], value.type)
        align = context.get_abi_sizeof(value.type.element)
        with builder.if_else(_all(builder, count, value.type.count)) as (then, otherwise):
            with then:
                builder.store(value, pointer, align=align)
            with otherwise:
                operands = [value, pointer, ir.Constant(_INT32, align), _below(builder, count, value.type.count)]
                _masked(builder, "store", ir.VoidType(), value.type, operands)
        return context.get_dummy_value()

    return types.void(x, types.intp, types.intp, value), codegen
