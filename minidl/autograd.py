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
from .kernels import recording
from .kernels.launch import launch
from .kernels.layout import copied, dense, empty_like, flat
from .kernels.noted import handed, is_foreign, plain, quiet, shown
from .kernels.pointwise import add
from .kernels.sums import unbroadcast
from .ownership import is_alone
from .tensor import Tensor
from .wrapping import wrap

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
    """One recorded op: its inputs, which of them need a gradient, and its pullback."""

    __slots__ = ("inputs", "name", "needs", "prints", "pullback", "retain", "serial")

    def __init__(self, name: str, inputs: list[Tensor | None], needs: list[bool], pullback: Pullback):
        self.serial = next(mutation.serials)
        self.name = name
        self.inputs = inputs
        self.needs = needs
        self.pullback: Pullback | None = pullback
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
    apply = OPS[function.__name__.strip("_")] = _on_tensors(function)
    return apply


def chain(first: Callable[..., Tensor], second: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Two ops as one: what `first` answers goes through `second`, an op of one input. The tape holds one record."""
    inner, outer = first.__wrapped__, second.__wrapped__  # pyright: ignore[reportFunctionMemberAccess]

    @functools.wraps(inner)
    def both(*arrays: Any, **options: Any) -> tuple[np.ndarray, Pullback]:
        y, pull_inner = inner(*arrays, **options)
        z, pull_outer = outer(y)
        return z, lambda dz: pull_inner(pull_outer(dz))

    return _on_tensors(both)


def _on_tensors(function: Callable[..., tuple[np.ndarray, Pullback | None]]) -> Callable[..., Tensor]:
    name = function.__name__.strip("_")
    names, optional, asks = _signature(function)
    count, foreign = len(names), is_foreign(function)

    @functools.wraps(function)
    def apply(*inputs: Any, **options: Any) -> Tensor:
        if len(inputs) < count:
            inputs += _remaining(name, names, optional, len(inputs), options)
        taped = _state.recording
        tensors, arrays, needs = [], [], []
        for x in inputs:  # plain loops: this runs for every op, where a generator costs as much as a small kernel
            x = x if isinstance(x, Tensor) else wrap(name, x, inputs, len(tensors) in optional)
            tensors.append(x)
            arrays.append(None if x is None else x._array)
            needs.append(x is not None and taped and x._requires_grad)
        if asks:
            options["needs"] = needs
        if recording.active is not None:
            arrays = handed(function, arrays)
        answer, pullback = function(*arrays, **options)
        active = recording.active
        if active is not None:
            active.computed(name, answer)
        result = Tensor(answer if type(answer) is np.ndarray else np.asarray(answer))
        result.share(tensors)
        if pullback is not None and True in needs:
            result.node = Node(name, tensors, needs, quiet(pullback) if foreign else pullback)
            result._requires_grad = result._used = True
        return result

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
    _walk_down(root.node, seed)


def _walk_down(root: Node, seed: np.ndarray) -> None:
    waiting, gradients = [(-root.serial, root)], {root: seed}
    owned: set[Node] = set()  # whose gradient is theirs alone, so that it may be added to in place
    while waiting:
        node = heapq.heappop(waiting)[1]
        dy = gradients.pop(node)
        inputs, parts = _pull(node, dy)
        for place in range(len(parts)):
            if parts[place] is None:
                continue
            tensor: Any = inputs[place]
            source = tensor.node
            if source is None:
                fresh = tensor.grad is None and is_alone(parts, place)  # first: an argument would count
                _add_to_leaf(tensor, parts[place], fresh)
            elif source not in gradients:
                gradients[source] = parts[place]
                heapq.heappush(waiting, (-source.serial, source))
            elif source in owned:
                _add_in_place(gradients[source], parts[place])
            else:
                gradients[source] = _sum(gradients[source], parts[place])
                owned.add(source)


def _seed(root: Tensor, gradient: Any) -> np.ndarray:
    if not root._requires_grad:
        raise ValueError(
            "backward: this tensor needs no gradient: it was computed from tensors without requires_grad=True, under "
            "no_grad(), or by an op without one"
        )
    if gradient is None:
        if root.size != 1:
            raise ValueError(
                f"backward: expected a scalar, got shape {root.shape}; reduce it (mean, sum) or pass backward(gradient)"
            )
        return _ones(root.shape, root.dtype)
    array, own = gradient._array if isinstance(gradient, Tensor) else np.asarray(gradient), root._array
    if array.shape != own.shape:
        raise ValueError(f"backward: expected a gradient of shape {root.shape}, got {array.shape}")
    if array.dtype != own.dtype:
        raise TypeError(f"backward: expected a gradient of dtype {root.dtype}, got {array.dtype}")
    return array


@functools.lru_cache(64)
def _ones(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Ones that nobody may write to, at the same place in every step."""
    ones = np.ones(shape, dtype)
    ones.flags.writeable = False
    return ones


def _pull(node: Node, dy: np.ndarray) -> tuple[list[Tensor | None], list[Any]]:
    """Run one pullback and free the node: its inputs, and the gradient of each that needs one."""
    pullback = node.pullback
    if pullback is None:
        raise ValueError(
            f"backward: the graph behind {node.name} was freed by an earlier backward(); run the forward pass again, "
            "or add the losses and call backward() once"
        )
    mutation.verify(node)
    if node.retain is not None:
        _add_to_leaf(node.retain, dy, fresh=False)
    answer = pullback(dy) if recording.active is None else plain(pullback(*handed(pullback, [dy])))
    inputs = node.inputs
    node.pullback = node.retain = node.prints = None
    node.inputs = []
    parts: list[Any] = list(answer) if isinstance(answer, tuple) else [answer]
    if len(parts) != len(inputs):
        raise ValueError(f"{node.name}: its pullback answered {len(parts)} gradients for {len(inputs)} inputs")
    for place, need in enumerate(node.needs):
        if need:
            active = recording.active
            if active is not None:
                active.computed(f"the gradient of {node.name}", parts[place])
            part, array = parts[place], inputs[place]._array  # pyright: ignore[reportOptionalMemberAccess]
            if part is None or part.shape != array.shape or part.dtype != array.dtype:
                parts[place] = _fit(node.name, place, part, array)
        else:
            parts[place] = None
    return inputs, parts


def _fit(name: str, position: int, part: Any, array: np.ndarray) -> np.ndarray:
    """The gradient summed down to its input's shape where broadcasting stretched it, and checked."""
    if part is None:
        raise ValueError(f"{name}: its pullback answered None for input {position}, which needs a gradient")
    if part.shape != array.shape:
        part = unbroadcast(part, array.shape)
    if part.shape != array.shape or part.dtype != array.dtype:
        raise ValueError(
            f"{name}: its pullback answered a gradient of shape {part.shape} and dtype {part.dtype} for input "
            f"{position} of shape {array.shape} and dtype {array.dtype}"
        )
    return part


def _add_to_leaf(leaf: Tensor, part: np.ndarray, fresh: bool) -> None:
    """A leaf's gradient owns its memory: nothing else reads or writes it."""
    active = recording.active
    if active is not None:
        active.gradient(leaf, leaf.grad)
    if leaf.grad is not None:
        _add_in_place(leaf.grad, part)
    elif fresh:
        leaf.grad = dense(part)
    else:
        leaf.grad = copied(part)
    if recording.active is not None:
        leaf.grad = shown(leaf.grad)


def _sum(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    out = empty_like(x)
    launch(add, out.size, flat(x), flat(y), flat(out))
    return out


def _add_in_place(out: np.ndarray, part: np.ndarray) -> None:
    memory = flat(out)
    launch(add, out.size, memory, flat(part), memory)


Tensor.backward = backward
