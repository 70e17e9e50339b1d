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
    "convolutions_of_tiles": 150,
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


def start(*arguments, **environment):
    return subprocess.Popen(
        [sys.executable, "-m", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"NUMBA_NUM_THREADS": "4"} | environment,
    )


def check_guarded(process):
    shown, errors = process.communicate()
    lines = shown.splitlines()
    assert process.returncode == 0 and lines[-1] == "done", "\n".join([*lines[-1:], errors])


@on_linux
@pytest.mark.slow
@every_family
def test_random_shapes_at_unreadable_pages(name):
    narrower = CPUS.values() if REGISTER >= 64 else ()  # the registers of other processors, where there are wider ones
    processes = [start("tests.kernels.guarded", name, COUNTS[name])]
    processes += [start("tests.kernels.guarded", name, COUNTS[name] // 4, **cpu) for cpu in narrower]
    for process in processes:
        check_guarded(process)


@on_linux
@pytest.mark.slow
def test_every_case_of_every_op_at_unreadable_pages():
    check_guarded(start("tests.kernels.guarded", "cases", 0))


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


def digests_of(process):
    shown, errors = process.communicate()
    assert process.returncode == 0, errors
    register, *lines = shown.splitlines()
    return int(register), dict(line.rsplit("\t", 1) for line in lines)


@pytest.mark.slow
@pytest.mark.skipif(REGISTER < 64, reason="needs wider registers than those that are tried")
def test_threads_and_registers_change_no_bit():
    process, *others = (start("tests.kernels.digests", **cpu) for cpu in ({}, *CPUS.values()))
    register, here = digests_of(process)
    assert register == REGISTER and len(here) > 400
    assert [case for case, found in here.items() if found.startswith("{")] == []  # threads
    differing = set()
    for cpu, width, process in zip(("avx2", "generic"), (32, 16), others, strict=True):
        register, there = digests_of(process)
        assert register == width
        differing |= {(cpu, case) for case, found in there.items() if found != here[case]}
    assert differing == set()
