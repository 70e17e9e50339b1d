"""One recorded step that can run again: its program, what must hold before it runs, and what is put right after it."""

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from .. import mutation
from ..kernels import launch as launching
from ..kernels.layout import dense, give_freed_memory_back
from ..kernels.memory import owner_of
from ..kernels.program import KEPT, STAYS, TEMPORARY, Program
from ..kernels.recording import Recording
from ..tensor import Tensor
from .gradients import Gradients
from .guards import Snapshot
from .trees import mapped
from .walk import SMALL

State = list[tuple[np.ndarray, np.ndarray]]  # arrays, and copies of what they held


class Replay:
    """A recording as a program."""

    def __init__(
        self,
        recording: Recording,
        lasting: list[bool],
        snapshot: Snapshot,
        inputs: list[np.ndarray],
        result: Any,
        gradients: Gradients,
    ):
        self.snapshot, self.result = snapshot, result
        self.kinds = [(x.shape, x.dtype) for x in inputs]
        self._changed = list(recording.changed)
        self._expected = gradients.expected(recording)
        self._read = [  # by Python perhaps, but by no kernel
            (array, array.tobytes())
            for array in snapshot.loose
            if array.nbytes <= SMALL and recording.find(array) is None
        ]
        owners = [b.owner() for b in recording.buffers]
        self._written = [  # memory that lasts and that the step changes
            owner
            for b, owner, lasts in zip(recording.buffers, owners, lasting, strict=True)
            if lasts and b.writers and owner is not None
        ]
        self._lay_out(recording, lasting, inputs, gradients)

    def _lay_out(
        self, recording: Recording, lasting: list[bool], inputs: list[np.ndarray], gradients: Gradients
    ) -> None:
        """Make the program: gradients move into its arena, what the step returned stays where it is."""
        homes = [STAYS if lasts else TEMPORARY for lasts in lasting]
        left = gradients.left(recording)
        for grad in (grad for _, grad in left if grad is not None):
            use = recording.find(grad)
            if use is not None and homes[use.buffer] == TEMPORARY:
                homes[use.buffer] = KEPT
        self._results = results_of(self.result)
        for array in self._results:
            use = recording.find(array)
            if use is not None:
                homes[use.buffer] = STAYS
        alive = [b.owner() for b, home in zip(recording.buffers, homes, strict=True) if home == STAYS]
        give_freed_memory_back()  # the arena takes the place of what the steps so far allocated
        self.program = Program(recording, homes, alive, inputs)
        self._left = [(leaf, grad if grad is None else self.program.placed(recording, grad)) for leaf, grad in left]
        self._recorded = [grad for _, grad in left if grad is not None]
        self._made = [grad for _, grad in self._left if grad is not None]
        self._dropped = [
            leaf
            for leaf, grad in left
            if grad is not None and (use := recording.find(grad)) is not None and homes[use.buffer] == KEPT
        ]
        fresh = [use is not None and not lasting[use.buffer] for use in map(recording.find, self._results)]
        self._new = [array for array, new in zip(self._results, fresh, strict=True) if new]

    def holds(self) -> bool:
        """Whether all is as it was when the step was recorded, but for the contents of arrays."""
        if mutation.structure() != self.snapshot.version:
            now = self.snapshot.again()
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
            try:
                self.program.run([_ready(x) for x in arrays])
            except BaseException:
                self.note(whole=False)
                raise
            self.note()
            return copied(self.result)

    def note(self, whole: bool = True) -> None:
        """Put right, after the program has run, what Python knows of it; where a check stopped it, it is not whole."""
        mutation.note_changes(self._changed)
        if whole:
            for leaf, grad in self._left:
                leaf.grad = grad
        else:
            for leaf in self._dropped:  # their memory served for other things meanwhile
                leaf.grad = None

    @contextlib.contextmanager
    def undone(self) -> Iterator[None]:
        """Put back, at the end, what running the program has changed meanwhile."""
        state = [(array, array.copy(order="K")) for array in (*self._written, *self._results, *self._made)]
        try:
            yield
        finally:
            for array, copy in state:
                if array.flags.writeable:
                    array[...] = copy

    def verify(self, before: State, inputs: list[np.ndarray]) -> str | None:
        """Do the recorded step again from the state it began with; where the bits differ, or None.

        Afterwards all is as the recorded step left it.
        """
        after = [(array, array.copy(order="K")) for array in (*self._results, *(array for array, _ in before))]
        left = [grad.copy(order="K") for grad in self._recorded]
        for array, copy in before:
            array[...] = copy
        for array in self._new:  # in which a kernel may leave out elements that NumPy filled in
            array[...] = ~array if array.dtype.kind in "biu" else np.nan
        self.program.run(inputs)
        found = [*after, *zip(self._made, left, strict=True)]
        different = [array for array, copy in found if array.tobytes("A") != copy.tobytes("A")]
        for array, copy in after:
            array[...] = copy
        if not different:
            self.note()
            return None
        return (
            f"a replay differs from the step itself in an array of shape {different[0].shape}: something besides "
            "kernels works on arrays there, such as NumPy in an op between two launches; write it as a kernel"
        )

    @property
    def bytes(self) -> int:
        """Memory of its own: the arena, and what the step returns."""
        return self.program.arena_bytes + sum(array.nbytes for array in self._new)

    def __repr__(self) -> str:
        return repr(self.program)


def ends_of(recording: Recording, result: Any) -> list[np.ndarray]:
    """The arrays that outlive the step: gradients, and what it returned."""
    return [leaf.grad for leaf in recording.leaves if leaf.grad is not None] + results_of(result)


def results_of(result: Any) -> list[np.ndarray]:
    """The arrays of what a step returned."""
    results: list[np.ndarray] = []
    mapped(result, lambda tensor: results.append(tensor._array), results.append)
    return results


def _ready(x: np.ndarray) -> np.ndarray:
    """An input as kernels read it: in canonical order, aligned to its elements, and not a gradient in an arena."""
    x = dense(x)
    flags = x.flags
    return x if flags.aligned and (flags.owndata or owner_of(x).base is None) else x.copy(order="K")


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
