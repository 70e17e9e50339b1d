"""The one door every kernel call goes through: `@kernel`, `launch` and the parallel loop.

A kernel is a serial loop over a range `[low, high)` of plain C-ordered arrays. Its *door* is one small generated
function that packs the arguments into a block of 64-bit words and makes, in the same machine-code module, the entry
point `void entry(block, low, high)` that unpacks them and runs the kernel. An entry point is an address, so one
compiled loop runs any kernel, on one thread or on several.

How a range is cut depends on the work alone, never on the number of threads, and one thread runs the same chunks: a
result has the same bits on any number of threads.
"""

import atexit
import contextlib
import inspect
import os
import threading
from collections.abc import Callable, Iterator
from typing import Annotated, Any

import numba
import numba.core.config
import numpy as np

from . import recording

config: Any = numba.core.config

SHARE_FROM = 1 << 15  # elements; below it, telling the other threads costs more than they save
CHUNK = 1 << 13  # elements a chunk holds at least, in work that is shared
MOST_CHUNKS = 64
Out = Annotated[np.ndarray, "written"]  # an argument whose old contents the kernel never reads
InOut = Annotated[np.ndarray, "read and written"]
MOST_TYPES = 4  # combinations a kernel's table holds; nearly every kernel meets two, float32 and float64


class Kernel:
    """A serial loop over a range, compiled at its first launch for the types it meets there.

    The function's last two parameters are `low` and `high`; the others are arrays, or scalars annotated `float`
    or `int`. Arrays that it writes are annotated `Out`, or `InOut` if it reads them too; all others it only reads. It
    allocates nothing, starts no threads and trusts its caller: the op checks before it launches.
    """

    def __init__(self, function: Callable[..., None]):
        parameters = list(inspect.signature(function).parameters.values())
        if [p.name for p in parameters[-2:]] != ["low", "high"]:
            raise TypeError(
                f"kernel {function.__name__}: expected its last two parameters to be 'low' and 'high', "
                f"got {tuple(p.name for p in parameters)}; a kernel is a loop over the range [low, high)"
            )
        if not function.__name__.isidentifier():
            raise TypeError(f"kernel: expected a function made with def, got {function.__name__}")
        scalars = {float: float, int: int, "float": float, "int": int}
        self.function = function
        self.name = function.__name__
        self.names = tuple(p.name for p in parameters[:-2])
        self.scalars = tuple((i, scalars[p.annotation]) for i, p in enumerate(parameters) if p.annotation in scalars)
        self.written = frozenset(i for i, p in enumerate(parameters) if p.annotation in (Out, InOut, "Out", "InOut"))
        self.unread = frozenset(i for i, p in enumerate(parameters) if p.annotation in (Out, "Out"))
        self.door: Callable[..., int] | None = None
        self.operations: Callable[..., int] | None = None  # of the arguments: additions and multiplications of a launch
        self.dtypes: list[np.dtype] = []  # whose addresses stand in the table
        self.table = np.zeros(2 + MOST_TYPES * (1 + 2 * len(self.names)), np.int64)  # see `remember`; never moved
        self.table[0] = len(self.names)
        self.address = self.table.ctypes.data
        self.__doc__ = function.__doc__

    def remember(self, entry: int, arguments: tuple) -> None:
        """Put an entry point in the table that `_quick` reads: how many arguments, how many rows, then a row for each
        combination of types: the entry point and two words an argument, which are the address of an array's dtype and
        its dimensions, 0 and 0 for a float, 0 and 1 for an integer."""
        kinds, count = _kinds(arguments), int(self.table[1])
        if kinds is None or count == MOST_TYPES or self.known(arguments):
            return
        self.dtypes += [argument.dtype for argument in arguments if type(argument) is np.ndarray]
        self.table[2:].reshape(MOST_TYPES, 1 + len(kinds))[count] = [entry, *kinds]
        self.table[1] = count + 1  # last, since another Python thread may launch meanwhile

    def known(self, arguments: tuple) -> int:
        """The entry point in the table for arguments of these types; 0 if there is none."""
        kinds, rows = _kinds(arguments), self.table[2:].reshape(MOST_TYPES, -1)[: self.table[1]].tolist()
        return next((row[0] for row in rows if row[1:] == kinds), 0)

    def __repr__(self) -> str:
        return f"<kernel {self.name}({', '.join(self.names)})>"


def _kinds(arguments: tuple) -> list[int] | None:
    """The words of a kernel's table that say of what types arguments are; None for what does not stand there."""
    words: list[int] = []
    for argument in arguments:
        if type(argument) is np.ndarray and argument.flags.aligned:
            words += id(argument.dtype), argument.ndim
        elif type(argument) in (float, int):
            words += 0, int(type(argument) is int)
        else:
            return None
    return words


def kernel(function: Callable[..., None]) -> Kernel:
    """Make a function of `(arrays and scalars..., low, high)` a kernel for `launch`.

    >>> @kernel
    ... def double(x, y: Out, low, high):
    ...     x, y = x[low:high], y[low:high]  # slice, then count from 0: the loop is then vectorised
    ...     for i in range(len(x)):
    ...         y[i] = x[i] + x[i]
    >>> x, y = np.ones(3), np.empty(3)
    >>> launch(double, 3, x, y)
    >>> y
    array([2., 2., 2.])
    """
    return Kernel(function)


def chunks_of(n: int, work: int) -> int:
    """How many chunks a range of `n` items is cut into: a function of the size alone."""
    if work < SHARE_FROM:
        return 1
    chunks = max(2, work // CHUNK) if work < CHUNK * MOST_CHUNKS else MOST_CHUNKS
    return chunks if chunks < n else n


def launch(kernel: Kernel, n: int, *arguments: Any, work: int | None = None) -> None:
    """Run `kernel` over the range `[0, n)`; `work` is about how many elements it touches (by default `n`).

    Raises:
        TypeError: an array is not C-ordered, or an argument is neither an array nor a scalar, or one is missing.
    """
    if n <= 0:
        return
    work = n if work is None else work
    if work < SHARE_FROM:
        if not _quick(kernel.address, n, 1, arguments):
            _launch_anew(kernel, n, 1, arguments)
        return
    with _sharing:
        if not _quick(kernel.address, n, chunks_of(n, work), arguments):
            _launch_anew(kernel, n, chunks_of(n, work), arguments)


def refuse_if(flag: np.ndarray, complain: Callable[[int], Any]) -> None:
    """Call `complain(value)`, which raises, if a kernel set `flag`, an int64 array of one element, to `value`, not 0.

    What a kernel finds out about the values it reads is told in this way, so that a captured step, which runs no
    Python between its kernels, can stop there too.
    """
    active = recording.active
    if active is not None:
        active.flagged(flag, complain)
    if flag[0]:
        complain(int(flag[0]))


def _launch_anew(kernel: Kernel, n: int, chunks: int, arguments: tuple) -> None:
    """Launch through the door, which compiles for types it has not met, or refuses them."""
    if len(arguments) != len(kernel.names):
        raise TypeError(f"{kernel!r}: expected {len(kernel.names)} arguments, got {len(arguments)}")
    if kernel.scalars:
        arguments = _coerced(kernel, arguments)
    if config.DISABLE_JIT:
        _interpret(kernel.function, n, chunks, arguments)
        return
    active = recording.active
    if active is not None:
        entry = kernel.known(arguments)  # for read-only arrays, too, of which the door makes a type of its own
        if entry and _fast(kernel.address, n, chunks, arguments):
            active.launched(kernel, n, chunks, arguments, entry)
            return
    run = kernel.door or _open(kernel)
    try:
        entry = run(_loop, _block if chunks == 1 else _shared_block, n, chunks, *arguments)
    except numba.TypingError as error:
        from .door import complaint  # which is there by now

        raise TypeError(complaint(kernel, arguments)) from error
    kernel.remember(entry, arguments)
    active = recording.active
    if active is not None:
        active.launched(kernel, n, chunks, arguments, entry)


@contextlib.contextmanager
def recorded(into: recording.Recording) -> Iterator[None]:
    """Note every launch of this thread in `into`; meanwhile all go through the doors."""
    global _quick
    _start()
    with _turn:
        before = recording.active, _quick
        recording.active, _quick = into, _never
        try:
            yield
        finally:
            recording.active, _quick = before


def _coerced(kernel: Kernel, arguments: tuple) -> tuple:
    """Give every scalar the one type its annotation names, so that `lr=1` compiles nothing anew."""
    coerced = list(arguments)
    for position, kind in kernel.scalars:
        coerced[position] = kind(coerced[position])
    return tuple(coerced)


def _interpret(function: Callable[..., None], n: int, chunks: int, arguments: tuple) -> None:
    """The same chunks in plain Python, for coverage, debugging and reading along (NUMBA_DISABLE_JIT=1)."""
    with np.errstate(all="ignore"):  # machine code does not warn of an overflow either
        for chunk in range(chunks):
            function(*arguments, n * chunk // chunks, n * (chunk + 1) // chunks)


BLOCK_WORDS = 128  # 64-bit words of packed arguments; an array takes 1 + its dimensions, a scalar one
THREADS = BLOCK_WORDS  # the word after them, which says how many threads share the chunks; the next are team.py's
_block = np.zeros(BLOCK_WORDS, np.int64)  # of a launch of one chunk, which holds the GIL from end to end
MOST_THREADS = config.NUMBA_NUM_THREADS  # read once, as Numba reads it anew whenever it compiles
_shared_block = np.zeros(BLOCK_WORDS + 8 * (3 + MOST_THREADS), np.int64)  # of one of several, which ...
_shared_block[THREADS] = MOST_THREADS
_sharing = threading.RLock()  # ... lets other Python threads run: they must not write over what its chunks still read
_turn = threading.RLock()  # of threads that record
_loop = 0  # address of the loop over chunks; 0 until the first launch
_most_threads = MOST_THREADS
_team: Any = None  # from the first launch on
_words = np.zeros(7, np.int64)  # what `_quick` knows: see quick.py


def _never(table: int, n: int, chunks: int, arguments: tuple, /) -> bool:
    return False


_quick: Callable[[int, int, int, tuple], bool] = _never  # from the first launch on the function that quick.py makes
_fast = _quick  # the same, also while a recording makes all launches take the long way


def _open(kernel: Kernel) -> Callable[..., int]:
    from . import door  # reaches deep into Numba: a quarter of its import time, paid at the first launch

    _start()
    with _sharing:
        kernel.door = kernel.door or door.make_door(kernel.function)
    return kernel.door


def _start() -> None:
    """Make the team of threads, the loop over chunks and the quick way in, once."""
    global _loop, _quick, _fast, _team
    from . import builtin, quick, quick_arrays, team

    with _sharing:
        if not _loop:
            quick_arrays.replace_by_machine_code()
            way_in = quick.make_quick(_words)
            _team = team.Team(_shared_block, MOST_THREADS)
            atexit.register(_dismiss)
            builtin.keep(_block, _shared_block, _words)
            _words[quick.BLOCK :] = _block.ctypes.data, _shared_block.ctypes.data, _team.loop
            _quick, _fast, _loop = way_in, way_in, _team.loop


def _dismiss() -> None:
    """Let the threads end before the process does; what is launched after that has one."""
    global _most_threads
    if _sharing.acquire(timeout=1):
        _shared_block[THREADS] = _most_threads = 1
        _team.dismiss()
        _sharing.release()


def _after_fork() -> None:
    # A child of fork has no team; the same chunks one after the other give the same bits.
    global _most_threads, _sharing, _turn
    _turn = threading.RLock()
    _sharing = threading.RLock()  # a thread that the child does not have may have held it
    if _loop:
        _shared_block[THREADS] = _most_threads = 1
    _shared_block[THREADS + 1 :] = 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def set_num_threads(n: int) -> None:
    """Use `n` threads for the kernels, whichever Python thread launches them; results do not depend on it.

    A child of `os.fork` stays at one.

    Raises:
        ValueError: `n` is below 1 or above what Numba was started with (`NUMBA_NUM_THREADS`).
    """
    if isinstance(n, bool) or not isinstance(n, int) or not 1 <= n <= MOST_THREADS:
        raise ValueError(
            f"set_num_threads: expected a whole number from 1 to {MOST_THREADS}, got {n!r}; "
            "set NUMBA_NUM_THREADS before starting Python for more"
        )
    _shared_block[THREADS] = min(n, _most_threads)
