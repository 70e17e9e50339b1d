"""What an op computes, launches compute: so a step can be recorded, and its launches run again without any Python.

Every case is run forward and backward. Then all memory that a launch wrote before any read it is filled with garbage,
what launches found is put back, and the same launches run again: the output and the gradients must come out anew. And
what they found must be an input, or lie at the same place in a second run.
"""

import numpy as np
import pytest

import minidl
from minidl.kernels import launch as launching
from minidl.kernels.recording import owner_of
from tests.ops.cases_normalization import counted
from tests.ops.test_every_op import CASES

GARBAGE = 0xA5
# What NumPy computes, since it has no gradient; so does it what is indexed by an array.
NUMPY_ONLY = {"equal", "not_equal", "less", "less_equal", "greater", "greater_equal", "argmax", "argmin"}


def gathers(case):
    """Whether a case indexes by an array."""
    at = case.options.get("at")
    return any(isinstance(part, np.ndarray) for part in (at if isinstance(at, tuple) else (at,)))


def makes_arrays(case):
    """Whether a case's own function makes weights, statistics or a generator, anew in each run."""
    return case.call is counted or not {"weight", "pos_weight", "statistics", "rng"}.isdisjoint(case.options)


def data(array):
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)


class Log:
    """The launches of a run, what memory they touched, and what lay there before the first of them."""

    def __init__(self):
        self.launches, self.before, self.found, self.written = [], {}, {}, {}

    def note(self, kernel, n, chunks, arguments):
        self.launches.append((kernel, n, chunks, arguments))
        for i, array in enumerate(arguments):
            if isinstance(array, np.ndarray) and array.size:
                owner = owner_of(array)
                if id(owner) not in self.before:
                    self.before[id(owner)] = owner, owner.copy()
                if i not in kernel.unread and id(owner) not in self.written:
                    self.found.setdefault(id(owner), (owner, f"{kernel!r} reads {kernel.names[i]}"))
        for i in kernel.written:
            owner = owner_of(arguments[i])
            self.written[id(owner)] = owner

    def wrote(self, array):
        return id(owner_of(array)) in self.written

    def forget(self):
        """Undo all that was written."""
        for key, owner in self.written.items():
            if key in self.found:
                owner[...] = self.before[key][1]
            elif owner.size:
                owner.reshape(-1, order="A").view(np.uint8)[...] = GARBAGE


@pytest.fixture
def logging(monkeypatch):
    """A function that begins a new log of launches, and one that runs a launch."""
    anew, logs = launching._launch_anew, []

    def watched(kernel, n, chunks, arguments):
        if logs:
            logs[-1].note(kernel, n, chunks, arguments)
        anew(kernel, n, chunks, arguments)

    def begin():
        logs.append(Log())
        return logs[-1]

    monkeypatch.setattr(launching, "_quick", lambda *given: False)
    monkeypatch.setattr(launching, "_launch_anew", watched)
    return begin, anew


def leaves_of(case):
    made = case.arrays(np.float32)
    return [None if a is None else minidl.tensor(a, requires_grad=case.smooth and a.dtype.kind == "f") for a in made]


def run(case, leaves, upstream):
    """The output and the gradients."""
    for leaf in leaves:
        if leaf is not None:
            leaf.grad = None
    y = case.run(*leaves)
    if y.requires_grad:
        y.backward(upstream)
    return [y._array, *(leaf.grad for leaf in leaves if leaf is not None and leaf.grad is not None)]


@pytest.mark.parametrize("case", [c for c in CASES if c.op not in NUMPY_ONLY and not gathers(c)], ids=str)
def test_launches_alone_compute_an_op_both_ways(case, logging):
    begin, launch = logging
    leaves = leaves_of(case)
    y = case.run(*leaves)
    upstream = np.random.default_rng(5).standard_normal(y.shape).astype(y.dtype)
    outside = {id(owner_of(a)) for a in (upstream, *(leaf._array for leaf in leaves if leaf is not None))}
    log = begin()
    results = run(case, leaves, upstream)
    for result in results:
        assert not result.size or log.wrote(result) or id(owner_of(result)) in outside, "computed by NumPy"
    expected = [result.copy() for result in results]
    log.forget()
    for arguments in log.launches:
        launch(*arguments)
    for result, value in zip(results, expected, strict=True):
        assert np.array_equal(data(result), data(value)), "not the same without what Python did between the launches"
    again = begin()
    run(case, leaves, upstream)
    passing = {key: what for key, (_, what) in log.found.items() if key not in outside | set(again.found)}
    assert makes_arrays(case) or passing == {}, "read what lies elsewhere in every run"


def test_what_numpy_does_between_launches_is_seen(logging):
    @minidl.op
    def doubled(x):
        y = np.empty_like(x)
        launching.launch(minidl.kernels.pointwise.add, x.size, x, np.full_like(x, 2), y)
        y *= 2
        return y, None

    begin, launch = logging
    log, x = begin(), np.ones(5, np.float32)
    y = doubled(x)._array
    log.forget()
    for arguments in log.launches:
        launch(*arguments)
    assert y.tolist() == [3] * 5
    again = begin()
    doubled(x)
    assert len(set(log.found) - set(again.found)) == 1
    minidl.OPS.pop("doubled")
