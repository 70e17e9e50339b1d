"""Recording a step until two recordings in a row agree."""

import gc
from collections.abc import Callable
from types import CodeType
from typing import Any

import numpy as np

from ..kernels import launch as launching
from ..kernels.layout import copied as copied_by_kernel
from ..kernels.layout import empty
from ..kernels.memory import owner_of
from ..kernels.noted import noted, plain
from ..kernels.recording import Recording
from ..tensor import Tensor
from .agreement import disagreement, lasting_buffers, leaked, outliving, unwritten
from .gradients import Gradients, Relied, others
from .guards import Snapshot
from .names import noting_calls
from .replay import Replay, bare, copied, ends_of, state_of, touched
from .trees import describe, mapped, objects

TRIES = 5  # recordings of one kind until two in a row must agree


class Attempt:
    """The recordings of one kind of call, until two in a row agree."""

    def __init__(self, function: Callable[..., Any], roots: tuple, given: tuple, arrays: list[np.ndarray]):
        self.function, self.roots = function, (*roots, *objects(given))
        self.inputs = [empty(x.shape, x.dtype) for x in arrays]  # of the recordings, into which batches are copied
        buffers = iter(self.inputs)
        self.given = mapped(given, lambda x: x if x._requires_grad else Tensor(next(buffers)), lambda _: next(buffers))
        self.previous: Recording | None = None
        self.answer: Any = None  # what the step returned the last time, but for contents of arrays
        self.found: Snapshot | None = None  # what the step reached after the last recording
        self.ran: set[CodeType] = set()  # the code that ran in it
        self.relied: Relied = []  # the gradients from before it on which the last recording relied
        self.tries = 0
        self.doubt: str | None = None  # what seemed to outlive the step
        self.refusal: str | None = None

    def run(self, arrays: list[np.ndarray]) -> tuple[Any, Replay | None]:
        """Run the step as ever and record it; with a replay, if the recording agrees with the one before."""
        for buffer, x in zip(self.inputs, arrays, strict=True):
            np.copyto(buffer, x)
        before = Snapshot(self.roots, self.ran)
        gradients, outside = Gradients(before.tensors), _changed_outside(self.found, before)
        previous, then = (self.previous, self.answer) if outside is None else (None, None)
        if self.doubt is not None:  # garbage in cycles may have been taken for it
            gc.collect()
        outlived = outliving(previous, before, gradients) if previous is not None else []
        state = state_of(before, previous, self.inputs)
        recording, result, after, known = self._record(before, gradients)
        self.refusal = recording.refusal or self._refused(recording, after, result, arrays)
        relied, self.relied = self.relied, gradients.relied(recording)
        if self.refusal is not None:
            return copied(result), None
        if previous is None or not known:  # code that ran for the first time may use what was not looked at before
            why = outside if known else _OTHER_CODE
        else:
            why = _changed(before, after) or disagreement(previous, recording) or others(relied, self.relied)
            if why is None and then != self.answer:
                why = f"the step returned {then!r:.120} and then {self.answer!r:.120}; return what changes as a tensor"
        if previous is None or why is not None:
            self.refusal = why if self.tries == TRIES else None
            return copied(result), None
        state = touched(state, recording, after)
        lasting, ends = lasting_buffers(recording, previous), ends_of(recording, result)
        doubted, self.doubt = self.doubt, leaked(outlived, recording, previous)
        self.refusal = unwritten(recording, lasting, ends) or (self.doubt if doubted else None)
        if self.refusal is not None or self.doubt is not None:
            return copied(result), None
        replay = Replay(recording, lasting, after, self.inputs, bare(result), gradients)
        self.refusal = replay.verify(state, self.inputs)
        return copied(result), replay if self.refusal is None else None

    def _record(self, before: Snapshot, gradients: Gradients) -> tuple[Recording, Any, Snapshot, bool]:
        """Run the step: its recording, its answer, what it reaches, and whether no code ran for the first time."""
        randomness, recording = before.random_states(), Recording()
        given = mapped(
            self.given, lambda x: x if x._requires_grad else Tensor(x._array), lambda x: noted(x, "an input")
        )
        ran: set[CodeType] = set()
        with launching.recorded(recording), gradients.noted(recording), noting_calls(ran):
            result = self._apart(self.function(*given[0], **given[1]))
        if before.random_states() != randomness:
            recording.refuse(_RANDOM)
        known, self.ran = ran <= self.ran, self.ran | ran
        self.found, self.answer = Snapshot(self.roots, self.ran), describe(bare(result), [])
        self.previous, self.tries = recording, self.tries + 1
        return recording, result, self.found, known

    def _apart(self, result: Any) -> Any:
        """What the step returned, with copies, which are part of it, of what lies in its inputs."""
        owners = {id(owner_of(buffer)) for buffer in self.inputs}

        def apart(array: np.ndarray) -> np.ndarray:
            shared = id(owner_of(array)) in owners or not array.flags.writeable  # as a broadcast array is
            return copied_by_kernel(plain(array)) if shared else plain(array)

        def of_tensor(tensor: Tensor) -> Tensor:
            array = apart(tensor._array)
            return tensor if array is tensor._array else Tensor(array)

        return mapped(result, of_tensor, apart)

    def _refused(self, recording: Recording, after: Snapshot, result: Any, arrays: list[np.ndarray]) -> str | None:
        """What this recording alone says against replaying it."""
        owners = {id(owner_of(array)) for array in (*self.inputs, *arrays)}
        if any(buffer.writers and id(buffer.owner()) in owners for buffer in recording.buffers):
            return "the step changes an input in place, of which it had a copy; pass and change a copy, and return it"
        if after.iterators:
            return (
                f"the step reaches an iterator ({after.iterators[0]}), which a replay, without Python, would not "
                "advance; pass what it yields as inputs"
            )
        for path, array in after.large:
            if recording.find(array) is None:
                return (
                    f"the step reaches an array of {array.nbytes >> 20} MiB ({path}), which no kernel reads: what "
                    "NumPy would read there could have changed before a replay; pass it in, or make it read-only"
                )
        for value in objects(bare(result)):
            if not after.reaches(value):
                return (
                    f"the step returns an object ({type(value).__name__}) in which a replay could put nothing; return "
                    "tensors, alone or in tuples, lists and dicts"
                )
        return None


_OTHER_CODE = "the step runs other code each time: what it does changes from step to step; decide outside of the step"
_RANDOM = (
    "the step draws from Python's or NumPy's random numbers, as a replay would not; use minidl's Generator, or draw "
    "before the step and pass the numbers in"
)


def _changed_outside(found: Snapshot | None, before: Snapshot) -> str | None:
    """What was changed between two recordings among the objects that the step reaches."""
    where = found.difference(before) if found is not None else None
    return None if where is None else f"{where} changes between steps, so that each is another; pass it in as an array"


def _changed(before: Snapshot, after: Snapshot) -> str | None:
    """What the step changed among the objects that it reaches."""
    where = before.difference(after)
    if where is None:
        return None
    return (
        f"the step changes {where or 'what it reaches'}, as a replay, which runs no Python, would not; return the "
        "value and store it outside of the step"
    )
