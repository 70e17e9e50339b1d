"""The machine's limits, measured: multiply-adds a second in registers, and bytes a second from each level of memory."""

import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import extending, types

from minidl import kernel, launch
from minidl.kernels.vectors import INT64, REGISTER, Vectors

from .primitives import ITEM, Work
from .programs import median_of

intrinsic: Any = extending.intrinsic  # Numba's own hints count the typing context among a caller's arguments
CHAINS = (
    12  # of multiply-adds that do not wait for each other: at least latency times units, and 16 registers hold them
)
ITEMS, STEPS = 64, 16384
OPERATIONS = ITEMS * STEPS * CHAINS * 2 * (REGISTER // ITEM)  # of a run
SHARED = 1 << 30  # as a launch's work: for all threads; 1 stands for the calling thread alone
KIB = 1 << 10
APART = 136  # words between what is copied and its copy, so that they do not fall on the same places of a page
# Bytes that one thread goes over again and again; the first is more than any first-level cache and less than a second.
SIZES = tuple(size * KIB for size in (192, 768, 3 * KIB, 12 * KIB, 48 * KIB, 128 * KIB))


@intrinsic
def _multiply_add(typing, out, steps):
    """The sum of CHAINS chains of `steps` multiply-adds of a register each, to `out`."""

    def codegen(context, builder, signature, arguments):
        vectors = Vectors(context, builder, types.float32)
        address = vectors.address(signature.args[0], arguments[0])
        half = vectors.load(address, None)
        before, loop, end = builder.block, builder.append_basic_block("loop"), builder.append_basic_block("end")
        builder.branch(loop)
        builder.position_at_end(loop)
        step, sums = builder.phi(INT64), [builder.phi(vectors.vector) for _ in range(CHAINS)]
        step.add_incoming(ir.Constant(INT64, 0), before)
        following = builder.add(step, ir.Constant(INT64, 1))
        step.add_incoming(following, loop)
        results = [vectors.call("fma", vectors.vector, [total, half, half]) for total in sums]
        for i, (total, result) in enumerate(zip(sums, results, strict=True)):
            total.add_incoming(ir.Constant(vectors.vector, [float(i)] * vectors.lanes), before)
            total.add_incoming(result, loop)
        builder.cbranch(builder.icmp_signed("<", following, arguments[1]), loop, end)
        builder.position_at_end(end)
        total = results[0]
        for result in results[1:]:
            total = builder.fadd(total, result)
        vectors.store(total, address, None)
        return context.get_dummy_value()

    return types.void(out, types.intp), codegen


@kernel
def multiply_adds(out, steps: int, low, high):
    """Multiply-adds in registers alone; the range is over rows of `out`, a register each, which must hold 0.5."""
    for i in range(low, high):
        _multiply_add(out[i], steps)


@kernel
def read(x, repeats: int, out, low, high):
    """out[p] = exclusive or of all words of x[p], so many times over; the range is over p."""
    for p in range(low, high):
        row, total = x[p], np.int64(0)
        for _ in range(repeats):
            for i in range(len(row)):
                total ^= row[i]
        out[p] = total


@kernel
def copy(x, y, repeats: int, low, high):
    """y[p] = x[p] + r for r up to `repeats`; the range is over p."""
    for p in range(low, high):
        source, target = x[p], y[p]
        for r in range(repeats):
            added = np.int64(r)
            for i in range(len(source)):
                target[i] = source[i] + added


class Level(NamedTuple):
    """So many bytes, of all threads together, are read, and copied, at so many bytes a second (both ways counted)."""

    size: float
    read: float
    copy: float


class Limits(NamedTuple):
    """Operations a second on one thread and on all; memory levels from the second-level cache to DRAM."""

    threads: int
    one_thread: float
    peak: float
    levels: list[Level]

    def memory_seconds(self, work: Work) -> float:
        """The least time for the bytes: what is written is copied, the rest is read, in a working set of its size."""
        read, copy = self.bandwidths(work.size)
        return max(work.reads - work.writes, 0) / read + 2 * work.writes / copy

    def seconds(self, work: Work, peak: float) -> float:
        """The least time for the work, at so many operations a second."""
        return max(work.flops / peak, self.memory_seconds(work))

    def bandwidths(self, size: float) -> tuple[float, float]:
        """Of reading and of copying `size` bytes, interpolated between the levels."""
        sizes = np.log([level.size for level in self.levels])
        read, copy = (np.interp(np.log(size), sizes, [level[i] for level in self.levels]) for i in (1, 2))
        return float(read), float(copy)


def measure(threads: int, rounds: int, seconds: float) -> Limits:
    """Measure all limits, the median of `rounds` turns each."""
    one, peak = (measure_peak(work, rounds, seconds) for work in (1, SHARED))
    return Limits(threads, one, peak, [_level(size, threads, rounds, seconds) for size in SIZES])


def measure_peak(work: int, rounds: int, seconds: float) -> float:
    """Operations a second, on one thread or on all."""
    return OPERATIONS / _median(_peak_run(work), rounds, seconds)


def peak_in_turn(seconds: float) -> float:
    """Operations a second on all threads, the median over a turn of about so many seconds, as primitives are timed."""
    run = _peak_run(SHARED)
    return OPERATIONS / median_of(lambda: _time(run), seconds)


def _peak_run(work: int) -> Callable[[], None]:
    out = np.empty((ITEMS, REGISTER // ITEM), np.float32)

    def run() -> None:
        out.fill(0.5)
        launch(multiply_adds, ITEMS, out, STEPS, work=work)

    return run


def _level(size: int, threads: int, rounds: int, seconds: float) -> Level:
    """The bandwidths over a working set of `size` bytes a thread."""
    repeats = max(1, (8 << 20) // size)
    memory, out = np.ones(threads * size // 8 + APART, np.int64), np.empty(threads, np.int64)
    x = memory[APART:].reshape(threads, -1)
    source, target = (memory[at : at + x.size // 2].reshape(threads, -1) for at in (0, x.size // 2 + APART))
    reading = _median(lambda: launch(read, threads, x, repeats, out, work=SHARED), rounds, seconds)
    copying = _median(lambda: launch(copy, threads, source, target, repeats, work=SHARED), rounds, seconds)
    return Level(x.nbytes, x.nbytes * repeats / reading, x.nbytes * repeats / copying)


def _median(run: Callable[[], Any], rounds: int, seconds: float) -> float:
    """The median over rounds of the shortest time in each: what the machine can do when nothing disturbs it."""
    best = []
    for _ in range(rounds):
        run()
        times, begun = [], time.perf_counter()
        while len(times) < 2 or time.perf_counter() < begun + seconds:
            times.append(_time(run))
        best.append(min(times))
    return statistics.median(best)


def _time(run: Callable[[], Any]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start
