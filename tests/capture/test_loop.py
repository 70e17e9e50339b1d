"""An epoch as one call has the bits of the loop by hand."""

import contextlib
import signal
import threading
import time

import numpy as np
import pytest

import minidl
from minidl import Tensor, nn, no_grad, random
from minidl.capture.loop import Loop
from minidl.data import ArrayDataset, DataLoader, Subset

from .problem import CLASSES, FEATURES, Problem, bits

ROWS = 100


def data(rows=ROWS, kind=np.float32):
    rng = np.random.default_rng(0)
    if kind is np.uint8:
        return rng.integers(0, 256, (rows, 3, 6, 6)).astype(np.uint8), rng.integers(0, CLASSES, rows)
    return rng.standard_normal((rows, FEATURES)).astype(kind), rng.integers(0, CLASSES, rows)


def network(kind):
    if kind is np.uint8:
        return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(64, CLASSES))
    layers = nn.Linear(FEATURES, 12), nn.BatchNorm1d(12), nn.Tanh(), nn.Dropout(0.3), nn.Linear(12, CLASSES)
    return nn.Sequential(*layers).to(kind)


def by_hand(problem, loader):
    return [problem.step(x, y).item() for x, y in loader]


def in_one_call(problem, loader, loops):
    loop = loops.get(id(loader)) or loops.setdefault(id(loader), Loop(minidl.capture(problem.step), loader))
    return loop().tolist()


LOADERS = {
    "whole batches": lambda d: DataLoader(d, 20, shuffle=True),
    "a smaller last batch": lambda d: DataLoader(d, 16, shuffle=True),
    "the last batch left out": lambda d: DataLoader(d, 16, shuffle=True, drop_last=True),
    "in order": lambda d: DataLoader(d, 16),
    "a subset": lambda d: DataLoader(Subset(d, np.arange(ROWS)[::-3]), 8, shuffle=True),
    "a subset of a subset": lambda d: DataLoader(
        Subset(Subset(d, np.arange(90)), [5, 80, *range(40)]), 8, shuffle=True
    ),
    "one batch": lambda d: DataLoader(d, None),
}


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.uint8])
@pytest.mark.parametrize("which", LOADERS)
def test_an_epoch_in_one_call_is_the_loop_by_hand(which, kind):
    def trained(epoch_of):
        minidl.manual_seed(5)
        problem, loader = Problem(network(kind), weight_decay=0.01), LOADERS[which](ArrayDataset(*data(kind=kind)))
        for epoch in range(6):
            problem.losses.append(epoch_of(problem, loader))
            problem.optimizer.param_groups[0]["lr"] *= 0.8
            problem.model.train(epoch != 3)
        return bits([*problem.all(), random.default_generator.state, loader.state_dict()])

    expected = trained(by_hand)
    loops = {}
    assert trained(lambda problem, loader: in_one_call(problem, loader, loops)) == expected
    assert "kernels" in repr(next(iter(loops.values())).captured)


def test_most_steps_are_done_in_few_calls():
    problem, loader = Problem(), DataLoader(ArrayDataset(*data(4000)), 16, shuffle=True)
    loop = Loop(minidl.capture(problem.step), loader)
    loop()
    stretches = [loop.done for _ in loop.stretches()]
    assert (stretches[-1], sorted(stretches)) == (250, stretches)
    assert len(stretches) <= 60


def test_a_wrong_label_stops_the_epoch_at_its_step():
    inputs, targets = data()
    targets[55] = CLASSES

    def trained(epoch):
        minidl.manual_seed(5)
        problem, loader = Problem(), DataLoader(ArrayDataset(inputs, targets), 10)
        good = DataLoader(ArrayDataset(inputs, np.zeros(ROWS, np.int64)), 10)
        problem.losses.append(epoch(problem, good))
        with pytest.raises(ValueError, match="label") as raised:
            epoch(problem, loader)
        problem.losses += [str(raised.value), bits(problem.model)]
        problem.losses.append(epoch(problem, good))
        return bits(problem.all())

    loops = {}
    assert trained(lambda problem, loader: in_one_call(problem, loader, loops)) == trained(by_hand)
    loop = list(loops.values())[1]
    assert loop.done == 5


def test_the_losses_before_a_wrong_label_are_there():
    inputs, targets = data()
    targets[55] = -7
    problem, twin = (Problem(nn.Sequential(nn.Linear(FEATURES, CLASSES, rng=2))) for _ in range(2))
    loader = DataLoader(ArrayDataset(inputs, targets), 10)
    loop, expected = Loop(minidl.capture(problem.step), loader), []
    for each in range(2):
        with pytest.raises(ValueError, match="label"):
            loop()
        with pytest.raises(ValueError, match="label"):
            for x, y in loader:
                expected.append(twin.step(x, y).item())
        assert (loop.done, loop.losses[: loop.done].tolist()) == (5, expected[5 * each :])
    assert bits(problem.model) == bits(twin.model)


def test_what_cannot_be_looped_over():
    captured, dataset = minidl.capture(Problem().step), ArrayDataset(*data())
    assert Loop.can(DataLoader(dataset, 10))
    with pytest.raises(TypeError, match="expected a DataLoader, got list"):
        Loop(captured, [])
    for loader in (
        DataLoader(dataset, 10, transform=lambda x: x * 2),
        DataLoader(ArrayDataset(*data(), transform=lambda x: x * 2), 10),
    ):
        assert not Loop.can(loader)
        with pytest.raises(ValueError, match="transform the arrays before, or capture the step alone"):
            Loop(captured, loader)


CHANGES = {
    "other inputs": lambda loader: setattr(loader.dataset, "inputs", loader.dataset.inputs * 2),
    "inputs changed in place": lambda loader: np.multiply(loader.dataset.inputs, 2, out=loader.dataset.inputs),
    "other targets": lambda loader: setattr(loader.dataset, "targets", 2 - loader.dataset.targets),
    "another batch size": lambda loader: setattr(loader, "batch_size", 7),
    "the last batch left out": lambda loader: setattr(loader, "drop_last", True),
    "another dataset": lambda loader: setattr(loader, "dataset", Subset(ArrayDataset(*data()), np.arange(3, 77))),
    "resumed": lambda loader: loader.load_state_dict({"seed": 3, "epoch": 9}),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_loader_that_changes_between_epochs(change):
    def trained(epoch_of):
        minidl.manual_seed(5)
        problem, loader = Problem(), DataLoader(ArrayDataset(*data()), 16, shuffle=True)
        for epoch in range(4):
            if epoch == 2:
                CHANGES[change](loader)
            problem.losses.append(epoch_of(problem, loader))
        return bits(problem.all())

    loops = {}
    assert trained(lambda problem, loader: in_one_call(problem, loader, loops)) == trained(by_hand)


def test_a_loop_with_and_without_gradients():
    def trained(epoch_of):
        problem, loader = Problem(nn.Linear(FEATURES, CLASSES, rng=1)), DataLoader(ArrayDataset(*data()), 10)

        def step(x, y):
            loss = problem.loss_of(problem.model(x), y)
            if loss.requires_grad:
                loss.backward()
                problem.optimizer.step()
            return loss

        epoch = epoch_of(step, loader)
        for each in range(6):
            with no_grad() if each % 2 else contextlib.nullcontext():
                problem.losses.append(epoch())
        return bits(problem.all())

    expected = trained(lambda step, loader: lambda: [step(x, y).item() for x, y in loader])

    def in_calls(step, loader):
        loop = Loop(minidl.capture(step), loader)
        return lambda: loop().tolist()

    assert trained(in_calls) == expected


def test_a_transform_given_to_a_loader_is_refused():
    loader = DataLoader(ArrayDataset(*data()), 10)
    loop = Loop(minidl.capture(Problem().step), loader)
    loop()
    loader.transform = lambda x: x * 2
    with pytest.raises(ValueError, match="transform the arrays before"):
        loop()


@pytest.mark.parametrize("answer", ["float", "tuple", "vector", "nothing"])
def test_a_step_that_does_not_answer_one_number(answer):
    problem = Problem()
    make = {
        "float": lambda loss: 1.0,
        "tuple": lambda loss: (loss,),
        "vector": lambda loss: loss.reshape(1, 1).expand(2, 1),
    }
    step = minidl.capture(lambda x, y: make.get(answer, lambda loss: None)(problem.step(x, y)))
    with pytest.raises((TypeError, ValueError), match="capture: "):
        Loop(step, DataLoader(ArrayDataset(*data()), 10))()


def test_a_step_that_cannot_be_captured_is_refused():
    problem = Problem()
    loop = Loop(
        minidl.capture(lambda x, y: Tensor(np.array(problem.step(x, y).item()))), DataLoader(ArrayDataset(*data()), 10)
    )
    with pytest.raises(ValueError, match="capture: the step reads a tensor's values"):
        loop()


@pytest.mark.parametrize("call", range(3))
def test_ctrl_c_stops_at_a_whole_step(call):
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background ignores it
    problem, twin = (
        Problem(nn.Sequential(nn.Linear(FEATURES, 300, rng=2), nn.Linear(300, CLASSES, rng=3))) for _ in "ab"
    )
    loader = DataLoader(ArrayDataset(*data(60_000)), 6)
    loop = Loop(minidl.capture(problem.step), loader)
    timer = threading.Timer(0.3 + 0.05 * call, lambda: signal.raise_signal(signal.SIGINT))
    began = 0.0
    try:
        with pytest.raises(KeyboardInterrupt):
            timer.start()
            began = time.perf_counter()
            while time.perf_counter() - began < 20:
                loop()
    finally:
        timer.cancel()
        signal.signal(signal.SIGINT, before)
    assert time.perf_counter() - began < 0.35 + 0.05 * call + 1
    expected = []
    for _ in range(loader.epoch - 1):
        by_hand(twin, loader)
    for x, y in loader:
        if len(expected) == loop.done:
            break
        expected.append(twin.step(x, y).item())
    assert loop.losses[: loop.done].tolist() == expected
    assert bits(problem.model.state_dict()) == bits(twin.model.state_dict())
