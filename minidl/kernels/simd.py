"""The tile that multiplies: a block of C kept in vector registers, as LLVM IR.

For r < rows and every column j, c[r, j] = base[r, j] + sum over k of a[r, k] * b[k, j], by fused multiply-adds in the
order of k: one element of `a`, spread over a register, times a row of `b`. So the bits do not depend on how wide the
registers are. Operands are read where they lie, through tables of offsets; the columns beyond the last are masked,
never touched.
"""

from itertools import chain
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .vectors import INT32, INT64, REGISTER, Vectors, config

VECTORS = 2  # registers beside each other in a row of the tile
# Rows of the tallest tile. 12 * 2 sums, 2 registers of b and a few of a fill 32 registers; with 14 rows two sums spill.
ROWS = 12 if REGISTER == 64 else 6
_GROUP = 4  # rows reached from one pointer: more pointers spill the integer registers, fewer lengthen the chains


@intrinsic
def _tile(
    typing,
    rows,
    columns,
    a,
    a_start,
    a_row,
    a_steps,
    b,
    b_start,
    b_steps,
    first,
    count,
    c,
    c_start,
    c_row,
    base,
    base_start,
    base_row,
    add,
):
    whole = types.intp
    signature = types.void(
        *(whole, whole, a, whole, whole, a_steps, b, whole, b_steps, whole, whole),
        *(c, whole, whole, base, whole, whole, types.boolean),
    )

    def codegen(context, builder, signature, arguments):
        _Tile(context, builder, signature.args, arguments).build()
        return context.get_dummy_value()

    return signature, codegen


def _plain_tile(
    rows,
    columns,
    a,
    a_start,
    a_row,
    a_steps,
    b,
    b_start,
    b_steps,
    first,
    count,
    c,
    c_start,
    c_row,
    base,
    base_start,
    base_row,
    add,
):
    for r in range(rows):
        part = np.zeros(columns, c.dtype)
        for k in range(first, first + count):
            start = b_start + b_steps[k]
            part += a[a_start + r * a_row + a_steps[k]] * b[start : start + columns]
        at, under = c_start + r * c_row, base_start + r * base_row
        c[at : at + columns] = base[under : under + columns] + part if add else part


# tile(rows, columns, a, a_start, a_row, a_steps, b, b_start, b_steps, first, count,
#      c, c_start, c_row, base, base_start, base_row, add): with `add`, `base` is added to the sums.
#
# c[c_start + r * c_row + j] = base[base_start + r * base_row + j] + sum over `count` steps k from `first` on of
# a[a_start + r * a_row + a_steps[k]] * b[b_start + b_steps[k] + j], for r < rows <= ROWS and j < columns, of which
# there are at most VECTORS registers. All are flat arrays of one dtype; starts, strides and steps count elements;
# `base` may be `c` itself.
tile: Any = _plain_tile if config.DISABLE_JIT else _tile


class _Tile(Vectors):
    """Writes the tiles of every height into the function that calls them, and a switch between them."""

    def __init__(self, context: Any, builder: Any, kinds: Any, arguments: Any):
        super().__init__(context, builder, kinds[2].dtype)
        self.rows, self.columns, a, a_start, self.a_row, a_steps, b, b_start, b_steps = arguments[:9]
        self.first, self.count, c, c_start, self.c_row, base, base_start, self.base_row, self.add = arguments[9:]
        self.a, self.b = self.address(kinds[2], a, a_start), self.address(kinds[6], b, b_start)
        self.a_steps, self.b_steps = self.address(kinds[5], a_steps), self.address(kinds[8], b_steps)
        self.c, self.base = self.address(kinds[11], c, c_start), self.address(kinds[14], base, base_start)

    def build(self) -> None:
        """One tile for each height and number of registers."""
        builder, row = self.builder, self.bytes(self.a_row)
        self.rows_apart = [builder.mul(row, ir.Constant(INT64, m)) for m in range(_GROUP + 1)]
        after = builder.append_basic_block("tiled")
        one = builder.icmp_signed("<=", self.columns, ir.Constant(INT64, self.lanes))
        with builder.if_else(one) as parts:
            for vectors, part in zip((1, VECTORS), parts, strict=True):
                with part:
                    self._switch(vectors)
        builder.branch(after)
        builder.position_at_end(after)

    def _switch(self, vectors: int) -> None:
        builder = self.builder
        masks = [self.mask(self.columns, j * self.lanes) for j in range(vectors)]
        after, default = builder.append_basic_block("after"), builder.append_basic_block("default")
        switch = builder.switch(self.rows, default)
        for rows in range(1, ROWS + 1):
            block = builder.append_basic_block(f"rows_{rows}")
            switch.add_case(ir.Constant(INT64, rows), block)
            builder.position_at_end(block)
            self._tile(rows, masks)
            builder.branch(after)
        builder.position_at_end(default)
        builder.branch(after)
        builder.position_at_end(after)

    def _tile(self, rows: int, masks: list[Any]) -> None:
        """The loop over k with the sums in registers, then the stores."""
        builder, end = self.builder, self.builder.add(self.first, self.count)
        before, loop, after = builder.block, builder.append_basic_block("steps"), builder.append_basic_block("sums")
        builder.cbranch(builder.icmp_signed(">", self.count, ir.Constant(INT64, 0)), loop, after)
        builder.position_at_end(loop)
        k = builder.phi(INT64)
        k.add_incoming(self.first, before)
        sums = [[builder.phi(self.vector) for _ in masks] for _ in range(rows)]
        results = self._multiply_add(k, sums, masks)
        following = builder.add(k, ir.Constant(INT64, 1))
        k.add_incoming(following, loop)
        builder.cbranch(builder.icmp_signed("<", following, end), loop, after)
        builder.position_at_end(after)
        done = [[builder.phi(self.vector) for _ in masks] for _ in range(rows)]
        for phi, result, last in zip(*map(chain.from_iterable, (sums, results, done)), strict=True):
            phi.add_incoming(self.zero, before)
            phi.add_incoming(result, loop)
            last.add_incoming(self.zero, before)
            last.add_incoming(result, loop)
        self._finish(done, masks)

    def _step(self, table: Any, k: Any) -> Any:
        """The offset of step k, in bytes."""
        address = self.builder.add(table, self.builder.shl(k, ir.Constant(INT64, 3)))
        return self.bytes(self.builder.load(self.builder.inttoptr(address, INT64.as_pointer())))

    def _left(self, k: Any, rows: int) -> list[Any]:
        """The elements a[r, k], each in every lane of a register."""
        builder, byte = self.builder, ir.IntType(8).as_pointer()
        base = builder.inttoptr(builder.add(self.a, self._step(self.a_steps, k)), byte)
        spread = []
        for r in range(rows):
            if r and r % _GROUP == 0:
                base = builder.gep(base, [self.rows_apart[_GROUP]])
            pointer = builder.gep(base, [self.rows_apart[r % _GROUP]]) if r % _GROUP else base
            spread.append(self.spread(builder.load(builder.bitcast(pointer, self.scalar.as_pointer()))))
        return spread

    def _multiply_add(self, k: Any, sums: list[list[Any]], masks: list[Any]) -> list[list[Any]]:
        start = self.builder.add(self.b, self._step(self.b_steps, k))
        places = [self.builder.add(start, ir.Constant(INT64, REGISTER * j)) for j in range(len(masks))]
        right = [self.load(place, mask) for place, mask in zip(places, masks, strict=True)]
        return [
            [self.call("fma", self.vector, [left, r, s]) for r, s in zip(right, row_sums, strict=True)]
            for left, row_sums in zip(self._left(k, len(sums)), sums, strict=True)
        ]

    def _finish(self, results: list[list[Any]], masks: list[Any]) -> None:
        """Store the sums, or with what is added to them."""
        with self.builder.if_else(self.builder.icmp_unsigned("!=", self.add, ir.Constant(self.add.type, 0))) as parts:
            for added, part in zip((True, False), parts, strict=True):
                with part:
                    self._store_all(results, masks, added)

    def _store_all(self, results: list[list[Any]], masks: list[Any], added: bool) -> None:
        builder, address, base = self.builder, self.c, self.base
        for row_results in results:
            for j, (result, mask) in enumerate(zip(row_results, masks, strict=True)):
                place = ir.Constant(INT64, REGISTER * j)
                if added:
                    result = builder.fadd(result, self.load(builder.add(base, place), mask))
                self.store(result, builder.add(address, place), mask)
            address, base = builder.add(address, self.bytes(self.c_row)), builder.add(base, self.bytes(self.base_row))


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
