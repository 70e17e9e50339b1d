"""The threads that share the chunks of a launch, and the loop over them.

A team of native threads, made once, waits for *rounds*. Each thread takes the chunks of its own stretch, in order, and
then what is left of the others': neighbours in memory stay with one core from launch to launch, and nobody waits for a
thread that was held up. Launches go up and down their stretches by turns, so that each begins with what the last one
left in the caches. Neither the thread nor the order of chunks changes a bit.

The thread that launches does not wait for the others to come, only for those inside to leave: one that wakes up late
finds the round closed. Between rounds they watch a word of memory for about a tenth of a millisecond, longer than a
step's Python takes between two launches, then sleep until they are woken. Entering and closing are sequentially
consistent: either a thread sees that the round is closed, or the one that closed it sees that somebody is inside.
"""

import ctypes
import platform
import time
from typing import Any

import numpy as np
from llvmlite import ir
from numba import cfunc, extending, types
from numba.core import cgutils

from .fingerprint import keyed
from .inner import inner
from .launch import THREADS

intrinsic: Any = extending.intrinsic  # Numba's own hints count the typing context among a caller's arguments
_INT64 = ir.IntType(64)
# Words of the shared block. Of a launch: its kernel's entry point, where its arguments lie, its range, its chunks, how
# many stretches of chunks and threads, and whether it runs down; then how many threads of the team are left.
ENTRY, ARGUMENTS, N, CHUNKS, STRETCHES, DOWN, HIRED = range(THREADS + 1, THREADS + 8)
ROUND, INSIDE, FIRST = range(THREADS + 8, THREADS + 32, 8)  # a cache line apart; a round is odd while it is open
NUMBERED = ROUND + 1  # threads of the team that have a number: from 1 on, as 0 is the one that launches
APART, ASLEEP, LOCK = 8, 1, 2  # a thread's words, from FIRST on: the next chunk of its stretch, and where it sleeps
LEAVE = -1  # a round after which there are no others
_SPINS = 5000  # about 0.1 ms where a pause takes 20 to 30 ns
_NAP = 20  # us
_PATIENCE = 1.0  # s
_NO_THREAD = ctypes.c_ulong(-1).value
_X86, _ARM = ("llvm.x86.sse2.pause", []), ("llvm.aarch64.hint", [1])
_PAUSES = {"x86_64": _X86, "amd64": _X86, "aarch64": _ARM, "arm64": _ARM}  # by what Linux, Windows and macOS call them

_save_thread = types.ExternalFunction("PyEval_SaveThread", types.intp())
_restore_thread = types.ExternalFunction("PyEval_RestoreThread", types.void(types.intp))
_acquire = types.ExternalFunction("PyThread_acquire_lock", types.intc(types.intp, types.intc))
_acquire_timed = types.ExternalFunction("PyThread_acquire_lock_timed", types.intc(types.intp, types.int64, types.intc))
_release = types.ExternalFunction("PyThread_release_lock", types.void(types.intp))


def _pointer(builder: Any, address: Any, bits: int) -> Any:
    return builder.inttoptr(address, ir.IntType(bits).as_pointer())


@intrinsic
def word_at(typing, address):
    """The 64-bit word at an address."""

    def codegen(context, builder, signature, arguments):
        return builder.load(_pointer(builder, arguments[0], 64))

    return types.intp(types.intp), codegen


@intrinsic
def half_at(typing, address):
    """The 32-bit word at an address, with its sign."""

    def codegen(context, builder, signature, arguments):
        return builder.sext(builder.load(_pointer(builder, arguments[0], 32)), _INT64)

    return types.intp(types.intp), codegen


@intrinsic
def put(typing, address, word):
    """Store a 64-bit word at an address."""

    def codegen(context, builder, signature, arguments):
        builder.store(arguments[1], _pointer(builder, arguments[0], 64))
        return context.get_dummy_value()

    return types.void(types.intp, types.intp), codegen


@intrinsic
def _seen(typing, address):
    """The word at an address that other threads write."""

    def codegen(context, builder, signature, arguments):
        return builder.load_atomic(_pointer(builder, arguments[0], 64), "seq_cst", 8)

    return types.intp(types.intp), codegen


def _exchanger(operation: str, ordering: str) -> Any:
    """An intrinsic that changes the word at an address, whoever else does the same, and answers what it was."""

    def codegen(context, builder, signature, arguments):
        return builder.atomic_rmw(operation, _pointer(builder, arguments[0], 64), arguments[1], ordering)

    @intrinsic
    def change(typing, address, word):
        return types.intp(types.intp, types.intp), codegen

    return change


_swap, _add, _claim = _exchanger("xchg", "seq_cst"), _exchanger("add", "seq_cst"), _exchanger("add", "monotonic")


@intrinsic
def _pause(typing):
    """Tell the processor that the thread spins."""

    def codegen(context, builder, signature, arguments):
        machine = platform.machine().lower()
        if machine in _PAUSES:
            name, operands = _PAUSES[machine]
            values = [ir.Constant(ir.IntType(32), operand) for operand in operands]
            kind = ir.FunctionType(ir.VoidType(), [value.type for value in values])
            builder.call(cgutils.get_or_insert_function(builder.module, kind, name), values)
        return context.get_dummy_value()

    return types.void(), codegen


def caller(count: int) -> Any:
    """An intrinsic that calls, at an address, a function of `count` words that answers nothing."""
    function_type = ir.FunctionType(ir.VoidType(), [_INT64] * count)

    def codegen(context, builder, signature, arguments):
        address, *values = (builder.extract_value(arguments[0], i) for i in range(count + 1))
        builder.call(builder.inttoptr(address, function_type.as_pointer()), values)
        return context.get_dummy_value()

    @intrinsic
    def call(typing, words):
        return types.void(types.UniTuple(types.intp, count + 1)), codegen

    return call


call_entry, call_loop = caller(3), caller(4)  # entry(block, low, high) and loop(entry, block, n, chunks)


@inner
def _work(number, shared):
    """Run the chunks of a thread's stretch, and what is left of the others'."""
    entry, n, chunks = word_at(shared + 8 * ENTRY), word_at(shared + 8 * N), word_at(shared + 8 * CHUNKS)
    stretches, block = word_at(shared + 8 * STRETCHES), word_at(shared + 8 * ARGUMENTS)
    down = word_at(shared + 8 * DOWN)
    for other in range(stretches):
        stretch = (number + other) % stretches
        end, counter = chunks * (stretch + 1) // stretches, shared + 8 * (FIRST + APART * stretch)
        last = chunks * stretch // stretches + end - 1
        while _seen(counter) < end:
            chunk = _claim(counter, 1)
            if chunk < end:
                chunk = last - chunk if down else chunk
                call_entry((entry, block, n * chunk // chunks, n * (chunk + 1) // chunks))


@inner
def share(entry, block, n, chunks, shared):
    """Run the chunks, by as many threads as the shared block says; the caller holds the lock of launches that share."""
    stretches, down = min(word_at(shared + 8 * THREADS), chunks), 1 - word_at(shared + 8 * DOWN)
    put(shared + 8 * DOWN, down)
    if stretches == 1:
        for i in range(chunks):
            chunk = chunks - 1 - i if down else i
            call_entry((entry, block, n * chunk // chunks, n * (chunk + 1) // chunks))
        return
    put(shared + 8 * ENTRY, entry)
    put(shared + 8 * ARGUMENTS, block)
    put(shared + 8 * N, n)
    put(shared + 8 * CHUNKS, chunks)
    put(shared + 8 * STRETCHES, stretches)
    first, spins = shared + 8 * FIRST, 0
    for stretch in range(stretches):
        put(first + 8 * APART * stretch, chunks * stretch // stretches)
    _add(shared + 8 * ROUND, 1)
    for number in range(1, stretches):
        own = first + 8 * APART * number
        if _seen(own + 8 * ASLEEP) == 1 and _swap(own + 8 * ASLEEP, 0) == 1:
            _release(word_at(own + 8 * LOCK))
    _work(0, shared)
    _add(shared + 8 * ROUND, 1)
    while _seen(shared + 8 * INSIDE) != 0:
        spins += 1
        _pause()
        if spins > _SPINS:  # another process has the core of one who is inside
            _acquire_timed(word_at(first + 8 * LOCK), _NAP, 0)


def _run(entry, block, n, chunks):
    """Run the chunks; other Python threads run meanwhile, so that a loader's need not wait for a kernel to end."""
    state = _save_thread()
    share(entry, block, n, chunks, block)
    _restore_thread(state)


@inner
def _next_round(shared, number, last):
    """The next open round that has a stretch for the thread, or LEAVE."""
    own, spins = shared + 8 * (FIRST + APART * number), 0
    while True:
        now = _seen(shared + 8 * ROUND)
        if now == LEAVE or (now != last and now % 2 == 1 and number < _seen(shared + 8 * STRETCHES)):
            return now
        spins += 1
        _pause()
        if spins > _SPINS:
            spins = 0
            _swap(own + 8 * ASLEEP, 1)
            # Whoever sets ASLEEP back wakes the thread: where it does so itself, it need not sleep.
            if _seen(shared + 8 * ROUND) == now or _swap(own + 8 * ASLEEP, 0) == 0:
                _acquire(word_at(own + 8 * LOCK), 1)


def _attend(shared):
    """What a thread of the team runs from its beginning to its end."""
    number, last = _add(shared + 8 * NUMBERED, 1) + 1, 0
    while last != LEAVE:
        last = _next_round(shared, number, last)
        _add(shared + 8 * INSIDE, 1)
        if last != LEAVE and _seen(shared + 8 * ROUND) == last:
            _work(number, shared)
        _add(shared + 8 * INSIDE, -1)
    _add(shared + 8 * HIRED, -1)


class Team:
    """The threads of this process beside the one that launches, over a shared block."""

    def __init__(self, shared: np.ndarray, threads: int):
        word, api = types.intp, ctypes.pythonapi
        self.shared, self.threads = shared, threads
        self._run = cfunc(types.void(word, word, word, word), cache=True)(keyed(_run))
        self._attend = cfunc(types.void(word), cache=True)(keyed(_attend))
        self.loop: int = self._run.address or 0  # of loop(entry, block, n, chunks)
        shared[THREADS + 1 :] = 0
        api.PyThread_allocate_lock.restype, api.PyThread_start_new_thread.restype = ctypes.c_void_p, ctypes.c_ulong
        for number in range(threads):
            lock = api.PyThread_allocate_lock()
            api.PyThread_acquire_lock(ctypes.c_void_p(lock), 1)
            shared[FIRST + APART * number + LOCK] = lock
        shared[HIRED] = threads - 1
        run, shared_address = ctypes.c_void_p(self._attend.address), ctypes.c_void_p(shared.ctypes.data)
        for _ in range(1, threads):
            if api.PyThread_start_new_thread(run, shared_address) == _NO_THREAD:
                shared[HIRED] -= 1  # the others do its chunks

    def dismiss(self) -> None:
        """Let the threads end; there may be no launch under way, nor one of several threads after it."""
        end = time.monotonic() + _PATIENCE
        if self.shared[HIRED] > 0:
            self.shared[ROUND] = LEAVE
            for number in range(1, self.threads):  # asleep or not: nobody sleeps any more
                lock = int(self.shared[FIRST + APART * number + LOCK])
                ctypes.pythonapi.PyThread_release_lock(ctypes.c_void_p(lock))
            while self.shared[HIRED] > 0 and time.monotonic() < end:
                time.sleep(1e-4)
