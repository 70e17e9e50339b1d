"""What holds for every kernel: it is run by a case, allocates nothing, and reads its arrays in order."""

import importlib
import pkgutil
import re

import numpy as np
import pytest
from numba import config, njit
from numba.core.runtime import rtsys

import minidl
import minidl.kernels
from minidl.kernels.launch import Kernel
from tests.ops.test_every_op import CASES

KERNELS = {
    f"{module.name}.{name}": value
    for module in pkgutil.iter_modules(minidl.kernels.__path__)
    for name, value in vars(importlib.import_module(f"minidl.kernels.{module.name}")).items()
    if isinstance(value, Kernel) and value.function.__module__ == f"minidl.kernels.{module.name}"
}
# Run by something else than an op, and tested there.
ELSEWHERE = {"random.random_bits", "pointwise.word_sums", "pointwise.add", "update.sgd"}
# Where the next element's place depends on the data or on the geometry, so that a gather is what is meant.
GATHERS: set[str] = set()


@pytest.fixture
def launches(monkeypatch):
    """Every launch, with the allocations it made."""
    seen = {}

    def watched(name, door):
        def run(*arguments):
            before = rtsys.get_allocation_stats()
            entry = door(*arguments)
            after = rtsys.get_allocation_stats()
            seen[name] = max(seen.get(name, 0), after.alloc - before.alloc)
            return entry

        return run

    for case in CASES:
        differentiate(case)  # compiles what is not compiled yet
    for name, kernel in KERNELS.items():
        if kernel.door is not None:
            monkeypatch.setattr(kernel, "door", watched(name, kernel.door))
    return seen


def differentiate(case, dtype=np.float32):
    leaves = [
        None if a is None else minidl.tensor(a, requires_grad=case.smooth and a.dtype.kind == "f")
        for a in case.arrays(dtype)
    ]
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
    for name, kernel in KERNELS.items():
        for signature in kernel.door.signatures if kernel.door is not None else ():
            core = njit(error_model="numpy")(kernel.function)
            types = tuple(t.copy(readonly=False) if hasattr(t, "readonly") else t for t in signature[4:])
            core.compile((*types, *signature[2:4]))
            assembly = "".join(core.inspect_asm().values())
            if re.search(r"\bvp?(gather|scatter)", assembly):
                found.add(name)
    assert found - GATHERS == set()
