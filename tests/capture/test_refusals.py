"""What a replay could not repeat is refused: an error that names it and says what to do instead."""

import functools
import itertools
import queue
import random
import threading
import time
from collections import deque, namedtuple
from types import SimpleNamespace

import numpy as np
import pytest

import minidl
from minidl import nn, optim, tensor

from .problem import CLASSES, FEATURES, Problem, batches, refusal

COUNT = 0
SEEN = np.zeros(1)
LATEST = SimpleNamespace(loss=None)


def clip_gradients(p):
    for parameter in p.model.parameters():
        if np.linalg.norm(parameter.grad) > 1e6:
            parameter.grad *= 0.5


def count_globally(p):
    global COUNT
    COUNT += 1


def count_in_array(p):
    SEEN[0] += 1


def read_loss(how):
    """A step that reads the loss in Python and answers something else."""

    def step(p, x, y):
        loss = p.loss_of(p.model(x), y)
        how(loss)
        return loss

    return step


READINGS = {
    "item": lambda loss: loss.item(),
    "float": lambda loss: float(loss),
    "int": lambda loss: int(loss),
    "bool": lambda loss: bool(loss),
    "comparison": lambda loss: 1 if loss < 1e6 else 2,
    "format": lambda loss: f"{loss:.3f}",
    "print": lambda loss: repr(loss),
    "tolist": lambda loss: loss.tolist(),
    "numpy": lambda loss: loss.numpy(),
    "asarray": lambda loss: np.asarray(loss),
    "data": lambda loss: loss.data,
    "index": lambda loss: [0] * 1000 and range(5)[loss.to("int64")],
}


@pytest.mark.parametrize("reading", READINGS)
def test_reading_a_value(reading):
    p, step = Problem(), read_loss(READINGS[reading])
    assert "reads a tensor's values in Python" in refusal(lambda x, y: step(p, x, y))


def train_and(do, after=True):
    """A step that trains, and does something besides."""

    def step(p, x, y):
        p.optimizer.zero_grad()
        loss = p.loss_of(p.model(x), y)
        loss.backward()
        do(p)
        p.optimizer.step()
        return loss

    return step


class Holder:
    __slots__ = ("count",)

    def __init__(self):
        self.count = 0


def counting(p):
    p.losses.append(0)


def stash(p):
    p.latest = p.loss_of(p.model(tensor(np.ones((4, FEATURES), np.float32))), tensor(np.arange(4) % CLASSES))


def beside(make):
    """Something that every call of what it answers changes."""
    held = make()
    return lambda p: held()


def nonlocal_counter():
    count = 0

    def add():
        nonlocal count
        count += 1

    return add


def counter_in(container, change):
    return lambda: lambda: change(container)


def slot_counter():
    holder = Holder()

    def add():
        holder.count += 1

    return add


def set_lr(p):
    p.optimizer.param_groups[0]["lr"] = 0.1


def keeper(keep):
    """Something that keeps the loss where no walk looks."""

    def step(p):
        keep(p.model[0].weight * 2.0)

    return step


DOINGS = {
    "keeps a tensor in a queue": (keeper(queue.Queue().put), "keeps an array that it made"),
    "keeps a tensor in an event": (keeper(functools.partial(setattr, threading.Event(), "loss")), "keeps an array"),
    "clips gradients": (clip_gradients, "a gradient in NumPy"),
    "counts globally": (count_globally, "changes COUNT"),
    "counts in an array": (count_in_array, "replay differs"),
    "appends to a list": (counting, "changes"),
    "counts in an attribute": (lambda p: setattr(p, "count", getattr(p, "count", 0) + 1), "changes"),
    "counts in a slot": (beside(slot_counter), "changes"),
    "counts in a nonlocal": (beside(nonlocal_counter), "changes"),
    "counts in a dict": (beside(counter_in({"n": 0}, lambda d: d.update(n=d["n"] + 1))), "changes"),
    "appends to a deque": (beside(counter_in(deque(maxlen=3), lambda d: d.append(object()))), "changes"),
    "appends to a long list": (beside(counter_in([0] * 5000, lambda d: d.append(1))), "changes"),
    "calls a bound method": (lambda p: p.append(1), "changes"),
    "stashes a tensor": (stash, "changes"),
    "draws by random": (lambda p: random.random(), "Python's or NumPy's random numbers"),
    "draws by numpy.random": (lambda p: np.random.rand(), "Python's or NumPy's random numbers"),  # noqa: NPY002
    "draws by its generator": (lambda p: p.rng.random(), "Python's or NumPy's random numbers"),
    "draws by its old generator": (lambda p: p.old.rand(), "Python's or NumPy's random numbers"),
    "draws by minidl's": (lambda p: p.generator.uniform(3), "Generator"),
    "sets a learning rate": (set_lr, "sets an option of an optimizer"),
    "steps a schedule": (lambda p: p.schedule.step(), "sets an option of an optimizer"),
    "takes from an iterator": (lambda p: next(p.counter), "iterator"),
    "takes from a generator": (lambda p: next(p.items), "iterator"),
    "reads the state": (lambda p: p.model.state_dict(), "reads a tensor's values"),
    "reads the optimizer's state": (lambda p: p.optimizer.state_dict(), "reads a tensor's values"),
    "loads a state": (lambda p: p.model.load_state_dict(p.loaded), "replay differs"),
    "sets elements": (lambda p: p.model[1].running_mean.__setitem__(0, 0.5), "assigns to elements"),
}


@pytest.mark.parametrize("doing", DOINGS)
def test_a_step_that_does_something_besides(doing):
    do, words = DOINGS[doing]
    p, step = Problem(), train_and(do)
    p.rng, p.old, p.generator = np.random.default_rng(0), np.random.RandomState(0), minidl.Generator(3)
    p.append = [].append
    if "from an iterator" in doing:
        p.counter = itertools.count()
    if "from a generator" in doing:
        p.items = (i for i in range(99))
    p.schedule = optim.ConstantLR(p.optimizer, 1.0) if "schedule" in doing else None
    p.loaded = p.model.state_dict()
    assert words in refusal(lambda x, y: step(p, x, y))


Answer = namedtuple("Answer", "loss")


@pytest.mark.parametrize("kind", ["a namedtuple", "an object", "a generator"])
def test_an_answer_that_no_replay_could_fill(kind):
    p = Problem()
    make = {
        "a namedtuple": Answer,
        "an object": lambda loss: SimpleNamespace(loss=loss),
        "a generator": lambda loss: (loss for _ in "a"),
    }
    assert "returns an object" in refusal(lambda x, y: make[kind](p.step(x, y)))


def test_a_number_that_changes_in_the_answer():
    p = Problem()
    assert "returned" in refusal(lambda x, y: (p.step(x, y), time.perf_counter_ns()))


def test_an_object_that_changes_before_every_step():
    p, calls = Problem(), []
    captured = minidl.capture(lambda x, y: p.step(x, y) * float(len(calls)))
    with pytest.raises(ValueError, match="calls changes between steps"):
        for x, y in batches(8):
            calls.append(0)
            captured(x, y)


def test_numbers_that_change_as_arguments():
    p = Problem()

    def step(x, y, scale):
        return p.loss_of(p.model(x) * scale, y)

    given = [(x, y, 1.0 + i) for i, (x, y) in enumerate(batches(70))]
    assert "64 ways" in refusal(step, given)


def test_hooks_that_read_values():
    p = Problem()
    captured = minidl.capture(p.step)
    p.train(captured, 5)
    p.model[0].register_forward_hook(lambda module, inputs, output: print(output.numpy().max()))
    with pytest.raises(ValueError, match="reads a tensor's values in Python"):
        p.train(captured, 1)


def test_gradients_that_are_added_up_in_every_second_step():
    p = Problem()

    def step(x, y):
        loss = p.loss_of(p.model(x), y)
        loss.backward()
        return loss

    captured = minidl.capture(step)
    with pytest.raises(ValueError, match="launched other kernels"):
        for i, (x, y) in enumerate(batches(12)):
            if i % 2 == 0:
                p.optimizer.zero_grad()
            captured(x, y)
            if i % 2:
                p.optimizer.step()


def test_what_is_no_function():
    with pytest.raises(TypeError, match="capture: expected a function, got int"):
        minidl.capture(3)


def test_nothing_is_lost_by_a_refusal():
    p, twin = (Problem(nn.Sequential(nn.Linear(FEATURES, CLASSES, rng=3))) for _ in range(2))
    captured = minidl.capture(lambda x, y: float(p.step(x, y)))
    for x, y in batches(4):
        with pytest.raises(ValueError, match="return the tensor"):
            captured(x, y)
        twin.step(x, y)
    assert p.model[0].weight.numpy().tobytes() == twin.model[0].weight.numpy().tobytes()
