"""Whole training steps, kernel by kernel and captured: how long they take, and how much memory they hold."""

import time
import tracemalloc
from collections.abc import Callable
from statistics import median
from typing import Any, NamedTuple

import numpy as np

import minidl
from minidl import Tensor, nn, optim, tensor

from .networks import cnn, mlp

NETWORKS: dict[str, tuple[Callable[[], Any], tuple[int, ...]]] = {
    "MLP, batch norm, 60 images": (lambda: mlp("batch", "sigmoid", 0), (60, 1, 28, 28)),
    "MLP, layer norm, 60 images": (lambda: mlp("layer", "sigmoid", 0), (60, 1, 28, 28)),
    "CNN, batch norm, 60 images": (lambda: cnn("batch", "relu", 0), (60, 1, 28, 28)),
}
HEAD = ("training step", "eager, us", "captured, us", "ratio", "eager's peak, KiB", "captured, KiB", "ratio")


class Step(NamedTuple):
    """Seconds of a step, and bytes: the most held at once when it calls kernel by kernel, and what a program holds."""

    name: str
    eager: float
    captured: float
    eager_bytes: int
    captured_bytes: int


def measure_steps(rounds: int, seconds: float) -> list[Step]:
    """Measure each network, the two ways in turn."""
    return [_measure(name, make, shape, rounds, seconds) for name, (make, shape) in NETWORKS.items()]


def _measure(name: str, make: Callable[[], Any], shape: tuple[int, ...], rounds: int, seconds: float) -> Step:
    rng = np.random.default_rng(0)
    batch = tensor(rng.standard_normal(shape).astype(np.float32)), tensor(rng.integers(0, 10, shape[0]))
    (eager, forget), captured = _step_of(make()), minidl.capture(_step_of(make())[0])
    for step in (eager, captured):
        for _ in range(4):
            step(*batch)
    times: tuple[list[float], list[float]] = [], []
    for _ in range(rounds):
        for step, several in zip((eager, captured), times, strict=True):
            several.append(_time(step, batch, seconds))
    return Step(name, median(times[0]), median(times[1]), _peak(eager, forget, batch), captured.bytes)


def _step_of(model: nn.Module) -> tuple[Callable[..., Tensor], Callable[[], None]]:
    """A training step, and the function that forgets its gradients."""
    optimizer, loss_of = optim.SGD(model.parameters(), lr=0.01, momentum=0.9), nn.CrossEntropyLoss()

    def step(x: Tensor, y: Tensor) -> Tensor:
        optimizer.zero_grad()
        loss = loss_of(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return step, optimizer.zero_grad


def _time(step: Callable[..., Any], batch: tuple, seconds: float) -> float:
    """The median of single steps for about so many seconds."""
    times, end = [], time.perf_counter() + seconds
    while not times or time.perf_counter() < end:
        begun = time.perf_counter()
        step(*batch)
        times.append(time.perf_counter() - begun)
    return median(times)


def _peak(step: Callable[..., Any], forget: Callable[[], None], batch: tuple) -> int:
    """Bytes that a step allocates and holds at most at once, its gradients and its loss among them."""
    forget()
    tracemalloc.start()
    try:
        step(*batch)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def text(steps: list[Step]) -> str:
    """The measurements as a table."""
    rows = [HEAD] + [
        (
            step.name,
            f"{step.eager * 1e6:.0f}",
            f"{step.captured * 1e6:.0f}",
            f"{step.captured / step.eager:.2f}",
            f"{step.eager_bytes / 1024:,.0f}",
            f"{step.captured_bytes / 1024:,.0f}",
            f"{step.captured_bytes / step.eager_bytes:.2f}",
        )
        for step in steps
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])
