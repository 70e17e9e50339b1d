"""One recorded step that can run again: its program, what must hold before it runs, and what is put right after it."""

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from .. import mutation
from ..kernels import launch as launching
from ..kernels.program import Program, size_text
from ..kernels.recording import Recording, owner_of
from ..tensor import Tensor
from .gradients import Gradients
from .guards import Snapshot
from .trees import mapped

SMALL = 1 << 20  # bytes of an array that no kernel writes, from which on nobody looks whether something else did
SHORT = 1 << 16  # bytes of an array that Python may read, up to which it is compared before each replay
State = list[tuple[np.ndarray, np.ndarray]]  # arrays, and copies of what they held


class Replay:
    """A recording as a program."""

    def __init__(
        self,
        recording: Recording,
        lasting: list[bool],
        snapshot: Snapshot,
        given: Any,
        inputs: list[np.ndarray],
        result: Any,
        gradients: Gradients,
    ):
        self.snapshot, self.inputs, self.result = snapshot, inputs, result
        self._given = given  # kept alive, as calls are told apart by the ids of objects that are no arrays
        self._changed = list(recording.changed)
        self._left, self._expected = gradients.left(recording), gradients.expected(recording)
        self._read = [  # by Python perhaps, but by no kernel
            (array, array.tobytes())
            for array in snapshot.loose
            if array.nbytes <= SHORT and recording.find(array) is None
        ]
        self._ends = ends_of(recording, result)
        pinned, keep = list(lasting), [b.owner() for b, stays in zip(recording.buffers, lasting, strict=True) if stays]
        for array in self._ends:
            use = recording.find(array)
            if use is not None:
                pinned[use.buffer] = True
            keep.append(owner_of(array))
        self._made = [a for a in self._ends if (use := recording.find(a)) is not None and not lasting[use.buffer]]
        self._written = [  # memory that lasts and that the step changes
            owner
            for b, stays in zip(recording.buffers, lasting, strict=True)
            if stays and b.writers and (owner := b.owner()) is not None
        ]
        self.program = Program(recording, pinned, keep)

    def holds(self) -> bool:
        """Whether all is as it was when the step was recorded, but for the contents of arrays."""
        if mutation.structure() != self.snapshot.version:
            now = Snapshot(self.snapshot.roots)
            if self.snapshot.difference(now) is not None:
                return False
            self.snapshot = now
        elif not self.snapshot.holds():
            return False
        for leaf, grad in self._expected:
            if leaf.grad is not grad:
                return False
        return all(array.tobytes() == then for array, then in self._read)

    def run(self, arrays: list[np.ndarray]) -> Any:
        """Do the step on these inputs; answer what it returns."""
        with launching._sharing:  # two Python threads may do the same step
            for buffer, x in zip(self.inputs, arrays, strict=True):
                np.copyto(buffer, x)
            with self.noting():
                self.program.run()
            return copied(self.result)

    @contextlib.contextmanager
    def noting(self) -> Iterator[None]:
        """Put right, after the program has run, what Python knows of it."""
        try:
            yield
        finally:  # also where it stopped at a wrong label
            mutation.note_changes(self._changed)
        for leaf, grad in self._left:
            leaf.grad = grad

    @contextlib.contextmanager
    def undone(self) -> Iterator[None]:
        """Put back, at the end, what running the program has changed meanwhile."""
        state = [(array, array.copy(order="K")) for array in (*self._written, *self._ends)]
        try:
            yield
        finally:
            for array, copy in state:
                array[...] = copy

    def verify(self, before: State) -> str | None:
        """Do the recorded step again from the state it began with; where the bits differ, or None.

        Afterwards all is as the recorded step left it.
        """
        ends = [(array, array.copy(order="K")) for array in self._ends]
        after = [(array, array.copy(order="K")) for array, _ in before]
        for array, copy in before:
            array[...] = copy
        for array in self._made:  # in which a kernel may leave out elements that NumPy filled in
            array[...] = ~array if array.dtype.kind in "biu" else np.nan
        self.program.run()
        different = [array for array, copy in (*ends, *after) if array.tobytes("A") != copy.tobytes("A")]
        for array, copy in (*ends, *after):
            array[...] = copy
        if not different:
            return None
        return (
            f"a replay differs from the step itself in an array of shape {different[0].shape}: something besides "
            "kernels works on arrays there, such as NumPy in an op between two launches; write it as a kernel"
        )

    @property
    def bytes(self) -> int:
        """Memory of its own: the arena, inputs, gradients and results."""
        own = {id(owner): owner for owner in map(owner_of, (*self.inputs, *self._ends))}
        return self.program.arena_bytes + sum(owner.nbytes for owner in own.values())

    def __repr__(self) -> str:
        rest = self.bytes - self.program.arena_bytes
        return f"{self.program}, {size_text(rest)} of inputs, gradients and results"


def ends_of(recording: Recording, result: Any) -> list[np.ndarray]:
    """The arrays that outlive the step: gradients, and what it returned."""
    ends = [leaf.grad for leaf in recording.leaves if leaf.grad is not None]
    mapped(result, lambda tensor: ends.append(tensor._array), ends.append)
    return ends


def bare(result: Any) -> Any:
    """What a step returned, without the graph behind it."""
    return mapped(result, lambda tensor: Tensor(tensor._array), lambda array: array)


def copied(result: Any) -> Any:
    """What a step returned, with copies of its arrays and without the graph behind them."""
    if type(result) is Tensor:
        return Tensor(result._array.copy(order="K"))
    return mapped(result, lambda tensor: Tensor(tensor._array.copy(order="K")), lambda array: array.copy(order="K"))


def touched(state: State, recording: Recording, snapshot: Snapshot) -> State:
    """The part of a state that the step touched or reaches."""
    owners = {id(buffer.owner()) for buffer in recording.buffers if buffer.owner() is not None}
    owners |= {id(owner_of(array)) for array in snapshot.known()}
    return [(array, copy) for array, copy in state if id(array) in owners]


def state_of(snapshot: Snapshot, previous: Recording | None, inputs: list[np.ndarray]) -> State:
    """Memory that the step may change, with copies: what it reaches, what it wrote the last time, what is small."""
    owners = [owner_of(array) for array in (*inputs, *snapshot.arrays, *(t._array for t in snapshot.tensors))]
    owners += [owner for array in snapshot.loose if (owner := owner_of(array)).nbytes <= SMALL]
    for buffer in previous.buffers if previous is not None else ():
        owner = buffer.owner()
        if owner is not None and (buffer.writers or owner.nbytes <= SMALL):
            owners.append(owner)
    unique = {id(owner): owner for owner in owners if owner.flags.writeable}
    return [(owner, owner.copy(order="K")) for owner in unique.values()]
