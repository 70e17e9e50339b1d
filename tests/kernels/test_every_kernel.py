"""What holds for every kernel: it is run by a case, allocates nothing, and reads its arrays in order."""

import ctypes
import importlib
import pkgutil
import re

import numpy as np
import pytest
from numba import config, njit
from numba.core.runtime import _nrt_python, rtsys

import minidl
import minidl.kernels
from minidl.kernels import launch as launching
from minidl.kernels.launch import Kernel, kernel, launch
from tests.ops.test_every_op import CASES

KERNELS = {
    f"{module.name}.{name}": value
    for module in pkgutil.iter_modules(minidl.kernels.__path__)
    for name, value in vars(importlib.import_module(f"minidl.kernels.{module.name}")).items()
    if isinstance(value, Kernel) and value.function.__module__ == f"minidl.kernels.{module.name}"
}
# Run by something else than an op, and tested there.
ELSEWHERE = {"pointwise.tanh_double", "pointwise.sigmoid_double"}  # the cases are run in float32 here
ELSEWHERE |= {"elementwise.power_double", "elementwise.power_backward_double"}
ELSEWHERE |= {"loss.not_finite", "gather.keep_number", "gather.take_rows", "gather.take_images"}
ELSEWHERE |= {"random.random_bits", "pointwise.word_sums", "update.sgd", "update.sgd_momentum"}
# Where the next element's place depends on the data or on the geometry, so that a gather is what is meant.
GATHERS: set[str] = set()


ENTRY = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64)


def watched(name, door, seen):
    """The door, which then runs its kernel once more on the packed arguments and notes what that allocated.

    The door itself allocates a note on each array it unpacks; a replay of the entry point does not pass through it.
    """

    def run(loop, block, n, chunks, *arguments):
        entry = door(loop, block, n, chunks, *arguments)
        replay = ENTRY(entry)
        before = rtsys.get_allocation_stats().alloc
        replay(block.ctypes.data, 0, n)
        seen[name] = max(seen.get(name, 0), rtsys.get_allocation_stats().alloc - before)
        return entry

    return run


@pytest.fixture
def counting():
    """Numba's count of allocations, which is off by default."""
    before = _nrt_python.memsys_stats_enabled()
    _nrt_python.memsys_enable_stats()
    yield
    if not before:
        _nrt_python.memsys_disable_stats()


@kernel
def wasteful(x, low, high):
    scratch = np.ones(3)
    for i in range(low, high):
        x[i] = scratch[i % 3]


@pytest.mark.skipif(bool(config.DISABLE_JIT), reason="without the JIT there is no machine code to look at")
def test_a_kernel_that_allocates_is_caught(counting, monkeypatch):
    launch(wasteful, 2, np.ones(2))
    monkeypatch.setattr(launching, "_quick", lambda *given: False)
    seen = {}
    monkeypatch.setattr(wasteful, "door", watched("wasteful", wasteful.door, seen))
    launch(wasteful, 2, np.ones(2))
    assert seen == {"wasteful": 1}


@pytest.fixture
def launches(monkeypatch, counting):
    """Every launch, with the allocations it made."""
    seen = {}

    for case in CASES:
        differentiate(case)  # compiles what is not compiled yet
    monkeypatch.setattr(launching, "_quick", lambda *given: False)  # which passes by the doors
    for name, each in KERNELS.items():
        if each.door is not None:
            monkeypatch.setattr(each, "door", watched(name, each.door, seen))
    return seen


def differentiate(case, dtype=np.float32):
    leaves = [
        None if a is None else minidl.tensor(a, requires_grad=case.smooth and a.dtype.kind == "f")
        for a in case.arrays(dtype)
    ]
    case.run(*case.arrays(dtype))  # some ops run another kernel where nobody wants a gradient
    out = case.run(*leaves)
    if out.requires_grad:
        out.backward(np.ones(out.shape, out.dtype))


@pytest.mark.skipif(bool(config.DISABLE_JIT), reason="without the JIT there is no machine code to look at")
def test_every_kernel_is_run_by_a_case_and_allocates_nothing(launches):
    for case in CASES:
        differentiate(case)
    assert set(KERNELS) - ELSEWHERE - set(launches) == set()
    assert {name for name, allocations in launches.items() if allocations} == set()


@pytest.mark.slow
@pytest.mark.skipif(bool(config.DISABLE_JIT), reason="without the JIT there is no machine code to look at")
def test_no_kernel_gathers_or_scatters():
    for case in CASES:
        differentiate(case)
    found = set()
    for name, each in KERNELS.items():
        for signature in each.door.signatures if each.door is not None else ():
            core = njit(error_model="numpy")(each.function)
            types = tuple(t.copy(readonly=False) if hasattr(t, "readonly") else t for t in signature[4:])
            core.compile((*types, *signature[2:4]))
            assembly = "".join(core.inspect_asm().values())
            if re.search(r"\bvp?(gather|scatter)", assembly):
                found.add(name)
    assert found - GATHERS == set()
