"""The tile that multiplies: a block of C kept in vector registers, as LLVM IR.

For r < rows and every column j, c[r, j] = base[r, j] + sum over k of a[r, k] * b[k, j], by fused multiply-adds in the
order of k: one element of `a`, spread over a register, times a row of `b`. So the bits do not depend on how wide the
registers are. Operands are read where they lie: terms come in runs with a stride, whose starts are in tables. Columns
beyond the last are masked, never touched.
"""

from collections.abc import Callable
from itertools import chain
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .memory import CACHE_LINE
from .vectors import INT64, REGISTER, Vectors, config

VECTORS = 2  # registers beside each other in a row of the tile
# Rows of the tallest tile. 12 * 2 sums, 2 registers of b and a few of a fill 32 registers; with 14 rows two sums spill.
ROWS = 12 if REGISTER == 64 else 6
SINGLE_ROWS = ROWS * 4 // 3  # the same of a tile one register wide, which with fewer waits for its own sums
_GROUP = 4  # rows reached from one pointer: more pointers spill the integer registers, fewer lengthen the chains
# How far ahead of time to ask for memory, where rows or terms come: the processor's own guesses end where a page does,
# and come too late for the third-level cache. Of terms more than _FAR bytes apart fewer are asked for: they share few
# places of the first-level cache.
_ROWS_AHEAD, _BYTES_AHEAD, _FAR = 4 * ROWS, 8192, 256


def make_tile(heights: tuple[int, ...] = ()) -> Callable[..., None]:
    """tile((rows, columns), a, (start, row, step), b, (start, step), a_runs, b_runs, (first, runs, run),
    c, (start, row), base, (start, row), add):

    c[start + r * row + j] = base[start + r * row + j] + sum over `runs` runs i from `first` on, and t < run, of
    a[start + a_runs[i] + t * step + r * row] * b[start + b_runs[i] + t * step + j],
    for r < rows and j < columns. Columns fill at most VECTORS registers; rows are at most ROWS, or SINGLE_ROWS where
    columns fill one register. Without `add`, base is not read.
    All are flat arrays of one dtype; starts, strides and runs count elements; `base` may be `c` itself. Given
    `heights`, rows must be one of them, and columns whole registers: much less code.
    """
    if config.DISABLE_JIT:
        return _plain_tile

    @intrinsic
    def tile(typing, size, a, a_at, b, b_at, a_runs, b_runs, terms, c, c_at, base, base_at, add):
        signature = types.void(size, a, a_at, b, b_at, a_runs, b_runs, terms, c, c_at, base, base_at, types.boolean)

        def codegen(context, builder, signature, arguments):
            _Tile(context, builder, signature.args, arguments, heights).build()
            return context.get_dummy_value()

        return signature, codegen

    return tile


def _plain_tile(size, a, a_at, b, b_at, a_runs, b_runs, terms, c, c_at, base, base_at, add):
    (rows, columns), (a_start, a_row, a_step), (b_start, b_step), (first, runs, run) = size, a_at, b_at, terms
    for r in range(rows):
        part = np.zeros(columns, c.dtype)
        for i in range(first, first + runs):
            for t in range(run):
                left, right = a_start + a_runs[i] + t * a_step + r * a_row, b_start + b_runs[i] + t * b_step
                part += a[left] * b[right : right + columns]
        at, under = c_at[0] + r * c_at[1], base_at[0] + r * base_at[1]
        c[at : at + columns] = base[under : under + columns] + part if add else part


class _Tile(Vectors):
    """Writes the tiles of every height into the function that calls them, and a switch between them."""

    def __init__(self, context: Any, builder: Any, kinds: Any, arguments: Any, heights: Any):
        super().__init__(context, builder, kinds[1].dtype)
        self.heights = heights
        size, a, a_at, b, b_at, a_runs, b_runs, terms, c, c_at, base, base_at, self.add = arguments
        (self.rows, self.columns), (a_start, self.a_row, a_step), (b_start, b_step) = map(
            self._parts, (size, a_at, b_at)
        )
        (self.first, self.runs, self.run), (c_start, self.c_row) = map(self._parts, (terms, c_at))
        base_start, self.base_row = self._parts(base_at)
        self.a, self.b = self.address(kinds[1], a, a_start), self.address(kinds[3], b, b_start)
        self.a_step, self.b_step = self.bytes(a_step), self.bytes(b_step)
        self.a_runs, self.b_runs = self.address(kinds[5], a_runs), self.address(kinds[6], b_runs)
        self.c, self.base = self.address(kinds[8], c, c_start), self.address(kinds[10], base, base_start)

    def _parts(self, numbers: Any) -> list[Any]:
        """The members of a tuple."""
        return [self.builder.extract_value(numbers, i) for i in range(len(numbers.type))]

    def build(self) -> None:
        """One tile for each height and number of registers; where a mask costs, one without it for all columns."""
        builder, row = self.builder, self.bytes(self.a_row)
        self._look_ahead()
        self.rows_apart = [builder.mul(row, ir.Constant(INT64, m)) for m in range(_GROUP + 1)]
        after = builder.append_basic_block("tiled")
        for vectors in range(1, VECTORS + 1):
            limit = ir.Constant(INT64, vectors * self.lanes)
            if REGISTER < 64 or self.heights:
                with builder.if_then(builder.icmp_signed("==", self.columns, limit)):
                    self._switch([None] * vectors)
                    builder.branch(after)
            if not self.heights:
                with builder.if_then(builder.icmp_signed("<=", self.columns, limit)):
                    last = self._kept(self.mask(self.columns, (vectors - 1) * self.lanes))
                    self._switch([*[None] * (vectors - 1), last])
                    builder.branch(after)
        builder.branch(after)
        builder.position_at_end(after)

    def _kept(self, mask: Any) -> Any:
        """A mask of which LLVM does not know that it comes from a comparison, which it would repeat for every term."""
        if REGISTER < 64:  # there are no registers of masks
            return mask
        bits = ir.IntType(self.lanes)
        hidden = self.builder.bitcast(mask, bits)
        hidden = self.builder.asm(ir.FunctionType(bits, [bits]), "", "=r,0", [hidden], side_effect=False)
        return self.builder.bitcast(hidden, mask.type)

    def _switch(self, masks: list[Any]) -> None:
        builder = self.builder
        after, default = builder.append_basic_block("after"), builder.append_basic_block("default")
        switch = builder.switch(self.rows, default)
        for rows in self.heights or range(1, (SINGLE_ROWS if len(masks) == 1 else ROWS) + 1):
            block = builder.append_basic_block(f"rows_{rows}")
            switch.add_case(ir.Constant(INT64, rows), block)
            builder.position_at_end(block)
            self._finish(self._sums(rows, masks), masks)
            builder.branch(after)
        builder.position_at_end(default)
        builder.branch(after)
        builder.position_at_end(after)

    def _sums(self, rows: int, masks: list[Any]) -> list[list[Any]]:
        """The loops over runs and over the terms of a run, with the sums in registers."""
        builder, zero, one = self.builder, ir.Constant(INT64, 0), ir.Constant(INT64, 1)
        before, end = builder.block, builder.add(self.first, self.runs)
        outer, inner = builder.append_basic_block("run"), builder.append_basic_block("term")
        latch, after = builder.append_basic_block("next_run"), builder.append_basic_block("sums")
        some = builder.and_(*(builder.icmp_signed(">", n, zero) for n in (self.runs, self.run)))
        builder.cbranch(some, outer, after)
        phis = {}
        for block in (outer, inner, after):
            builder.position_at_end(block)
            phis[block] = [[builder.phi(self.vector) for _ in masks] for _ in range(rows)]
        builder.position_at_end(outer)
        i = builder.phi(INT64)
        starts = [builder.add(at, self._run(table, i)) for at, table in ((self.a, self.a_runs), (self.b, self.b_runs))]
        starts = [zero, *starts, *self._ahead(*starts, 1 if self.heights else len(masks))]
        builder.branch(inner)
        builder.position_at_end(inner)
        walkers, steps = [builder.phi(INT64) for _ in starts], (one, self.a_step, self.b_step, *self.paces)
        results = self._multiply_add(walkers[1], walkers[2], phis[inner], masks)
        self._ask(walkers[3:], len(masks))
        following = [builder.add(at, step) for at, step in zip(walkers, steps, strict=False)]
        builder.cbranch(builder.icmp_signed("<", following[0], self.run), inner, latch)
        builder.position_at_end(latch)
        next_run = builder.add(i, one)
        builder.cbranch(builder.icmp_signed("<", next_run, end), outer, after)
        builder.position_at_end(after)
        i.add_incoming(self.first, before)
        i.add_incoming(next_run, latch)
        for phi, start, step in zip(walkers, starts, following, strict=True):
            phi.add_incoming(start, outer)
            phi.add_incoming(step, inner)
        grids = (phis[outer], phis[inner], phis[after], results)
        for here, within, done, result in zip(*map(chain.from_iterable, grids), strict=True):
            for phi, start, block in ((here, self.zero, before), (within, here, outer), (done, self.zero, before)):
                phi.add_incoming(start, block)
                phi.add_incoming(result, inner if phi is within else latch)
        return phis[after]

    def _run(self, table: Any, i: Any) -> Any:
        """Where run i starts, in bytes."""
        address = self.builder.add(table, self.builder.shl(i, ir.Constant(INT64, 3)))
        return self.bytes(self.builder.load(self.builder.inttoptr(address, INT64.as_pointer())))

    def _look_ahead(self) -> None:
        """How far from where a run begins to ask for memory, and how far that moves with each term.

        Where rows of a lie side by side, for the rows to come. Else for b's terms to come, and for a's where they lie
        apart, but not far.
        """
        builder, line, none = self.builder, ir.Constant(INT64, CACHE_LINE), ir.Constant(INT64, 0)
        more, less = (ir.Constant(INT64, _BYTES_AHEAD // n) for n in (1, 2))
        near = [builder.icmp_signed("<=", step, ir.Constant(INT64, _FAR)) for step in (self.a_step, self.b_step)]
        beside = builder.icmp_signed("==", self.a_step, ir.Constant(INT64, self.size))
        self.dense = builder.and_(beside, builder.icmp_signed("<=", self.a_row, self.run))
        if self.heights:  # whose sums are short, and each has a panel of its own
            self.dense, near[1] = (ir.Constant(beside.type, 0),) * 2
        rows = builder.mul(self.bytes(self.a_row), ir.Constant(INT64, _ROWS_AHEAD))
        self.ahead = builder.select(self.dense, rows, builder.select(near[1], more, less)), more
        self.both = builder.and_(near[0], builder.not_(beside))
        self.paces = builder.select(self.dense, line, self.b_step), builder.select(self.both, self.a_step, none)

    def _ahead(self, a: Any, b: Any, count: int) -> list[Any]:
        """The first `count` of two places to ask for memory, for a run that begins at a and b."""
        builder, (first, second) = self.builder, self.ahead
        right = builder.add(builder.select(self.dense, a, b), first)
        left = builder.select(self.both, builder.add(a, second), self.a_runs)  # or what is in the cache anyway
        return [right, left][:count]

    def _ask(self, places: list[Any], vectors: int) -> None:
        """Prefetch as many lines of the first as a row of so many registers takes, one of the others."""
        for line in range(0, REGISTER * vectors, CACHE_LINE):
            self.prefetch(self.builder.add(places[0], ir.Constant(INT64, line)))
        for place in places[1:]:
            self.prefetch(place)

    def _left(self, start: Any, rows: int) -> list[Any]:
        """The elements a[r], each in every lane of a register."""
        builder, left = self.builder, []
        # Hidden from LLVM, which else makes each row's address from the one before: a chain of additions.
        base = builder.asm(ir.FunctionType(INT64, [INT64]), "", "=r,0", [start], side_effect=False)
        for r in range(rows):
            if r and r % _GROUP == 0:
                base = builder.add(base, self.rows_apart[_GROUP])
            place = builder.add(base, self.rows_apart[r % _GROUP]) if r % _GROUP else base
            left.append(self.spread(builder.load(builder.inttoptr(place, self.scalar.as_pointer()))))
        return left

    def _row(self, start: Any, masks: list[Any]) -> list[Any]:
        places = [self.builder.add(start, ir.Constant(INT64, REGISTER * j)) for j in range(len(masks))]
        return [self.load(place, mask) for place, mask in zip(places, masks, strict=True)]

    def _multiply_add(self, a: Any, b: Any, sums: list[list[Any]], masks: list[Any]) -> list[list[Any]]:
        right = self._row(b, masks)
        return [
            [self.call("fma", self.vector, [left, *terms]) for terms in zip(right, row_sums, strict=True)]
            for left, row_sums in zip(self._left(a, len(sums)), sums, strict=True)
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
