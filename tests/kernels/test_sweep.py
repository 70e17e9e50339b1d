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
DIFFERENT = 0.6  # of them, at least; some are drawn twice
CPUS = {
    "avx2": {"NUMBA_CPU_NAME": "x86-64-v3", "NUMBA_CPU_FEATURES": "+avx,+avx2,+fma,+sse2"},
    "generic": {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""},
}
pytestmark = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="of machine code; in plain Python too slow")


every_family = pytest.mark.parametrize("name", COUNTS)
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="unreadable pages by the calls of Linux")


def of_others(count):
    """How many are tried with the registers of another processor."""
    return count * 2 // 3


def test_the_table_names_every_family_and_two_thousand_shapes():
    assert set(COUNTS) == set(FAMILIES)
    assert sum(DIFFERENT * of_others(count) for count in COUNTS.values()) >= 2000


@every_family
def test_a_few_shapes(name):
    sweep(name, 6)


@pytest.fixture(scope="module")
def start(pytestconfig):
    """Starts a module with arguments, as if on this processor or another, of whose kernels there is a cache as well."""

    def started(cpu, *arguments):
        environment = os.environ | {"NUMBA_NUM_THREADS": "4", "OPENBLAS_NUM_THREADS": "1"}
        if cpu is not None:
            environment |= CPUS[cpu] | {"NUMBA_CACHE_DIR": str(pytestconfig.cache.mkdir(f"kernels-{cpu}"))}
        command = [sys.executable, "-m", *map(str, arguments)]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environment)

    return started


def check_guarded(process, least):
    shown, errors = process.communicate()
    last = shown.splitlines()[-1]
    assert process.returncode == 0 and last.startswith("done: "), f"{last}\n{errors}"
    assert int(last.removeprefix("done: ")) >= least


@on_linux
@pytest.mark.slow
@every_family
def test_random_shapes_at_unreadable_pages(name, start):
    narrower = CPUS if REGISTER >= 64 else ()  # the registers of other processors, where there are wider ones
    tried = [(None, COUNTS[name]), *((cpu, of_others(COUNTS[name])) for cpu in narrower)]
    processes = [(count, start(cpu, "tests.kernels.guarded", name, count)) for cpu, count in tried]
    for count, process in processes:
        check_guarded(process, DIFFERENT * count)


@on_linux
@pytest.mark.slow
def test_every_case_of_every_op_at_unreadable_pages(start):
    check_guarded(start(None, "tests.kernels.guarded", "cases", 0), 400)


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
def test_threads_and_registers_change_no_bit(start):
    process, *others = (start(cpu, "tests.kernels.digests") for cpu in (None, *CPUS))
    register, here = digests_of(process)
    assert register == REGISTER and len(here) > 400
    assert [case for case, found in here.items() if found.startswith("{")] == []  # threads
    differing = set()
    for cpu, width, process in zip(("avx2", "generic"), (32, 16), others, strict=True):
        register, there = digests_of(process)
        assert register == width
        differing |= {(cpu, case) for case, found in there.items() if found != here[case]}
    assert differing == set()
