"""Recording a step until two recordings in a row agree."""

from collections.abc import Callable
from typing import Any

import numpy as np

from ..kernels import launch as launching
from ..kernels.layout import empty
from ..kernels.recording import Recording
from ..tensor import Tensor
from .agreement import disagreement, lasting_buffers, leaked, unwritten
from .guards import Snapshot
from .inputs import Input
from .replay import Replay, bare, copied, ends_of, expected_gradients, state_of, touched
from .trees import mapped

TRIES = 5  # recordings of one kind until two in a row must agree


class Attempt:
    """The recordings of one kind of call, until two in a row agree."""

    def __init__(self, function: Callable[..., Any], roots: tuple, given: tuple, arrays: list[np.ndarray]):
        self.function, self.roots = function, roots
        self.inputs = [empty(x.shape, x.dtype) for x in arrays]  # what the program reads; batches are copied here
        buffers = iter(self.inputs)
        self.given = mapped(given, lambda _: Tensor(next(buffers)), lambda _: next(buffers).view(Input))
        self.previous: Recording | None = None
        self.tries = 0
        self.refusal: str | None = None

    def run(self, arrays: list[np.ndarray]) -> tuple[Any, Replay | None]:
        """Run the step as ever and record it; with a replay, if the recording agrees with the one before."""
        for buffer, x in zip(self.inputs, arrays, strict=True):
            np.copyto(buffer, x)
        before = Snapshot(self.roots)
        randomness, grads = before.randomness(), {t: t.grad for t in before.tensors}
        previous, state = self.previous, state_of(before, self.previous, self.inputs)
        recording = Recording()
        with launching.recorded(recording):
            result = self.function(*self.given[0], **self.given[1])
        self.previous, self.tries = recording, self.tries + 1
        after = Snapshot(self.roots)
        if before.randomness() != randomness:
            recording.refuse(_RANDOM)
        self.refusal = recording.refusal
        if self.refusal is not None or previous is None:
            return copied(result), None
        why = _changed(before, after) or disagreement(previous, recording)
        if why is not None:
            self.refusal = why if self.tries == TRIES else None
            return copied(result), None
        expected = expected_gradients(recording, grads)
        del grads
        state = touched(state, recording, after)
        lasting, ends = lasting_buffers(recording, previous), ends_of(recording, result)
        self.refusal = unwritten(recording, lasting, ends) or leaked(recording, previous)
        if self.refusal is not None:
            return copied(result), None
        replay = Replay(recording, lasting, after, self.given, self.inputs, bare(result), expected)
        self.refusal = replay.verify(state)
        return copied(result), replay if self.refusal is None else None


_RANDOM = (
    "the step draws from Python's or NumPy's random numbers, as a replay would not; use minidl's Generator, or draw "
    "before the step and pass the numbers in"
)


def _changed(before: Snapshot, after: Snapshot) -> str | None:
    """What the step changed among the objects that it reaches."""
    where = before.difference(after)
    if where is None:
        return None
    return (
        f"the step changes {where or 'what it reaches'}, as a replay, which runs no Python, would not; return the "
        "value and store it outside of the step"
    )
