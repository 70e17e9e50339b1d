"""What a recorder notes of a training step: every launch, and the memory that it reads and writes.

Memory is known by its *owner*, the array at the end of the chain of views. A recording holds owners weakly: what is
still alive in the next recording, as the same array, persists from step to step (parameters, state, tables); the rest
is made anew in every step, and a program may put it anywhere.
"""

import sys
import threading
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .memory import address_of, owner_of

if TYPE_CHECKING:
    from .launch import Kernel

active: "Recording | None" = None  # the recording under way
_INSIDE = __file__.rpartition("recording")[0]  # the folder of the kernels, whose frames tell a user nothing


class Use(NamedTuple):
    """An array among a row's arguments: which buffer, at which byte, of which shape and dtype."""

    buffer: int
    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype


class Row(NamedTuple):
    """One launch: the kernel, its entry point for these types, its range, how it is cut, its arguments, who made it."""

    kernel: "Kernel"
    entry: int
    n: int
    chunks: int
    arguments: tuple[Any, ...]
    by: str


class Check(NamedTuple):
    """A flag that stops the step where it is not 0, and the function that then raises."""

    flag: Use
    complain: Callable[[int], Any]


class Buffer:
    """The memory of one owner, as far as rows touch it: bytes `low` to `high`, in the rows `first` to `last`."""

    __slots__ = ("address", "first", "high", "last", "low", "owner", "reader", "writers")

    def __init__(self, owner: np.ndarray, row: int):
        self.owner = weakref.ref(owner)
        self.address = address_of(owner)
        self.low, self.high, self.first, self.last = 1 << 62, -(1 << 62), row, row
        self.reader: tuple[Row, int] | None = None  # the row and argument that read it before any row wrote it
        self.writers = 0


class Recording:
    """The launches of one thread, in order; what else the step did that matters to a replay."""

    def __init__(self):
        self.rows: list[Row | Check] = []
        self.buffers: list[Buffer] = []
        self.changed: dict[Any, None] = {}  # tensors that the step changed in place, in order
        self.leaves: dict[Any, np.ndarray | None] = {}  # tensors that got a gradient: what it was added to
        self.refusal: str | None = None  # the first thing in the step that no replay could do
        self._by_owner: dict[int, int] = {}
        self._by_numpy: dict[int, tuple[weakref.ref, str]] = {}
        self._thread = threading.get_ident()

    @property
    def mine(self) -> bool:
        """Whether this is the thread that records."""
        return threading.get_ident() == self._thread

    def refuse(self, reason: str) -> None:
        """Note that the step does what no replay could repeat; the step itself goes on."""
        if self.mine and self.refusal is None:
            self.refusal = reason

    def launched(self, kernel: "Kernel", n: int, chunks: int, arguments: tuple, entry: int) -> None:
        """Note a launch."""
        if not self.mine:
            return
        uses = tuple(self._use(a) if isinstance(a, np.ndarray) else a for a in arguments)
        row = Row(kernel, entry, n, chunks, uses, _caller())
        for place, use in enumerate(uses):
            if isinstance(use, Use) and place not in kernel.unread and not self.buffers[use.buffer].writers:
                self.buffers[use.buffer].reader = self.buffers[use.buffer].reader or (row, place)
        for place in kernel.written:
            if isinstance(uses[place], Use):
                self.buffers[uses[place].buffer].writers += 1
        self.rows.append(row)

    def flagged(self, flag: np.ndarray, complain: Callable[[int], Any]) -> None:
        """Note a flag that a kernel may set."""
        if self.mine:
            self.rows.append(Check(self._use(flag), complain))

    def gradient(self, leaf: Any, added_to: np.ndarray | None) -> None:
        """Note that a tensor gets a gradient, which is added to the one it has, if any."""
        if self.mine:
            self.leaves.setdefault(leaf, added_to)

    def computed(self, name: str, array: Any) -> None:
        """Note an array that the op `name` answered, so that a refusal can name the op if no kernel wrote it."""
        if self.mine and isinstance(array, np.ndarray) and self.find(array) is None:
            owner = owner_of(array)
            self._by_numpy[id(owner)] = weakref.ref(owner), name

    def find(self, array: np.ndarray) -> Use | None:
        """Where in a buffer the array lies, if any row touched its owner."""
        owner = owner_of(array)
        index = self._by_owner.get(id(owner))
        if index is None or self.buffers[index].owner() is not owner:
            return None
        return Use(index, address_of(array) - self.buffers[index].address, array.shape, array.dtype)

    def author_of(self, owner: np.ndarray | None) -> str:
        """The op that answered memory of this owner, which no kernel wrote."""
        known = self._by_numpy.get(id(owner))
        return known[1] if known is not None and owner is not None and known[0]() is owner else ""

    def _use(self, array: np.ndarray) -> Use:
        use = self.find(array)
        if use is None:
            owner = owner_of(array)
            self._by_owner[id(owner)] = len(self.buffers)
            self.buffers.append(Buffer(owner, len(self.rows)))
            use = Use(len(self.buffers) - 1, address_of(array) - address_of(owner), array.shape, array.dtype)
        buffer = self.buffers[use.buffer]
        buffer.low, buffer.high = min(buffer.low, use.offset), max(buffer.high, use.offset + array.nbytes)
        buffer.last = len(self.rows)
        return use


def _caller() -> str:
    """The innermost function outside the kernels' folder that led to a launch."""
    frame = sys._getframe(2)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_INSIDE):
        frame = frame.f_back
    return frame.f_code.co_qualname if sys.version_info >= (3, 11) else frame.f_code.co_name
