"""Every kernel on thousands of random shapes: right, within its arrays, and the same bits on every machine."""

import os
import signal
import subprocess
import sys

import pytest
from numba import config

from minidl import kernel
from minidl.kernels.vectors import REGISTER
from tests.kernels.families import FAMILIES, sweep

COUNTS = {
    "products": 300,
    "linear": 350,
    "convolutions": 500,
    "depthwise": 250,
    "convolutions_of_layers": 200,
    "batch_norm": 350,
    "layer_norm": 250,
    "softmax": 200,
    "cross_entropy": 200,
    "activations": 200,
    "dropout": 150,
    "pools": 300,
    "sums": 200,
    "updates": 100,
    "pairs": 300,
    "functions": 150,
    "extremes": 250,
    "unbroadcasting": 200,
    "shaping": 150,
    "copies": 400,
    "orders": 200,
}
CPUS = {
    "avx2": {"NUMBA_CPU_NAME": "x86-64-v3", "NUMBA_CPU_FEATURES": "+avx,+avx2,+fma,+sse2"},
    "generic": {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""},
}
pytestmark = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="of machine code; in plain Python too slow")
every_family = pytest.mark.parametrize("name", COUNTS)
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="unreadable pages by the calls of Linux")


def test_the_table_names_every_family_and_two_thousand_shapes():
    assert set(COUNTS) == set(FAMILIES)
    assert sum(COUNTS.values()) * 0.6 >= 2000


@every_family
def test_a_few_shapes(name):
    sweep(name, 6)


@pytest.mark.slow
@every_family
def test_random_shapes(name):
    assert sweep(name, COUNTS[name]) >= COUNTS[name] * 0.6  # some are drawn twice


def python(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", *map(str, arguments)],
        capture_output=True,
        text=True,
        env=os.environ | {"NUMBA_NUM_THREADS": "4"} | environment,
        check=False,
    )


def run_guarded(name, count, **environment):
    done = python("tests.kernels.guarded", name, count, **environment)
    lines = done.stdout.splitlines()
    assert done.returncode == 0 and lines[-1] == "done", "\n".join([*lines[-1:], done.stderr])


@on_linux
@pytest.mark.slow
@every_family
def test_random_shapes_at_unreadable_pages(name):
    run_guarded(name, COUNTS[name])


@on_linux
@pytest.mark.slow
@pytest.mark.skipif(REGISTER < 64, reason="needs wider registers than those that are tried")
@pytest.mark.parametrize("cpu", CPUS)
@every_family
def test_random_shapes_in_narrower_registers(name, cpu):
    run_guarded(name, COUNTS[name] // 4, **CPUS[cpu])


@on_linux
@pytest.mark.slow
def test_every_case_of_every_op_at_unreadable_pages():
    run_guarded("cases", 0)


@kernel
def shifted(x, y, by: int, low, high):
    for i in range(low, high):
        y[i] = x[i + by]


@on_linux
@pytest.mark.parametrize(
    ("begins", "mistake"),
    [
        (False, "launch(shifted, 9, x, y, 1)"),
        (False, "launch(shifted, 10, np.ones(10, np.float32), y, 0)"),
        (False, "launch(shifted, 9, (x + x).copy(), y, 1)"),
        (True, "ctypes.c_float.from_address(x.ctypes.data - 4).value"),
    ],
    ids=["read behind", "written behind", "read behind a temporary", "read before"],
)
def test_one_element_too_far_is_caught(begins, mistake):
    program = f"""if True:
        import ctypes
        import numpy as np
        from minidl import launch
        from tests.kernels import guard
        from tests.kernels.test_sweep import shifted
        guard.install()
        guard.guard_start({begins})
        x, y = np.ones(9, np.float32), np.zeros(9, np.float32)
        launch(shifted, 8, x, y, 1)
        print("fine", flush=True)
        {mistake}
        print("not caught", flush=True)
    """
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == ["fine"], done.stderr
    assert done.returncode == -signal.SIGSEGV


def digests(**environment):
    done = python("tests.kernels.digests", **environment)
    assert done.returncode == 0, done.stderr
    register, *lines = done.stdout.splitlines()
    return int(register), dict(line.rsplit("\t", 1) for line in lines)


@pytest.mark.slow
@pytest.mark.skipif(REGISTER < 64, reason="needs wider registers than those that are tried")
def test_threads_and_registers_change_no_bit():
    register, here = digests()
    assert register == REGISTER and len(here) > 400
    assert [case for case, found in here.items() if found.startswith("{")] == []  # threads
    differing = set()
    for cpu, width in (("avx2", 32), ("generic", 16)):
        register, there = digests(**CPUS[cpu])
        assert register == width
        differing |= {(cpu, case) for case, found in there.items() if found != here[case]}
    assert differing == set()
