"""Kernels write what they declare as written, and read nothing that was in what they declare as unread."""

import numpy as np
import pytest

from minidl import nn, optim, tensor
from minidl.kernels import launch as launching
from minidl.kernels.launch import InOut, Out, kernel, launch
from tests.kernels.test_every_kernel import differentiate
from tests.ops.test_every_op import CASES

GARBAGE = 0xA5, 0x5A  # as every byte of memory whose contents must not matter


def elements(array):
    """The bytes of each element, in a copy."""
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).reshape(-1, array.itemsize).copy()


def restore(array, saved):
    array.reshape(-1).view(np.uint8).reshape(saved.shape)[...] = saved


def violations(kernel, arguments, run):
    """Run a launch, and again over garbage: what it does that its kernel does not declare."""
    arrays = {i: a for i, a in enumerate(arguments) if isinstance(a, np.ndarray) and a.size}
    alone = {i for i in arrays if not any(np.may_share_memory(arrays[i], arrays[j]) for j in arrays if j != i)}
    before = {i: elements(a) for i, a in arrays.items()}
    run()
    after = {i: elements(a) for i, a in arrays.items()}
    found = {
        f"{kernel!r} writes {kernel.names[i]}"
        for i in alone - kernel.written
        if not np.array_equal(before[i], after[i])
    }
    written = [i for i in arrays if i in kernel.written]
    runs = []
    for byte in GARBAGE if alone & kernel.unread else ():
        for i in written:
            restore(arrays[i], np.full_like(before[i], byte) if i in alone & kernel.unread else before[i])
        run()
        runs.append({i: elements(arrays[i]) for i in alone & kernel.unread})
    for i in alone & kernel.unread:
        left = np.all([(found_[i] == byte).all(1) for found_, byte in zip(runs, GARBAGE, strict=True)], axis=0)
        for each in runs:
            if not np.array_equal(each[i][~left], after[i][~left]):
                found.add(f"{kernel!r} reads what was in {kernel.names[i]}")
    for i in written:
        restore(arrays[i], after[i])
    return found


@pytest.fixture
def found(monkeypatch):
    """What launches do that their kernels do not declare."""
    seen, anew = set(), launching._launch_anew

    def watched(kernel, n, chunks, arguments):
        if any(isinstance(a, np.ndarray) and not a.flags.c_contiguous for a in arguments):
            return anew(kernel, n, chunks, arguments)  # which refuses them
        seen.update(violations(kernel, arguments, lambda: anew(kernel, n, chunks, arguments)))

    monkeypatch.setattr(launching, "_launch_anew", watched)
    monkeypatch.setattr(launching, "_quick", lambda *given: False)
    return seen


@pytest.mark.parametrize("op", sorted({case.op for case in CASES}))
def test_kernels_of_an_op_declare_what_they_write(op, found):
    for case in CASES:
        if case.op == op:
            differentiate(case)
    assert found == set()


@pytest.mark.parametrize(
    "options", [{}, {"weight_decay": 0.1}, {"momentum": 0.9}, {"momentum": 0.9, "nesterov": True}], ids=str
)
def test_kernels_of_an_update_declare_what_they_write(options, found):
    layer = nn.Linear(5, 3, rng=0)
    optimizer = optim.SGD(layer.parameters(), lr=0.1, **options)
    for _ in range(2):
        layer(tensor(np.ones((7, 5), np.float32))).sum().backward()
        optimizer.step()
    assert found == set()


@kernel
def careless(x, y: Out, z: InOut, low, high):
    for i in range(low, high):
        x[i] += 1
        y[i] += x[i]
        z[i] += x[i]


def test_a_kernel_that_declares_too_little_is_caught(found):
    launch(careless, 2, np.ones(2), np.ones(3), np.ones(2))
    assert found == {f"{careless!r} writes x", f"{careless!r} reads what was in y"}
