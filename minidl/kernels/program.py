"""A recorded step as a program: rows of (entry point, arguments, range) over fixed memory, run by one native loop.

Memory that a step makes lies in one arena, in which buffers whose lives do not overlap share bytes; gradients live on
to the step's end. Inputs are read where they lie, which is told to the rows before they run. All other memory
(parameters, state, what the step returns) stays where it is and is kept alive.
"""

import ctypes
import struct
from typing import Any

import numpy as np
from numba import njit

from . import launch as launching
from .fingerprint import keyed
from .memory import CACHE_LINE, DATA, address_of
from .recording import Check, Recording, Row, Use
from .team import call_entry, put, share, word_at

ENTRY, BLOCK, N, CHUNKS, WORDS = range(5)  # columns of the table of rows; a check has entry 0 and its flag as block
STAYS, KEPT, TEMPORARY = -1, -2, -3  # what becomes of a buffer; inputs are counted from 0
_SHARED = address_of(launching._shared_block)
GARBAGE = 0xFF  # what an arena is filled with: NaN, so that a read of memory that nothing wrote shows


@njit(cache=True, nogil=True)
@keyed
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
@keyed
def _bind(moves, count, objects):
    """Write the inputs' addresses into the rows: each move is a word's address, an input's number and an offset."""
    for i in range(count):
        move = moves + 24 * i
        array = word_at(objects + 8 * word_at(move + 8))
        put(word_at(move), word_at(array + DATA) + word_at(move + 16))


@njit(cache=True, nogil=True)
@keyed
def _step(moves, count, objects, table, rows, shared):
    _bind(moves, count, objects)
    return _replay(table, 0, rows, shared)


@njit(cache=True, nogil=True)
@keyed
def _repeat(table, rows, times, shared):
    """Run all rows again and again; answer how often they ran to the end, and the row that stopped them, or `rows`."""
    for done in range(times):
        stopped = _replay(table, 0, rows, shared)
        if stopped < rows:
            return done, stopped
    return times, rows


class Program:
    """The rows of a recording, ready to run again.

    `homes` says of each buffer what becomes of it: it stays where it is (STAYS), lies in the arena to the step's end
    (KEPT) or for as long as rows touch it (TEMPORARY). `inputs` are the arrays in whose place others come later, and
    `alive` holds what must not be freed.
    """

    def __init__(self, recording: Recording, homes: list[int], alive: list[Any], inputs: list[np.ndarray]):
        self.rows, self._homes, self._origins = recording.rows, list(homes), [0] * len(inputs)
        for number, array in enumerate(inputs):
            use = recording.find(array)
            if use is not None:
                self._homes[use.buffer], self._origins[number] = number, use.offset
        homes = self._homes
        sizes, lives, lines = [], [], []
        for home, b in zip(homes, recording.buffers, strict=True):
            sizes.append(b.high - b.low if home in (KEPT, TEMPORARY) else 0)
            lives.append((b.first, len(self.rows) if home == KEPT else b.last))
            lines.append((b.address + b.low) % CACHE_LINE)
        offsets, self.arena_bytes = arrange(sizes, lives, lines)
        self.made, self.made_bytes = sum(size > 0 for size in sizes), sum(sizes)
        room = np.full(self.arena_bytes + CACHE_LINE, GARBAGE, np.uint8)
        start = address_of(room) + -address_of(room) % CACHE_LINE
        self._bases = [
            b.address if home == STAYS else 0 if home >= 0 else start + offset - b.low
            for home, b, offset in zip(homes, recording.buffers, offsets, strict=True)
        ]
        self._alive = [*alive, room]
        self._lay_out()

    def _lay_out(self) -> None:
        """Fill the table, a block of packed arguments for each row, and the moves of the inputs' addresses."""
        packed = [_packed(row, self._bases) for row in self.rows]
        starts = np.cumsum([0] + [-(-len(words) // 8) * 8 for words in packed])  # each at a cache line
        self._blocks, self.table = np.zeros(starts[-1] + 8, np.int64), np.zeros((len(self.rows), WORDS), np.int64)
        address, moves = address_of(self._blocks), []
        for place, (row, words, at) in enumerate(zip(self.rows, packed, starts[:-1], strict=True)):
            if isinstance(row, Check):
                self.table[place] = 0, words[0], 0, 0
                continue
            self._blocks[at : at + len(words)] = words
            self.table[place] = row.entry, address + 8 * at, row.n, row.chunks
            for use in row.arguments:
                if isinstance(use, Use) and self._homes[use.buffer] >= 0:
                    number = self._homes[use.buffer]
                    moves.append((address + 8 * at, number, use.offset - self._origins[number]))
                at += 1 + len(use.shape) if isinstance(use, Use) else 1
        self._moves, self._inputs = np.array(moves, np.int64).reshape(-1, 3), list[np.ndarray]()
        self._objects = np.zeros(len(self._origins) + 1, np.int64)
        self._call = address_of(self._moves), len(moves), address_of(self._objects), address_of(self.table)

    def run(self, inputs: list[np.ndarray]) -> None:
        """Run all rows on these inputs, dense arrays of the shapes and dtypes recorded.

        Raises:
            What the check raises whose flag a kernel set; the rows after it have not run.
        """
        with launching._sharing:
            self._take(inputs)
            stopped = _step(*self._call, len(self.rows), _SHARED)
        if stopped < len(self.rows):
            complain(self, stopped)

    def bind(self, inputs: list[np.ndarray]) -> None:
        """Let the rows read these inputs from now on."""
        with launching._sharing:
            self._take(inputs)
            _bind(*self._call[:3])

    def _take(self, inputs: list[np.ndarray]) -> None:
        self._inputs = inputs  # alive for as long as rows know where they lie
        for number, array in enumerate(inputs):
            self._objects[number] = id(array)

    def run_part(self, first: int, last: int) -> None:
        """Run the rows from `first` up to `last`, on the inputs bound last."""
        with launching._sharing:
            stopped = _replay(self._call[3], first, last, _SHARED)
        if stopped < last:
            complain(self, stopped)

    def array(self, use: Use, strides: tuple[int, ...] | None = None) -> np.ndarray:
        """The memory of an argument, wherever it lies now."""
        base, number = self._bases[use.buffer], self._homes[use.buffer]
        if number >= 0:
            base = address_of(self._inputs[number]) - self._origins[number]
        return np.asarray(_Memory(base + use.offset, use, strides, self._alive))

    def placed(self, recording: Recording, array: np.ndarray) -> np.ndarray:
        """A recorded array where it lies in the program."""
        use = recording.find(array)
        if use is None or self._homes[use.buffer] == STAYS:
            return array
        return self.array(use, array.strides)

    def __repr__(self) -> str:
        """Kernels, buffers and bytes."""
        launches = sum(isinstance(row, Row) for row in self.rows)
        return (
            f"{launches} kernels, {self.made} buffers of {size_text(self.made_bytes)} in an arena of "
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

    def __init__(self, address: int, use: Use, strides: tuple[int, ...] | None, alive: list[Any]):
        kind = {"shape": use.shape, "typestr": use.dtype.str, "strides": strides, "version": 3}
        self.__array_interface__, self._alive = {"data": (address, False), **kind}, alive


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
