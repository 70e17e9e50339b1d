"""What a captured step depends on besides its inputs: the Python objects that it reaches, as they were when recorded.

Modules, tensors and optimizers count their own changes (`mutation.structure`); lists, dicts and other objects do not,
so they are looked at before each replay.
"""

import operator
import pickle
import random
from types import CodeType
from typing import Any

import numpy as np

from .. import mutation
from .opaque import MISSING, contents
from .walk import PLAIN, Walk


class Snapshot(Walk):
    """The objects that functions and objects reach, as two snapshots can compare them."""

    def __init__(self, roots: tuple, ran: set[CodeType]):
        self.roots, self.version = roots, mutation.structure()
        super().__init__(roots, ran)

    def again(self) -> "Snapshot":
        """The same as it is now."""
        return Snapshot(self.roots, self.ran)

    def holds(self) -> bool:
        """Whether nothing that must be looked at in each replay has changed."""
        for cell, value in self.cells:
            if contents(cell) is not value:
                return False
        for space, name, value in self.names:
            now = space.get(name, MISSING)
            if now is not value and not _same(now, value):
                return False
        for space, size in self.sizes:
            if len(space) != size:
                return False
        for read, held in self.reads:
            if not _same(read(), held):
                return False
        return all(_unchanged(container, copy) for _, container, copy in self.containers)

    def difference(self, other: "Snapshot") -> str | None:
        """Where another snapshot first differs, or None."""
        for (path, _, mine), (_, _, theirs) in zip(self.containers, other.containers, strict=False):
            if len(theirs) != len(mine):
                return path
        for path, mine, theirs in zip(self.paths, self.parts, other.parts, strict=False):
            if mine != theirs:
                return path
        for (path, _, mine), (_, _, theirs) in zip(self.containers, other.containers, strict=False):
            if not _unchanged(theirs, mine):
                return path
        return None if len(self.parts) == len(other.parts) else (*other.paths, *self.paths)[-1]

    def known(self) -> list[np.ndarray]:
        """All arrays that it came by."""
        return [*self.arrays, *self.loose, *(tensor._array for tensor in self.tensors)]

    def random_states(self) -> list[bytes]:
        """The states of all generators of random numbers that are not minidl's."""
        # NumPy's global generator is the user's, who may draw from it
        states = random.getstate(), np.random.get_state(legacy=False)  # noqa: NPY002
        return [pickle.dumps(s) for s in (*states, *map(_state_of, self.randomness))]


def _state_of(generator: Any) -> Any:
    if isinstance(generator, random.Random):
        return generator.getstate()
    return generator.bit_generator.state if isinstance(generator, np.random.Generator) else generator.get_state()


def _unchanged(container: Any, copy: Any) -> bool:
    if len(container) != len(copy):
        return False
    if isinstance(container, dict):  # in the same order, as code may go through it
        return _alike(container, copy) and _alike(container.values(), copy.values())
    return container == copy if isinstance(container, set | frozenset | bytearray | bytes) else _alike(container, copy)


def _alike(now: Any, then: Any) -> bool:
    return all(map(operator.is_, now, then)) or all(map(_same, now, then))


def _same(now: Any, then: Any) -> bool:
    return now is then or (isinstance(now, PLAIN) and type(now) is type(then) and repr(now) == repr(then))
