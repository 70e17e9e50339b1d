"""Blocks of a matrix turned within registers, as LLVM IR."""

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .vectors import INT32, INT64, Vectors, config


@intrinsic
def _turn(typing, x, x_start, x_row, rows, columns, y, y_start, y_row):
    signature = types.void(x, *[types.intp] * 4, y, *[types.intp] * 2)

    def codegen(context, builder, signature, arguments):
        x, x_start, x_row, rows, columns, y, y_start, y_row = arguments
        vectors = Vectors(context, builder, signature.args[0].dtype)
        lanes, across, down = vectors.lanes, vectors.mask(columns), vectors.mask(rows)
        source, target = vectors.address(signature.args[0], x, x_start), vectors.address(signature.args[5], y, y_start)
        registers = []
        for r in range(lanes):
            here = builder.icmp_signed("<", ir.Constant(INT64, r), rows)
            registers.append(vectors.load(source, builder.and_(across, vectors.spread(here))))
            source = builder.add(source, vectors.bytes(x_row))
        for r, register in enumerate(_transposed(builder, registers)):
            here = builder.icmp_signed("<", ir.Constant(INT64, r), columns)
            vectors.store(register, target, builder.and_(down, vectors.spread(here)))
            target = builder.add(target, vectors.bytes(y_row))
        return context.get_dummy_value()

    return signature, codegen


def _transposed(builder: Any, registers: list[Any]) -> list[Any]:
    """What lies in even places of registers i and i + apart goes to the one, in odd places to the other, for each power
    of two apart: that turns rows into columns.

    The places are at first those within each 16 bytes, then the 16 bytes: the shuffles that take one instruction.
    """
    lanes, registers = len(registers), list(registers)
    index, each = ir.VectorType(INT32, lanes), 2 if registers[0].type.element == ir.DoubleType() else 4
    for bit in range(lanes.bit_length() - 1):
        apart = 1 << bit
        size, among = (1, each) if apart < each else (each, lanes)
        starts = [start + side for start in range(0, lanes, among) for side in (0, lanes)]
        even = [i + n for start in starts for i in range(start, start + among, 2 * size) for n in range(size)]
        for i in (i for i in range(lanes) if not i & apart):
            pair = registers[i], registers[i + apart]
            for k, order in ((i, even), (i + apart, [place + size for place in even])):
                registers[k] = builder.shuffle_vector(*pair, ir.Constant(index, order))
    return registers


def _plain_turn(x, x_start, x_row, rows, columns, y, y_start, y_row):
    for r in range(rows):
        for c in range(columns):
            y[y_start + c * y_row + r] = x[x_start + r * x_row + c]


# turn(x, x_start, x_row, rows, columns, y, y_start, y_row): y[c, r] = x[r, c] for a block of at most a register's lanes
# each way of two flat arrays; starts and strides count elements.
turn: Any = _plain_turn if config.DISABLE_JIT else _turn
