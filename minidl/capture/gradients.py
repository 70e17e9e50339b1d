"""The gradients around a recorded step: what it found, what it must find again, and what it left."""

import contextlib
import weakref
from collections.abc import Iterator

import numpy as np

from ..kernels.noted import plain, shown
from ..kernels.recording import Recording
from ..tensor import Tensor

Relied = list[tuple[weakref.ref[Tensor], weakref.ref[np.ndarray]]]


class Gradients:
    """The gradients that tensors have before a step."""

    def __init__(self, tensors: list[Tensor]):
        self.before = {tensor: tensor.grad for tensor in tensors}

    @contextlib.contextmanager
    def noted(self, recording: Recording) -> Iterator[None]:
        """Meanwhile, code that looks at a gradient sees an array that notes what NumPy does to it."""
        seen = {}
        try:
            for tensor, grad in self.before.items():
                if grad is not None:
                    seen[tensor] = tensor.grad = shown(grad)
            yield
        finally:
            for tensor in {**self.before, **recording.leaves}:
                if tensor.grad is not None:
                    tensor.grad = self.before[tensor] if tensor.grad is seen.get(tensor) else plain(tensor.grad)
            for leaf, added_to in recording.leaves.items():
                if added_to is not None and added_to is seen.get(leaf):
                    recording.leaves[leaf] = self.before[leaf]

    def expected(self, recording: Recording) -> list[tuple[Tensor, np.ndarray | None]]:
        """The gradients that the step relied on, so that they must be the same, or missing, in a replay.

        These are those it added to, dropped, or read by kernels, and those it found missing: an optimizer passes over
        their tensors.
        """
        relied = []
        for tensor, grad in {**dict.fromkeys(recording.leaves), **self.before}.items():
            if tensor in recording.leaves:
                counts = grad is None or recording.leaves[tensor] is grad
            else:
                counts = grad is None or tensor.grad is not grad or recording.find(grad) is not None
            if counts:
                relied.append((tensor, grad))
        return relied

    def relied(self, recording: Recording) -> Relied:
        """The same, held weakly."""
        return [
            (weakref.ref(tensor), weakref.ref(grad)) for tensor, grad in self.expected(recording) if grad is not None
        ]

    def left(self, recording: Recording) -> list[tuple[Tensor, np.ndarray | None]]:
        """The gradients that the step made, added to or dropped, as it left them."""
        dropped = [tensor for tensor, grad in self.before.items() if tensor.grad is not grad]
        return [(tensor, tensor.grad) for tensor in dict.fromkeys([*recording.leaves, *dropped])]


def others(then: Relied, now: Relied) -> str | None:
    """Whether two steps in a row relied on other gradients, as a sentence."""
    pairs = [[(tensor(), grad()) for tensor, grad in relied] for relied in (then, now)]
    if len(then) == len(now) and all(
        a is c and b is d and b is not None for (a, b), (c, d) in zip(*pairs, strict=True)
    ):
        return None
    return (
        "the step adds to gradients, or uses some, that are other arrays in the next step; zero them in the step, or "
        "capture what makes them as well"
    )
