"""A program's memory: buffers that live at the same time lie apart, and replays neither allocate nor fault."""

import gc
import itertools
import os
import subprocess
import sys
import textwrap
import weakref

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import config

import minidl
from minidl.kernels.layout import CACHE_LINE
from minidl.kernels.program import arrange

from .problem import Problem, batches

BLOCKS = st.lists(
    st.tuples(st.integers(0, 5000), st.integers(0, 30), st.integers(0, 12), st.sampled_from([0, 8, 16, 48, 63])),
    max_size=40,
)


@given(BLOCKS)
@settings(max_examples=300, deadline=None)
def test_blocks_that_live_at_the_same_time_lie_apart(blocks):
    sizes = [size for size, *_ in blocks]
    lives = [(first, first + length) for _, first, length, _ in blocks]
    lines = [line for *_, line in blocks]
    offsets, total = arrange(sizes, lives, lines)
    for i, (size, offset) in enumerate(zip(sizes, offsets, strict=True)):
        if not size:
            continue
        assert offset % CACHE_LINE == lines[i]
        assert 0 <= offset and offset + size <= total
        for j in range(i):
            apart = offset + size <= offsets[j] or offsets[j] + sizes[j] <= offset
            together = lives[i][0] <= lives[j][1] and lives[j][0] <= lives[i][1]
            assert apart or not together or not sizes[j]
    assert total == max((o + s for s, o in zip(sizes, offsets, strict=True) if s), default=0)


def test_blocks_of_which_each_follows_the_last_share_memory():
    offsets, total = arrange([640] * 10, [(i, i) for i in range(10)], [0] * 10)
    assert (set(offsets), total) == ({0}, 640)
    offsets, total = arrange([640] * 10, [(i, i + 1) for i in range(10)], [0] * 10)
    assert (set(offsets), total) == ({0, 640}, 1280)


def test_a_captured_step_tells_what_it_holds():
    problem = Problem()
    step = minidl.capture(problem.step)
    assert repr(step) == "<captured Problem.step: nothing recorded yet>"
    problem.train(step, 4)
    replay = step.latest
    assert step.bytes == replay.bytes >= replay.program.arena_bytes > 0
    launches = sum(hasattr(row, "kernel") for row in replay.program.rows)
    assert f"<captured Problem.step: {launches} kernels, " in repr(step)
    problem.train(step, 4, rows=9)
    assert repr(step).count("kernels") == 2
    assert step.bytes > replay.bytes


def test_memory_that_a_program_forgot_is_reused():
    widths = [64] * 12
    layers = [minidl.nn.Sequential(minidl.nn.Linear(a, b), minidl.nn.Tanh()) for a, b in itertools.pairwise(widths)]
    step = minidl.capture(minidl.no_grad()(minidl.nn.Sequential(*layers)))
    x = np.random.default_rng(0).standard_normal((32, 64), np.float32)
    for _ in range(4):
        step(x)
    program = step.latest.program
    assert 5 * program.arena_bytes <= program.made_bytes


def test_programs_go_with_their_captured_step():
    held = []
    for i in range(20):
        problem = Problem()
        step = minidl.capture(problem.step)
        for x, y in batches(4, seed=i):
            step(x, y)
        held.append(weakref.ref(step.latest))
        del problem, step
    gc.collect()
    assert not any(ref() for ref in held)


PROGRAM = """
    import gc, resource, tracemalloc
    from pathlib import Path
    import numpy as np
    import minidl
    from minidl import nn, optim, tensor

    model = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 16), nn.Dropout(0.1), nn.Tanh(), nn.Linear(16, 2))
    rng = np.random.default_rng(0)
    ring = [(tensor(rng.standard_normal((32, 2), np.float32)), tensor(rng.integers(0, 2, 32))) for _ in range(8)]
    optimizer, loss_of = optim.SGD(model.parameters(), lr=0.01, momentum=0.9), nn.CrossEntropyLoss()

    @minidl.capture
    def step(x, y):
        optimizer.zero_grad()
        loss = loss_of(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    def faults():
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

    def resident():
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()

    def do(count):
        for i in range(count):
            step(*ring[i % 8])

    do(200)
    gc.collect()
    before = faults(), resident()
    do(10_000)
    print(faults() - before[0], resident() - before[1], end=" ")
    tracemalloc.start()
    do(100)
    gc.collect()
    start = tracemalloc.get_traced_memory()[0]
    do(10_000)
    gc.collect()
    print(tracemalloc.get_traced_memory()[0] - start)
"""


@pytest.mark.skipif(sys.platform != "linux" or bool(config.DISABLE_JIT), reason="reads Linux's counts of machine code")
def test_ten_thousand_replays_keep_to_their_memory():
    environment = os.environ | {"PYTHONTRACEMALLOC": "0"}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(PROGRAM)], capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr
    faults, resident, traced = map(int, done.stdout.split())
    assert faults < 20  # of ten thousand steps
    assert resident < 1 << 18  # 26 bytes a step
    assert traced < 10_000  # a byte a step
