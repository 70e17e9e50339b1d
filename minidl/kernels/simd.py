"""The tile that multiplies: a block of C kept in vector registers, as LLVM IR.

For r < rows and every column j, c[r, j] = sum over k of a[r, k] * b[k, j], by fused multiply-adds in the order of k:
one element of `a`, spread over a register, times a row of `b`. So the bits do not depend on how wide the registers are.
Operands are read where they lie, through tables of offsets; the columns beyond the last are masked, never touched.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .vectors import INT32, INT64, REGISTER, Vectors, config

_GROUP = 4  # rows reached from one pointer: more pointers spill the integer registers, fewer lengthen the chains


VECTORS = 2  # registers beside each other in a row of the tile
# Rows of the tiles. 12 * 2 sums, 2 registers of b and a few of a fill 32 registers; with 14 rows two sums spill.
ROWS = (12, 8, 4, 2, 1) if REGISTER == 64 else (6, 4, 2, 1, 1)


def make_tile(rows: int) -> Callable[..., None]:
    """tile(a, a_start, a_row, a_steps, b, b_start, b_steps, first, count, c, c_start, c_row, columns, add):

    c[c_start + r * c_row + j] (+)= sum over `count` steps k from `first` on of a[a_start + r * a_row + a_steps[k]] *
    b[b_start + b_steps[k] + j], for r < rows and j < columns, of which there are at most VECTORS registers.
    a, b, c are flat arrays of one dtype; starts, strides and steps count elements; with `add`, c is added to.
    """
    if config.DISABLE_JIT:
        return _plain_tile(rows)

    @intrinsic
    def tile(typing, a, a_start, a_row, a_steps, b, b_start, b_steps, first, count, c, c_start, c_row, columns, add):
        signature = types.void(
            *(a, types.intp, types.intp, a_steps, b, types.intp, b_steps, types.intp, types.intp),
            *(c, types.intp, types.intp, types.intp, types.boolean),
        )

        def codegen(context, builder, signature, arguments):
            _Tile(context, builder, rows, a.dtype, signature.args, arguments).build()
            return context.get_dummy_value()

        return signature, codegen

    return tile


def _plain_tile(rows: int) -> Callable[..., None]:
    def tile(a, a_start, a_row, a_steps, b, b_start, b_steps, first, count, c, c_start, c_row, columns, add):
        for r in range(rows):
            at = slice(c_start + r * c_row, c_start + r * c_row + columns)
            total = c[at].copy() if add else np.zeros(columns, c.dtype)
            part = np.zeros(columns, c.dtype)
            for k in range(first, first + count):
                start = b_start + b_steps[k]
                part += a[a_start + r * a_row + a_steps[k]] * b[start : start + columns]
            c[at] = total + part

    return tile


class _Tile(Vectors):
    """Writes one tile into the function that calls it."""

    def __init__(self, context: Any, builder: Any, rows: int, dtype: Any, kinds: Any, arguments: Any):
        super().__init__(context, builder, dtype)
        self.rows = rows
        a, a_start, self.a_row, a_steps, b, b_start, b_steps, self.first, self.count = arguments[:9]
        c, c_start, self.c_row, self.columns, self.add = arguments[9:]
        self.a, self.b = self.address(kinds[0], a, a_start), self.address(kinds[4], b, b_start)
        self.a_steps, self.b_steps = self.address(kinds[3], a_steps), self.address(kinds[6], b_steps)
        self.c = self.address(kinds[9], c, c_start)

    def _step(self, table: Any, k: Any) -> Any:
        """The offset of step k, in bytes."""
        address = self.builder.add(table, self.builder.shl(k, ir.Constant(INT64, 3)))
        return self.bytes(self.builder.load(self.builder.inttoptr(address, INT64.as_pointer())))

    def _left(self, k: Any) -> list[Any]:
        """The elements a[r, k], each in every lane of a register."""
        builder, byte = self.builder, ir.IntType(8).as_pointer()
        base = builder.inttoptr(builder.add(self.a, self._step(self.a_steps, k)), byte)
        spread = []
        for r in range(self.rows):
            if r and r % _GROUP == 0:
                base = builder.gep(base, [self.rows_apart[_GROUP]])
            pointer = builder.gep(base, [self.rows_apart[r % _GROUP]]) if r % _GROUP else base
            spread.append(self.spread(builder.load(builder.bitcast(pointer, self.scalar.as_pointer()))))
        return spread

    def build(self) -> None:
        """The tile; where a mask costs, once more without one, for when every column is there."""
        builder, row = self.builder, self.bytes(self.a_row)
        self.rows_apart = [builder.mul(row, ir.Constant(INT64, m)) for m in range(_GROUP + 1)]
        masks = [self.mask(self.columns, j * self.lanes) for j in range(VECTORS)]
        if REGISTER == 64:
            self._loop(masks)
            return
        with builder.if_else(
            builder.icmp_signed("==", self.columns, ir.Constant(INT64, VECTORS * self.lanes))
        ) as parts:
            with parts[0]:
                self._loop([None] * VECTORS)
            with parts[1]:
                self._loop(masks)

    def _loop(self, masks: list[Any]) -> None:
        """The loop over k with the sums in registers, then the stores."""
        builder, end = self.builder, self.builder.add(self.first, self.count)
        before, loop, after = builder.block, builder.append_basic_block("tile"), builder.append_basic_block("tiled")
        builder.branch(loop)
        builder.position_at_end(loop)
        k = builder.phi(INT64)
        k.add_incoming(self.first, before)
        sums = [[builder.phi(self.vector) for _ in range(VECTORS)] for _ in range(self.rows)]
        results = self._multiply_add(k, sums, masks)
        following = builder.add(k, ir.Constant(INT64, 1))
        k.add_incoming(following, loop)
        for row_sums, row_results in zip(sums, results, strict=True):
            for phi, result in zip(row_sums, row_results, strict=True):
                phi.add_incoming(self.zero, before)
                phi.add_incoming(result, loop)
        builder.cbranch(builder.icmp_signed("<", following, end), loop, after)
        builder.position_at_end(after)
        self._finish(results, masks)

    def _multiply_add(self, k: Any, sums: list[list[Any]], masks: list[Any]) -> list[list[Any]]:
        start = self.builder.add(self.b, self._step(self.b_steps, k))
        places = [self.builder.add(start, ir.Constant(INT64, REGISTER * j)) for j in range(VECTORS)]
        right = [self.load(place, mask) for place, mask in zip(places, masks, strict=True)]
        return [
            [self.call("fma", self.vector, [left, r, s]) for r, s in zip(right, row_sums, strict=True)]
            for left, row_sums in zip(self._left(k), sums, strict=True)
        ]

    def _finish(self, results: list[list[Any]], masks: list[Any]) -> None:
        """Store the sums, or add them to what is there."""
        add = self.builder.icmp_unsigned("!=", self.add, ir.Constant(self.add.type, 0))
        with self.builder.if_else(add) as (then, otherwise):
            with then:
                self._store_all(results, masks, added=True)
            with otherwise:
                self._store_all(results, masks, added=False)

    def _store_all(self, results: list[list[Any]], masks: list[Any], added: bool) -> None:
        builder, apart, address = self.builder, self.bytes(self.c_row), self.c
        for row_results in results:
            for j, (result, mask) in enumerate(zip(row_results, masks, strict=True)):
                at = builder.add(address, ir.Constant(INT64, REGISTER * j))
                self.store(builder.fadd(result, self.load(at, mask)) if added else result, at, mask)
            address = builder.add(address, apart)


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
    """Interleaving the first half of the registers with the second, log2(lanes) times, turns rows into columns."""
    lanes = len(registers)
    index = ir.VectorType(INT32, lanes)
    orders = [[h * lanes // 2 + i // 2 + i % 2 * lanes for i in range(lanes)] for h in range(2)]
    for _ in range(lanes.bit_length() - 1):
        pairs = zip(registers[: lanes // 2], registers[lanes // 2 :], strict=True)
        registers = [builder.shuffle_vector(a, b, ir.Constant(index, order)) for a, b in pairs for order in orders]
    return registers


def _plain_turn(x, x_start, x_row, rows, columns, y, y_start, y_row):
    for r in range(rows):
        for c in range(columns):
            y[y_start + c * y_row + r] = x[x_start + r * x_row + c]


# turn(x, x_start, x_row, rows, columns, y, y_start, y_row): y[c, r] = x[r, c] for a block of at most a register's lanes
# each way of two flat arrays; starts and strides count elements.
turn: Any = _plain_turn if config.DISABLE_JIT else _turn
