"""A recorded step as a program: rows of (entry point, arguments, range) over fixed memory, run by one native loop.

Memory that a step makes and forgets lies in one arena, in which buffers whose lives do not overlap share bytes. All
other memory (parameters, state, gradients, inputs, what the step returns) stays where it is and is kept alive.
"""

import ctypes
import struct
from typing import Any

import numpy as np
from numba import njit

from . import launch as launching
from .layout import CACHE_LINE
from .recording import Check, Recording, Row, Use, address_of
from .team import call_entry, share, word_at

ENTRY, BLOCK, N, CHUNKS, WORDS = range(5)  # columns of the table of rows; a check has entry 0 and its flag as block
_SHARED = address_of(launching._shared_block)
GARBAGE = 0xFF  # what an arena is filled with: NaN, so that a read of memory that nothing wrote shows


@njit(cache=True, nogil=True)
def _replay(table, first, last, shared):
    """Run the rows from `first` on; answer the place of the check that stopped them, or `last`."""
    for at in range(first, last):
        row = table + 8 * WORDS * at
        entry, block = word_at(row + 8 * ENTRY), word_at(row + 8 * BLOCK)
        n, chunks = word_at(row + 8 * N), word_at(row + 8 * CHUNKS)
        if entry == 0:
            if word_at(block) != 0:
                return at
        elif chunks == 1:
            call_entry((entry, block, 0, n))
        else:
            share(entry, block, n, chunks, shared)
    return last


@njit(cache=True, nogil=True)
def _repeat(table, rows, times, shared):
    """Run all rows again and again; answer how often they ran to the end, and the row that stopped them, or `rows`."""
    for done in range(times):
        stopped = _replay(table, 0, rows, shared)
        if stopped < rows:
            return done, stopped
    return times, rows


class Program:
    """The rows of a recording, ready to run again.

    `pinned` says of each buffer whether it stays where it is; `keep` holds what must stay alive for that.
    """

    def __init__(self, recording: Recording, pinned: list[bool], keep: list[Any]):
        self.rows, self._keep = recording.rows, keep
        sizes = [0 if pin else b.high - b.low for pin, b in zip(pinned, recording.buffers, strict=True)]
        lives = [(b.first, b.last) for b in recording.buffers]
        lines = [(b.address + b.low) % CACHE_LINE for b in recording.buffers]
        offsets, self.arena_bytes = arrange(sizes, lives, lines)
        self.temporaries, self.temporary_bytes = sum(size > 0 for size in sizes), sum(sizes)
        room = np.full(self.arena_bytes + CACHE_LINE, GARBAGE, np.uint8)
        start = address_of(room) + -address_of(room) % CACHE_LINE
        bases = [
            b.address if pin else start + offset - b.low
            for pin, b, offset in zip(pinned, recording.buffers, offsets, strict=True)
        ]
        self._bases = bases
        keep.append(room)
        self._lay_out(bases)
        self._address = address_of(self.table)

    def _lay_out(self, bases: list[int]) -> None:
        """Fill the table, and a block of packed arguments for each row."""
        packed = [_packed(row, bases) for row in self.rows]
        starts = np.cumsum([0] + [-(-len(words) // 8) * 8 for words in packed])  # each at a cache line
        self.blocks, self.table = np.zeros(starts[-1] + 8, np.int64), np.zeros((len(self.rows), WORDS), np.int64)
        address = address_of(self.blocks)
        for place, (row, words, at) in enumerate(zip(self.rows, packed, starts[:-1], strict=True)):
            if isinstance(row, Check):
                self.table[place] = 0, words[0], 0, 0
            else:
                self.blocks[at : at + len(words)] = words
                self.table[place] = row.entry, address + 8 * at, row.n, row.chunks

    def run(self) -> None:
        """Run all rows.

        Raises:
            What the check raises whose flag a kernel set; the rows after it have not run.
        """
        self.run_part(0, len(self.rows))

    def run_part(self, first: int, last: int) -> None:
        """Run the rows from `first` up to `last`."""
        with launching._sharing:
            stopped = _replay(self._address, first, last, _SHARED)
        if stopped < last:
            complain(self, stopped)

    def array(self, use: Use) -> np.ndarray:
        """The memory of an argument, wherever it lies now."""
        return np.asarray(_Memory(self._bases[use.buffer] + use.offset, use))

    def __repr__(self) -> str:
        """Kernels, buffers and bytes."""
        launches = sum(isinstance(row, Row) for row in self.rows)
        return (
            f"{launches} kernels, {self.temporaries} buffers of {size_text(self.temporary_bytes)} in an arena of "
            f"{size_text(self.arena_bytes)}"
        )


class Series:
    """Programs that run one after the other, as often as wanted, in one native call."""

    def __init__(self, programs: list[Program]):
        self.programs = programs  # kept alive
        self.rows = [row for program in programs for row in program.rows]
        self.table = np.concatenate([program.table for program in programs])
        self._address = address_of(self.table)

    def run(self, times: int) -> tuple[int, int]:
        """Run them `times` times; answer how often they ran to the end, and the row of the check that stopped them."""
        with launching._sharing:
            return _repeat(self._address, len(self.rows), times, _SHARED)


class _Memory:
    """An array at an address, as something that NumPy reads."""

    def __init__(self, address: int, use: Use):
        self.__array_interface__ = {
            "data": (address, False),
            "shape": use.shape,
            "typestr": use.dtype.str,
            "version": 3,
        }


def complain(program: Program | Series, place: int) -> None:
    """Raise what the check in this row says of its flag."""
    check = program.rows[place]
    if isinstance(check, Check):
        check.complain(ctypes.c_int64.from_address(int(program.table[place, BLOCK])).value)


def size_text(count: int) -> str:
    """Bytes in the unit that suits them."""
    for unit, factor in (("MiB", 1 << 20), ("KiB", 1 << 10)):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count} bytes"


def _packed(row: Row | Check, bases: list[int]) -> list[int]:
    """The words that a door would write for these arguments; of a check the address of its flag."""
    if isinstance(row, Check):
        return [bases[row.flag.buffer] + row.flag.offset]
    words: list[int] = []
    for argument in row.arguments:
        if isinstance(argument, Use):
            words += bases[argument.buffer] + argument.offset, *argument.shape
        elif isinstance(argument, float | np.floating):
            words.append(struct.unpack("<q", struct.pack("<d", argument))[0])
        else:
            words.append(int(argument))
    return words


def arrange(sizes: list[int], lives: list[tuple[int, int]], lines: list[int]) -> tuple[list[int], int]:
    """Offsets in an arena for blocks of bytes, each used from one row to another, and the arena's size.

    Blocks whose lives overlap lie apart; each begins at its place in a cache line. The largest come first, each as low
    as it fits.
    """
    offsets, total = [0] * len(sizes), 0
    placed: list[tuple[int, int, int, int]] = []  # start, end, first, last
    for i in sorted((i for i in range(len(sizes)) if sizes[i]), key=lambda i: -sizes[i]):
        first, last = lives[i]
        at = lines[i]
        for start, end, begun, done in placed:  # in order of their starts
            if begun <= last and first <= done and start < at + sizes[i] and at < end:
                at = end + (lines[i] - end) % CACHE_LINE
        offsets[i], total = at, max(total, at + sizes[i])
        placed.append((at, at + sizes[i], first, last))
        placed.sort()
    return offsets, total
