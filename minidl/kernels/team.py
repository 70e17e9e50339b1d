"""The loop over the chunks of one launch, shared among threads, and the words of memory it is told by.

Numba's threading layer (OpenMP where there is one) runs a function once on each thread. There each takes the chunks of
its own stretch, in order, and then what is left of the others': neighbours in memory stay with one core from launch to
launch, and nobody waits for a thread that was held up. Launches go up and down their stretches by turns, so that each
begins with what the last one left in the caches. Neither the thread nor the order of chunks changes a bit.
"""

from typing import Any

from llvmlite import ir
from numba import cfunc, extending, njit, types

from .launch import THREADS

intrinsic: Any = extending.intrinsic  # Numba's own hints count the typing context among a caller's arguments
_INT64 = ir.IntType(64)
# Words of a launch that is shared, in the shared block; FIRST and STEP make the threading layer tell each thread its
# number, ARGUMENTS is where the packed arguments lie.
WORKER, ARGUMENTS, ENTRY, N, CHUNKS, STRETCHES, FIRST, STEP, DOWN = range(THREADS + 1, THREADS + 10)
NEXT, APART = THREADS + 10, 8  # the next chunk of the first stretch; those of the others, each on its own cache line

_save_thread = types.ExternalFunction("PyEval_SaveThread", types.intp())
_restore_thread = types.ExternalFunction("PyEval_RestoreThread", types.void(types.intp))
_get_num_threads = types.ExternalFunction("get_num_threads", types.intc())
_set_num_threads = types.ExternalFunction("set_num_threads", types.void(types.intc))
_on_each = types.ExternalFunction("numba_parallel_for", types.void(*[types.intp] * 7, types.intc))


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
    """The 32-bit word at an address."""

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
def _claim(typing, address):
    """The word at an address, which is counted up by one, whoever else does the same."""

    def codegen(context, builder, signature, arguments):
        return builder.atomic_rmw("add", _pointer(builder, arguments[0], 64), ir.Constant(_INT64, 1), "monotonic")

    return types.intp(types.intp), codegen


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


@njit(cache=True)
def _work(number, dimensions, steps, shared):
    """What each thread runs; the threading layer puts the thread's number where `number` points."""
    entry, n, chunks = word_at(shared + 8 * ENTRY), word_at(shared + 8 * N), word_at(shared + 8 * CHUNKS)
    first, stretches, block = word_at(number), word_at(shared + 8 * STRETCHES), word_at(shared + 8 * ARGUMENTS)
    down = word_at(shared + 8 * DOWN)
    for other in range(stretches):
        stretch = (first + other) % stretches
        end, counter = chunks * (stretch + 1) // stretches, shared + 8 * (NEXT + APART * stretch)
        last = chunks * stretch // stretches + end - 1
        while word_at(counter) < end:
            chunk = _claim(counter)
            if chunk < end:
                chunk = last - chunk if down else chunk
                call_entry((entry, block, n * chunk // chunks, n * (chunk + 1) // chunks))


@njit(cache=True)
def share(entry, block, n, chunks, shared):
    """Run the chunks, by as many threads as the shared block says."""
    stretches, down = min(word_at(shared + 8 * THREADS), chunks), 1 - word_at(shared + 8 * DOWN)
    put(shared + 8 * DOWN, down)
    if stretches == 1:
        for i in range(chunks):
            chunk = chunks - 1 - i if down else i
            call_entry((entry, block, n * chunk // chunks, n * (chunk + 1) // chunks))
    else:
        put(shared + 8 * ENTRY, entry)
        put(shared + 8 * ARGUMENTS, block)
        put(shared + 8 * N, n)
        put(shared + 8 * CHUNKS, chunks)
        put(shared + 8 * STRETCHES, stretches)
        put(shared + 8 * FIRST, 0)
        put(shared + 8 * STEP, 1)
        for stretch in range(stretches):
            put(shared + 8 * (NEXT + APART * stretch), chunks * stretch // stretches)
        before = _get_num_threads()
        at = shared + 8 * FIRST, shared + 8 * STRETCHES, shared + 8 * STEP
        _on_each(word_at(shared + 8 * WORKER), at[0], at[1], at[2], shared, 0, 1, stretches)
        _set_num_threads(before)  # for functions of the user's: the threading layer leaves ours


@njit(cache=True)
def _run(entry, block, n, chunks):
    """Run the chunks; other Python threads run meanwhile, so that a loader's need not wait for a kernel to end."""
    state = _save_thread()
    share(entry, block, n, chunks, block)
    _restore_thread(state)


def _work_entry(number, dimensions, steps, shared):
    _work(number, dimensions, steps, shared)


def _run_entry(entry, block, n, chunks):
    _run(entry, block, n, chunks)


_compiled: list[Any] = []  # keeps the code alive


def addresses() -> tuple[int, int]:
    """The addresses of `loop(entry, block, n, chunks)` and of the function it runs on each thread."""
    if not _compiled:
        from numba.np.ufunc.parallel import _launch_threads

        _launch_threads()  # makes the names of the threading layer known, which code from the cache refers to
        signature = types.void(types.intp, types.intp, types.intp, types.intp)
        _compiled.extend(cfunc(signature, cache=True)(function) for function in (_run_entry, _work_entry))
    return _compiled[0].address, _compiled[1].address
