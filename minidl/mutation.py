"""Finding out that an array which backward still needs was changed in place.

A change through minidl (an optimizer's step, `load_state_dict`, `x[i] = ...`, `x.data -= ...`) is noted on the tensor.
A change through an ndarray is only possible where the user holds the ndarray: such memory is *exposed* (its `.data` was
read, or it came in as an ndarray), and its fingerprint is taken when an op uses it and compared in backward. Memory
that never left minidl costs nothing.

Changes of *structure* are counted too: of what a step is made of rather than of numbers that it computes with, such as
a layer's attribute, a parameter's array exchanged for another, an optimizer's parameters. A captured step looks at the
count to know that nothing of the kind happened since it was recorded.
"""

import contextlib
import functools
import itertools
from collections.abc import Callable
from types import FunctionType
from typing import TYPE_CHECKING, Any

import numpy as np

from .kernels import recording
from .kernels.launch import launch
from .kernels.layout import flat
from .kernels.pointwise import word_sums

if TYPE_CHECKING:
    from .autograd import Node, Tensor

serials = itertools.count(1)  # one count for recorded ops, changes and exposures: it says which came first
_BLOCK = 4096  # words; place * word then fits 64 bits without wrapping
_latest = 0  # serial of the latest change or exposure
_structure = 0  # serial of the latest change of structure


def fingerprint(array: np.ndarray) -> int:
    """A number that changes when an element of the array does; 0 while a step is recorded, which reads no `.data`."""
    active = recording.active
    if active is not None and active.mine:
        return 0
    memory = flat(array)
    if memory.nbytes % 4:
        return hash(memory.tobytes())
    words = memory.view(np.uint32)
    out = np.empty(-(-words.size // _BLOCK), np.uint64)
    launch(word_sums, out.size, words, out, _BLOCK, work=words.size)
    return hash(out.tobytes())


def root_of(tensor: "Tensor") -> "Tensor":
    """The tensor whose memory this one shows: a view's first ancestor, or the tensor itself."""
    return tensor if tensor._base is None else tensor._base


def note_change(tensor: "Tensor") -> None:
    """Note that the tensor's array is changed in place."""
    global _latest
    root = tensor if tensor._base is None else tensor._base
    root._changed = now = next(serials)
    if root._used:  # else no recorded op can need it, as none does running statistics
        _latest = now
    active = recording.active
    if active is not None and active.mine:
        active.changed[root] = None


def note_changes(roots: "list[Tensor]") -> None:
    """Note that the arrays of these tensors, no views, were changed in place."""
    global _latest
    _latest = now = next(serials)
    for root in roots:
        root._changed = now


def note_structure() -> None:
    """Note that modules, tensors or optimizers are made of other parts, or take another course, than before."""
    global _structure
    _structure = next(serials)


def structure() -> int:
    """A number that changes with each change of structure."""
    return _structure


class Watched(dict):
    """A dict whose every change counts as one of structure."""

    def _changed(self) -> None:
        note_structure()


def _watched(change: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(change)
    def method(self: Watched, *arguments: Any, **named: Any) -> Any:
        answer = change(self, *arguments, **named)
        self._changed()
        return answer

    return method


for _name in ("__setitem__", "__delitem__", "__ior__", "update", "setdefault", "pop", "popitem", "clear"):
    setattr(Watched, _name, _watched(getattr(dict, _name)))


def expose(tensor: "Tensor") -> None:
    """Note that from now on the array may be changed behind minidl's back."""
    global _latest
    root = root_of(tensor)
    if not root._exposed:
        root._exposed = True
        _latest = next(serials)
        if root._used:
            root._fingerprint = fingerprint(root._array)


def fingerprints(inputs: list["Tensor | None"]) -> tuple[int | None, ...]:
    """Of each input that is exposed, as an op is recorded."""
    return tuple(None if t is None or not root_of(t)._exposed else fingerprint(root_of(t)._array) for t in inputs)


def verify(node: "Node") -> None:
    """Refuse to run a pullback whose captured arrays were changed since they were captured.

    Raises:
        ValueError: one was.
    """
    if node.prints is None and _latest < node.serial:
        return
    for position, tensor in enumerate(node.inputs):
        if tensor is None:
            continue
        root = tensor if tensor._base is None else tensor._base
        if root._changed > node.serial or root._exposed:
            then = node.prints[position] if node.prints is not None else None
            source = tensor.node.pullback if tensor.node is not None else None
            _refuse_if_changed(node, root, then, (node.pullback, source), f"input {position}")


def verify_output(tensor: "Tensor", node: "Node") -> None:
    """Refuse to start from an output that was changed since and that its own pullback needs.

    Raises:
        ValueError: it was.
    """
    if _latest > node.serial:
        _refuse_if_changed(node, root_of(tensor), None, (node.pullback,), "its output")


def _refuse_if_changed(node: "Node", root: "Tensor", then: int | None, holders: tuple, what: str) -> None:
    changed = root._changed > node.serial
    if not changed and root._exposed:
        then = root._fingerprint if then is None else then
        changed = then is not None and fingerprint(root._array) != then
    if changed and any(_captures(holder, root._array) for holder in holders):
        raise ValueError(
            f"backward: an array that the gradient of {node.name} needs was changed in place after use: {what}, of "
            f"shape {root.shape}; call backward() before changing it, or change a copy"
        )


def _locals_of(function: FunctionType) -> list[Any]:
    """What a function captured; a local that was never assigned has no contents."""
    captured = []
    for cell in function.__closure__ or ():
        with contextlib.suppress(ValueError):
            captured.append(cell.cell_contents)
    return captured


def _captures(value: Any, array: np.ndarray) -> bool:
    """Whether a pullback can still read the array: what it needs are its captured locals."""
    if isinstance(value, FunctionType):
        return any(_captures(v, array) for v in (*_locals_of(value), *(value.__defaults__ or ())))
    if isinstance(value, np.ndarray):
        return np.may_share_memory(value, array)
    if isinstance(value, list | tuple):
        return any(_captures(v, array) for v in value)
    return not isinstance(value, int | float | str | bool | np.generic | np.dtype | slice | type(None) | type)
