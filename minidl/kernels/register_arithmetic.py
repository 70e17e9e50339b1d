"""What is computed with registers: arithmetic, comparisons, choice, and the bits of masks and numbers."""

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.imputils import lower_builtin
from numba.core.typing.templates import AbstractTemplate, infer_global, signature

from .registers import Register, in_every_lane, operation, pointer_to

_INT32, _INT64 = ir.IntType(32), ir.IntType(64)

# Operators between two registers of one kind: LLVM's instruction for floats, and that for whole numbers without sign.
_OPERATORS = (
    (operator.add, "fadd", "add"),
    (operator.sub, "fsub", "sub"),
    (operator.mul, "fmul", "mul"),
    (operator.truediv, "fdiv", None),
    (operator.and_, None, "and_"),
    (operator.or_, None, "or_"),
    (operator.xor, None, "xor"),
    (operator.lshift, None, "shl"),
    (operator.rshift, None, "lshr"),
)


def _is_float(kind: Any) -> bool:
    return isinstance(kind.dtype, types.Float)


def _define(function: Callable[..., Any], of_floats: str | None, of_integers: str | None) -> None:
    overload: Any = infer_global  # its hints do not know that it decorates

    @overload(function)
    class _(AbstractTemplate):
        def generic(self, args, kws):
            if len(args) != 2 or not isinstance(args[0], Register) or args[0] != args[1]:
                return None
            return signature(args[0], *args) if (of_floats if _is_float(args[0]) else of_integers) else None

    @lower_builtin(function, Register, Register)
    def _(context, builder, signature, arguments):
        instruction = of_floats if _is_float(signature.args[0]) else of_integers
        return getattr(builder, str(instruction))(*arguments)


for _operator in _OPERATORS:
    _define(*_operator)


@operation(lambda x, value, lanes: np.full(lanes, value).astype(x.dtype))
def spread(typing, x, value, lanes):
    """A number in every lane, in the dtype of the array or register x."""
    kind = Register(x.dtype, lanes.literal_value)

    def codegen(context, builder, signature, arguments):
        return in_every_lane(builder, arguments[1], kind.lanes)

    return kind(x, x.dtype, lanes), codegen


@operation(lambda start, lanes: np.uint64(start) + np.arange(lanes, dtype=np.uint64))
def count_from(typing, start, lanes):
    """start, start + 1, ... as unsigned 64-bit numbers."""
    kind = Register(types.uint64, lanes.literal_value)

    def codegen(context, builder, signature, arguments):
        steps = ir.Constant(context.get_value_type(kind), list(range(kind.lanes)))
        return builder.add(in_every_lane(builder, arguments[0], kind.lanes), steps)

    return kind(types.uint64, lanes), codegen


def _fma(a, b, c):
    return (a.astype(np.float64) * b + c).astype(a.dtype)


@operation(_fma)
def fma(typing, a, b, c):
    """a * b + c, rounded once (without the JIT the product of two float64 is rounded too)."""

    def codegen(context, builder, signature, arguments):
        kind = arguments[0].type
        name = f"llvm.fma.v{kind.count}{'f64' if kind.element == ir.DoubleType() else 'f32'}"
        function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(kind, [kind] * 3), name)
        return builder.call(function, arguments)

    return a(a, a, a), codegen


def _mask_of(kind: Any) -> Register:
    return Register(types.boolean, kind.lanes)


@operation(lambda x, y: (x > y) | (x != x))
def exceeds(typing, x, y):
    """Where x > y or x is NaN."""

    def codegen(context, builder, signature, arguments):
        x, y = arguments
        return builder.or_(builder.fcmp_ordered(">", x, y), builder.fcmp_unordered("uno", x, x))

    return _mask_of(x)(x, x), codegen


@operation(lambda x, y: x < y)
def less(typing, x, y):
    """Where x < y; whole numbers are taken without sign."""

    def codegen(context, builder, signature, arguments):
        compare = builder.fcmp_ordered if _is_float(signature.args[0]) else builder.icmp_unsigned
        return compare("<", *arguments)

    return _mask_of(x)(x, x), codegen


@operation(lambda x, y: x <= y)
def at_most(typing, x, y):
    """Where x <= y."""

    def codegen(context, builder, signature, arguments):
        return builder.fcmp_ordered("<=", *arguments)

    return _mask_of(x)(x, x), codegen


@operation(lambda x, y: x == y)
def equal(typing, x, y):
    """Where two whole numbers are equal."""

    def codegen(context, builder, signature, arguments):
        return builder.icmp_signed("==", *arguments)

    return _mask_of(x)(x, x), codegen


@operation(np.where)
def select(typing, mask, x, y):
    """x where the mask is on, y elsewhere."""

    def codegen(context, builder, signature, arguments):
        return builder.select(*arguments)

    return x(mask, x, x), codegen


def _plain_store_bits(words, at, mask):
    words[at : at + len(mask) // 64] = np.packbits(mask, bitorder="little").view(np.uint64)


@operation(_plain_store_bits)
def store_bits(typing, words, at, mask):
    """Write a mask into 64-bit words from words[at] on, lane 0 as the lowest bit."""

    def codegen(context, builder, signature, arguments):
        bits = builder.bitcast(arguments[2], ir.IntType(signature.args[2].lanes))
        builder.store(
            bits, pointer_to(context, builder, signature.args[0], arguments[0], arguments[1], bits.type), align=8
        )
        return context.get_dummy_value()

    return types.void(words, types.intp, mask), codegen


def _plain_load_bits(words, at, lanes):
    return np.unpackbits(words[at : at + lanes // 64].view(np.uint8), bitorder="little").astype(bool)


@operation(_plain_load_bits)
def load_bits(typing, words, at, lanes):
    """The mask that `store_bits` wrote."""
    kind = Register(types.boolean, lanes.literal_value)

    def codegen(context, builder, signature, arguments):
        count = kind.lanes
        halves, each = ir.VectorType(_INT32, count // 32), ir.VectorType(_INT32, count)
        pointer = pointer_to(context, builder, signature.args[0], arguments[0], arguments[1], halves)
        found, order = builder.load(pointer, align=8), ir.Constant(each, [i // 32 for i in range(count)])
        spread = builder.shuffle_vector(found, found, order)  # a cast of the words to a mask is slow under AVX2
        bits = builder.and_(spread, ir.Constant(each, [1 << i % 32 for i in range(count)]))
        return builder.icmp_unsigned("!=", bits, ir.Constant(each, None))

    return kind(words, types.intp, lanes), codegen


_TWINS = {types.float32: types.uint32, types.uint32: types.float32}


@operation(lambda x: x.view(np.uint32 if x.dtype == np.float32 else np.float32))
def reinterpret(typing, x):
    """The bits of 32-bit floats as whole numbers, or the other way round."""
    kind = Register(_TWINS[x.dtype], x.lanes)

    def codegen(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], context.get_value_type(kind))

    return kind(x), codegen


def _plain_interleave(a, b, c, d):
    return np.stack([a, b, c, d], 1).reshape(-1).astype(np.uint32)


@operation(_plain_interleave)
def interleave(typing, a, b, c, d):
    """a[0], b[0], c[0], d[0], a[1], ... of four registers of 64-bit numbers, the lower 32 bits of each."""
    kind = Register(types.uint32, 4 * a.lanes)

    def codegen(context, builder, signature, arguments):
        low, high = (
            in_every_lane(builder, ir.Constant(_INT64, 0xFFFFFFFF), a.lanes),
            in_every_lane(builder, ir.Constant(_INT64, 32), a.lanes),
        )
        a_, b_, c_, d_ = arguments
        pairs = [builder.or_(builder.and_(x, low), builder.shl(y, high)) for x, y in ((a_, b_), (c_, d_))]
        order = [i // 2 + i % 2 * a.lanes for i in range(2 * a.lanes)]
        both = builder.shuffle_vector(*pairs, ir.Constant(ir.VectorType(_INT32, 2 * a.lanes), order))
        return builder.bitcast(both, context.get_value_type(kind))

    return kind(a, a, a, a), codegen
