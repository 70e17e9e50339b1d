"""The tape: tensors, ops and backward.

An op is one function of arrays that returns its output and a pullback, which maps the gradient of the output to the
gradients of the inputs; what it needs for that are the locals it captures. `@op` makes it a function of tensors: it
unwraps, records and wraps. Nodes carry serial numbers and a node's inputs are older than itself, so walking the numbers
downwards is a topological order, with no recursion. A node is freed as backward passes it. First derivatives only.
"""

import functools
import heapq
import inspect
import threading
from collections.abc import Callable
from contextlib import ContextDecorator
from typing import Any

import numpy as np

from . import mutation
from .kernels.launch import launch
from .kernels.layout import dense, empty_like, flat
from .kernels.pointwise import add
from .tensor import Tensor, wrap

Pullback = Callable[[np.ndarray], Any]
OPS: dict[str, Callable[..., Tensor]] = {}  # every op by its name


class _State(threading.local):
    recording = True


_state = _State()


class no_grad(ContextDecorator):
    """Record nothing inside `with no_grad():`, or inside a function decorated with `@no_grad()`."""

    def __enter__(self) -> None:
        self._before, _state.recording = _state.recording, False

    def __exit__(self, *_: object) -> None:
        _state.recording = self._before

    def _recreate_cm(self) -> "no_grad":
        return no_grad()


class Node:
    """One recorded op: its inputs, its pullback, and, during backward, the gradient gathered so far."""

    __slots__ = ("gradient", "inputs", "name", "needs", "owned", "prints", "pullback", "retain", "serial")

    def __init__(self, name: str, inputs: list[Tensor | None], needs: list[bool], pullback: Pullback):
        self.serial = next(mutation.serials)
        self.name, self.inputs, self.needs = name, inputs, needs
        self.pullback: Pullback | None = pullback
        self.gradient: np.ndarray | None = None
        self.owned = False  # whether `gradient` is this node's alone, so that it may be added to in place
        self.retain: Tensor | None = None
        self.prints: tuple[int | None, ...] | None = None
        for tensor in inputs:
            if tensor is not None:
                root = tensor if tensor._base is None else tensor._base
                root._used = True
                if root._exposed and self.prints is None:
                    self.prints = mutation.fingerprints(inputs)


def op(function: Callable[..., tuple[np.ndarray, Pullback | None]]) -> Callable[..., Tensor]:
    """Make a function of arrays that returns `(output, pullback)` an op on tensors, recorded for backward.

    Positional parameters are inputs: tensors, arrays or numbers outside, arrays inside (`None` stays `None`).
    Parameters after `*` are options and come through as they are; one named `needs` is filled in by the engine: a list
    that says which inputs need a gradient. `pullback(dy)` answers one gradient, or a tuple of one for each input
    (`None` where none is needed): fresh arrays, or `dy` itself. The engine undoes broadcasting and checks shapes and
    dtypes. A pullback of `None` says that the output has no gradient.

    >>> @op
    ... def cube(x):
    ...     return x**3, lambda dy: 3 * x**2 * dy
    """
    name = function.__name__.strip("_")
    names, optional, asks = _signature(function)

    @functools.wraps(function)
    def apply(*inputs: Any, **options: Any) -> Tensor:
        if len(inputs) < len(names):
            inputs += _remaining(name, names, optional, len(inputs), options)
        recording = _state.recording
        tensors, arrays, needs = [], [], []
        for x in inputs:  # plain loops: this runs for every op, where a generator costs as much as a small kernel
            x = x if isinstance(x, Tensor) else wrap(name, x, inputs, len(tensors) in optional)
            tensors.append(x)
            arrays.append(None if x is None else x._array)
            needs.append(x is not None and recording and x._requires_grad)
        if asks:
            options["needs"] = needs
        answer, pullback = function(*arrays, **options)
        result = Tensor(np.asarray(answer))
        result.share(tensors)
        if pullback is not None and True in needs:
            result.node = Node(name, tensors, needs, pullback)
            result._requires_grad = result._used = True
        return result

    OPS[name] = apply
    return apply


def _signature(function: Callable) -> tuple[list[str], set[int], bool]:
    """The names of the inputs, the places of those that may be None, and whether `needs` is asked for."""
    parameters = inspect.signature(function).parameters.values()
    inputs = [p for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    asks = any(p.name == "needs" and p.kind is p.KEYWORD_ONLY for p in parameters)
    return [p.name for p in inputs], {i for i, p in enumerate(inputs) if p.default is None}, asks


def _remaining(name: str, names: list[str], optional: set[int], given: int, options: dict[str, Any]) -> tuple:
    """The inputs after the first `given` ones: given by keyword, or left out."""
    for place in range(given, len(names)):
        if place not in optional and names[place] not in options:
            raise TypeError(f"{name}: expected {', '.join(names)}, got no {names[place]}")
    return tuple(options.pop(n, None) for n in names[given:])


def backward(root: Tensor, gradient: Any = None) -> None:
    """Add d(root)/d(leaf) to the `.grad` of every leaf that `root` was computed from, and free the graph.

    Raises:
        ValueError: `root` needs no gradient, or is not a scalar and no `gradient` is given, or `gradient` has another
            shape, or the graph was freed by an earlier backward, or an array it needs was changed in place.
        TypeError: `gradient` has another dtype.
    """
    seed = _seed(root, gradient)
    if root.node is None:
        _add_to_leaf(root, seed, fresh=False)
        return
    mutation.verify_output(root, root.node)
    root.node.gradient, root.node.owned = seed, False
    with np.errstate(all="ignore"):  # a diverging run shows NaN, as it does in compiled kernels, and no warnings
        _walk_down(root.node)


def _walk_down(root: Node) -> None:
    waiting, nodes = [-root.serial], {root.serial: root}
    while waiting:
        node = nodes.pop(-heapq.heappop(waiting))
        for tensor, part, fresh in _pull(node):
            source = tensor.node
            if source is None:
                _add_to_leaf(tensor, part, fresh)
                continue
            if source.serial not in nodes:
                nodes[source.serial] = source
                heapq.heappush(waiting, -source.serial)
            _add_to_node(source, part)


def _seed(root: Tensor, gradient: Any) -> np.ndarray:
    if not root.requires_grad:
        raise ValueError(
            "backward: this tensor needs no gradient: it was computed from tensors without requires_grad=True, under "
            "no_grad(), or by an op without one"
        )
    if gradient is None:
        if root.size != 1:
            raise ValueError(
                f"backward: expected a scalar, got shape {root.shape}; reduce it (mean, sum) or pass backward(gradient)"
            )
        return np.ones(root.shape, root.dtype)
    array = gradient._array if isinstance(gradient, Tensor) else np.asarray(gradient)
    if array.shape != root.shape:
        raise ValueError(f"backward: expected a gradient of shape {root.shape}, got {array.shape}")
    if array.dtype != root.dtype:
        raise TypeError(f"backward: expected a gradient of dtype {root.dtype}, got {array.dtype}")
    return array


def _pull(node: Node) -> list[tuple[Tensor, np.ndarray, bool]]:
    """Run one pullback and free the node: (input, its gradient, whether nothing else holds that array)."""
    dy, pullback = node.gradient, node.pullback
    if pullback is None or dy is None:
        raise ValueError(
            f"backward: the graph behind {node.name} was freed by an earlier backward(); run the forward pass again, "
            "or add the losses and call backward() once"
        )
    mutation.verify(node)
    if node.retain is not None:
        _add_to_leaf(node.retain, dy, fresh=False)
    parts = pullback(dy)
    inputs, needs = node.inputs, node.needs
    node.pullback = node.gradient = node.retain = node.prints = None
    node.inputs = []
    parts = parts if isinstance(parts, tuple) else (parts,)
    if len(parts) != len(inputs):
        raise ValueError(f"{node.name}: its pullback answered {len(parts)} gradients for {len(inputs)} inputs")
    pulled = []
    for position, (tensor, part, need) in enumerate(zip(inputs, parts, needs, strict=True)):
        if need and tensor is not None:
            part = _fit(node.name, position, part, tensor)
            fresh = tensor.node is None and _is_fresh(part, dy, inputs, pulled)
            pulled.append((tensor, part, fresh))
    return pulled


def _is_fresh(part: np.ndarray, dy: np.ndarray, inputs: list[Tensor | None], pulled: list) -> bool:
    """Whether a gradient lies in memory that nobody else holds, so that a leaf may keep it without a copy."""
    held = [dy, *(t._array for t in inputs if t is not None), *(other for _, other, _ in pulled)]
    return not any(np.may_share_memory(part, array) for array in held)


def _fit(name: str, position: int, part: Any, tensor: Tensor) -> np.ndarray:
    """The gradient summed down to its input's shape where broadcasting stretched it, and checked."""
    if part is None:
        raise ValueError(f"{name}: its pullback answered None for input {position}, which needs a gradient")
    if part.shape != tensor.shape:
        part = unbroadcast(part, tensor.shape)
    if part.shape != tensor.shape or part.dtype != tensor.dtype:
        raise ValueError(
            f"{name}: its pullback answered a gradient of shape {part.shape} and dtype {part.dtype} for input "
            f"{position} of shape {tensor.shape} and dtype {tensor.dtype}"
        )
    return part


def unbroadcast(gradient: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Sum `gradient` over the axes along which an input of `shape` was stretched."""
    extra = gradient.ndim - len(shape)
    stretched = [d for d, extent in enumerate(shape) if extent == 1 and gradient.shape[d + extra] != 1]
    axes = (*range(extra), *(d + extra for d in stretched))
    summed = gradient.sum(axis=axes, keepdims=True) if axes else gradient
    return summed.reshape(shape) if summed.size == np.prod(shape, dtype=int) else summed


def _add_to_node(node: Node, part: np.ndarray) -> None:
    if node.gradient is None:
        node.gradient, node.owned = part, False
    elif node.owned:
        _add_in_place(node.gradient, part)
    else:
        node.gradient, node.owned = _sum(node.gradient, part), True


def _add_to_leaf(leaf: Tensor, part: np.ndarray, fresh: bool) -> None:
    """A leaf's gradient owns its memory: nothing else reads or writes it."""
    if leaf.grad is not None:
        _add_in_place(leaf.grad, part)
    elif fresh:
        leaf.grad = dense(part)
    else:
        leaf.grad = empty_like(part)
        leaf.grad[...] = part


def _sum(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    out = empty_like(x)
    launch(add, out.size, flat(dense(x)), flat(dense(y)), flat(out))
    return out


def _add_in_place(out: np.ndarray, part: np.ndarray) -> None:
    memory = flat(out)
    launch(add, out.size, memory, flat(dense(part)), memory)


Tensor.backward = backward
