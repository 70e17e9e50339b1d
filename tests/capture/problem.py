"""A small problem, and how tests run it twice: as a plain function, and captured."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import minidl
from minidl import Tensor, nn, optim, random, tensor
from minidl.capture.attempt import Attempt
from minidl.capture.replay import Replay

FEATURES, CLASSES, ROWS = 5, 3, 16


def batches(count: int, rows: int = ROWS, dtype: Any = np.float32, seed: int = 0) -> list[tuple[Tensor, Tensor]]:
    """Random batches, each another."""
    rng = np.random.default_rng(seed)
    shape = rows, FEATURES
    return [
        (tensor(rng.standard_normal(shape).astype(dtype)), tensor(rng.integers(0, CLASSES, rows))) for _ in range(count)
    ]


class Problem:
    """A network with batch normalization, its optimizer and loss; `step` trains it."""

    def __init__(self, model: nn.Module | None = None, **options: Any):
        layers = nn.Linear(FEATURES, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, CLASSES)
        self.model = nn.Sequential(*layers) if model is None else model
        self.optimizer = optim.SGD(self.model.parameters(), **{"lr": 0.1, "momentum": 0.9, **options})
        self.loss_of = nn.CrossEntropyLoss()
        self.losses: list[Any] = []

    def step(self, x: Any, y: Any) -> Tensor:
        """Train on one batch."""
        model, optimizer, loss_of = self.model, self.optimizer, self.loss_of
        optimizer.zero_grad()
        loss = loss_of(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    def train(self, step: Callable[..., Any], count: int, seed: int = 0, **options: Any) -> None:
        """Do steps and keep what they answer."""
        for x, y in batches(count, seed=seed, **options):
            self.losses.append(step(x, y))

    def all(self) -> list[Any]:
        """Everything that training changes."""
        return [self.losses, self.model, self.optimizer]


def forward_and_back(problem: Problem) -> Callable[[Any, Any], Tensor]:
    """A step that only adds to gradients."""

    def step(x: Any, y: Any) -> Tensor:
        loss = problem.loss_of(problem.model(x), y)
        loss.backward()
        return loss

    return step


def bits(value: Any) -> Any:
    """All numbers in something, as bytes: weights, buffers, gradients, velocities, states."""
    if isinstance(value, nn.Module):
        grads = [parameter.grad for parameter in value.parameters()]
        return bits(value.state_dict()), bits(grads)
    if isinstance(value, optim.Optimizer):
        return bits(value.state_dict())
    if isinstance(value, Tensor):
        return bits(value._array)
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, np.ascontiguousarray(value).tobytes()
    if isinstance(value, dict):
        return {key: bits(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return type(value), [bits(part) for part in value]
    return type(value), repr(value)


class Count:
    """How many steps were recorded and how many replayed."""

    def __init__(self) -> None:
        self.recordings = self.replays = 0


@contextlib.contextmanager
def counted() -> Iterator[Count]:
    """Count recordings and replays meanwhile."""
    count, record, replay = Count(), Attempt.run, Replay.run

    def recorded(self: Attempt, *arguments: Any) -> Any:
        count.recordings += 1
        return record(self, *arguments)

    def replayed(self: Replay, *arguments: Any) -> Any:
        count.replays += 1
        return replay(self, *arguments)

    Attempt.run, Replay.run = recorded, replayed
    try:
        yield count
    finally:
        Attempt.run, Replay.run = record, replay


def same(scenario: Callable[[Callable], Any], replays: int, recordings: int | None = None) -> None:
    """Hold that a scenario, a function of what to make of a step, has the same bits with captured steps.

    At least so many of its steps must be replays; and so many recordings, where that is said.
    """
    minidl.manual_seed(7)
    expected = bits(scenario(lambda step: step)), random.default_generator.state
    minidl.manual_seed(7)
    with counted() as count:
        got = bits(scenario(minidl.capture)), random.default_generator.state
    assert got == expected
    assert count.replays >= replays
    assert recordings in (None, count.recordings)


def refusal(step: Callable[..., Any], given: Any = None, calls: int = 8) -> str:
    """Why a step is not captured: what one of its first calls raises."""
    captured = minidl.capture(step)
    for arguments in batches(calls) if given is None else given:
        try:
            captured(*arguments)
        except ValueError as error:
            return str(error)
    raise AssertionError(f"it was captured: {captured}")
