"""A primitive as programs to be timed, the same for minidl and for PyTorch, which share names and arguments."""

import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np

from .primitives import BACKWARD, BOTH, FORWARD, INPUT, STEP, WEIGHT, Primitive

WARM_UP = 0.25  # of a turn: wakes the threads, fills the caches
LEAST_RUNS = 3
NEEDS = {  # whether a form asks for the gradients of the input and of the parameters
    FORWARD: (False, False),
    INPUT: (True, False),
    WEIGHT: (False, True),
    BACKWARD: (True, True),
    BOTH: (True, True),
}


class Library(Protocol):
    """What minidl and PyTorch have in common."""

    nn: Any
    optim: Any

    def tensor(self, array: np.ndarray) -> Any:
        """A tensor of these numbers, in the memory order that is measured."""
        ...

    def place(self, layer: Any) -> None:
        """Bring a layer's parameters into the memory order that is measured."""
        ...


class Program(NamedTuple):
    """`run` is timed, `prepare` before it is not; `results` are numbers that two libraries must agree on."""

    prepare: Callable[[], Any]
    run: Callable[[], Any]
    results: Callable[[], list[float]]


def time_of(program: Program, seconds: float) -> float:
    """The median time of a run, over a turn of about so many seconds."""
    return median_of(lambda: _once(program), seconds)


def median_of(once: Callable[[], float], seconds: float) -> float:
    """The median of the times that `once` answers, over a turn of about so many seconds, in which it warms up first."""
    begun, times = time.perf_counter(), []
    while not times or time.perf_counter() < begun + WARM_UP * seconds:
        times.append(once())
    times.clear()
    while len(times) < LEAST_RUNS or time.perf_counter() < begun + seconds:
        times.append(once())
    return statistics.median(times)


def _once(program: Program) -> float:
    program.prepare()
    start = time.perf_counter()
    out = program.run()
    end = time.perf_counter()
    del out
    return end - start


def programs_of(library: Library, primitive: Primitive) -> dict[str, Program]:
    """A program for each form of the primitive."""
    if primitive.layer == "SGD":
        return {STEP: _update(library, primitive)}
    return {form: _layer(library, primitive, form) for form in primitive.work}


def _layer(library: Library, primitive: Primitive, form: str) -> Program:
    rng = np.random.default_rng(0)
    layer = getattr(library.nn, primitive.layer)(*primitive.arguments, **dict(primitive.options))
    library.place(layer)
    state = layer.state_dict()
    state |= {name: library.tensor(_normal(rng, tuple(p.shape)) / 10) for name, p in layer.named_parameters()}
    layer.load_state_dict(state)
    x, others = library.tensor(_normal(rng, primitive.shape)), []
    if primitive.layer == "CrossEntropyLoss":
        others.append(library.tensor(rng.integers(0, primitive.shape[1], primitive.shape[0])))
    parameters = list(layer.parameters())
    upstream = [library.tensor(_normal(rng, tuple(layer(x).shape)))] if not others else []
    x.requires_grad = NEEDS[form][0]
    for parameter in parameters:
        parameter.requires_grad = NEEDS[form][1]
    leaves, graph = [leaf for leaf in (x, *parameters) if leaf.requires_grad], []

    def clear() -> None:
        for leaf in leaves:
            leaf.grad = None

    def prepare() -> None:
        clear()
        graph[:] = [layer(x, *others)]

    def results() -> list[float]:
        if primitive.layer == "Dropout":  # of random numbers of each library's own
            return []
        prepare()
        found = [graph[0].detach()]
        if leaves:
            graph[0].backward(*upstream)
        return [_size(array) for array in (*found, *(leaf.grad for leaf in leaves))]

    if form == FORWARD:
        return Program(lambda: None, lambda: layer(x, *others), results)
    if form == BOTH:
        return Program(clear, lambda: layer(x, *others).backward(*upstream), results)
    return Program(prepare, lambda: graph[0].backward(*upstream), results)


def _update(library: Library, primitive: Primitive) -> Program:
    """A step of an optimizer over one parameter."""
    rng = np.random.default_rng(0)
    parameter = library.nn.Parameter(library.tensor(_normal(rng, primitive.shape)))
    optimizer = getattr(library.optim, primitive.layer)([parameter], **dict(primitive.options))
    layer = library.nn.Linear(primitive.shape[1], primitive.shape[0], bias=False)
    layer.weight = parameter
    layer(library.tensor(_normal(rng, (1, primitive.shape[1])))).backward(
        library.tensor(_normal(rng, (1, primitive.shape[0])))
    )
    optimizer.step()
    return Program(lambda: None, optimizer.step, lambda: [_size(parameter.grad)])


def _normal(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return rng.standard_normal(shape, np.float32)


def _size(array: Any) -> float:
    return float(np.abs(np.asarray(array), dtype=np.float64).mean())
