"""What captured steps take and answer."""

import functools
import types

import numpy as np
import pytest

import minidl
from minidl import nn, no_grad, tensor

from .problem import CLASSES, Problem, batches, bits, counted, forward_and_back, same

ANSWERS = {
    "nothing": lambda p, x, loss: None,
    "a tuple": lambda p, x, loss: (loss, p.model(x).relu()),
    "a dict": lambda p, x, loss: {"loss": loss, "outputs": [p.model(x), 3, "text", None]},
    "a number": lambda p, x, loss: 4.5,
    "a parameter": lambda p, x, loss: p.model[0].weight,
    "a buffer": lambda p, x, loss: (p.model[1].running_mean, p.model[1].num_batches_tracked),
    "an input": lambda p, x, loss: x,
    "a view of an input": lambda p, x, loss: x.reshape(-1),
    "the same twice": lambda p, x, loss: [loss, loss],
    "a gradient": lambda p, x, loss: p.model[0].weight.grad,
    "the model": lambda p, x, loss: p.model,
    "a broadcast array": lambda p, x, loss: loss.reshape(1, 1).expand(3, 2),
    "outputs of both modes": lambda p, x, loss: (p.model.eval()(x), p.model.train()(x)),
}


@pytest.mark.parametrize("answer", ANSWERS)
def test_what_a_step_may_answer(answer):
    def scenario(wrap):
        problem = Problem()
        step = wrap(lambda x, y: ANSWERS[answer](problem, x, problem.step(x, y)))
        for x, y in batches(10):
            problem.losses.append(bits(step(x, y)))
        return problem.all()

    same(scenario, replays=7)


def test_answers_are_copies():
    problem = Problem()
    step = minidl.capture(problem.step)
    problem.train(step, 8)
    assert len({loss.item() for loss in problem.losses}) == 8
    kept = problem.losses[-1].item()
    problem.losses[-1].data[...] = 0
    problem.train(step, 1, seed=3)
    assert problem.losses[-1].item() not in (kept, 0)
    assert problem.losses[-1].node is None


def test_the_gradient_of_an_input():
    def scenario(wrap):
        problem = Problem()

        def step(x, y):
            x.requires_grad = True
            problem.loss_of(problem.model(x), y).backward()
            return x.grad

        step = wrap(step)
        for x, y in batches(8):
            problem.losses.append(step(tensor(x), y))
        return problem.losses

    def gathered(wrap):
        return [bits(value) for value in scenario(wrap)]

    same(gathered, replays=0)


def test_a_leaf_as_an_input_is_a_step_of_its_own():
    def scenario(wrap):
        problem, leaves = Problem(), [tensor(x, requires_grad=True) for x, _ in batches(2)]
        step = wrap(forward_and_back(problem))
        for i in range(16):
            leaves[i % 2].grad = None
            problem.model.zero_grad()
            problem.losses += [step(leaves[i % 2], batches(1)[0][1]), leaves[i % 2].grad.copy()]
        return problem.all()

    same(scenario, replays=8)


@pytest.mark.parametrize("order", ["C", "F", "strided", "reversed"])
def test_arrays_in_any_order(order):
    def scenario(wrap):
        problem = Problem(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, CLASSES)))
        step, rng = wrap(problem.step), np.random.default_rng(0)
        for _ in range(8):
            x = rng.standard_normal((4, 3, 6, 12), np.float32)
            x = {"C": x[..., :6].copy(), "F": np.asfortranarray(x[..., :6]), "strided": x[..., ::2]}.get(
                order, x[..., 5::-1]
            )
            problem.losses.append(step(x, rng.integers(0, CLASSES, 4)))
        return problem.all()

    same(scenario, replays=5)


def test_an_empty_answer_of_a_step_that_does_nothing():
    with counted() as count:
        step = minidl.capture(lambda x: None)
        assert [step(x) for x, _ in batches(5)] == [None] * 5
    assert count.replays == 2 + 1


def test_no_grad_inside_of_a_step():
    def scenario(wrap):
        problem = Problem()

        def step(x, y):
            loss = problem.step(x, y)
            with no_grad():
                return loss, problem.loss_of(problem.model(x), y)

        problem.train(wrap(step), 10)
        return problem.all()

    same(scenario, replays=7)


def test_numbers_in_arrays():
    def scenario(wrap):
        problem = Problem()
        step = wrap(lambda x, y, scale, more: problem.loss_of(problem.model(x), y) * scale + more["here"][0])
        for i, (x, y) in enumerate(batches(9)):
            problem.losses.append(step(x, y, np.array(i + 1.0, np.float32), {"here": [tensor(float(i))]}))
        return problem.all()

    same(scenario, replays=7)


def test_objects_given_as_arguments():
    def scenario(wrap):
        problem, settings = Problem(), types.SimpleNamespace(scale=1.0)

        def step(model, settings, x, y):
            return problem.loss_of(model(x), y) * settings.scale

        step = wrap(step)
        for seed, value in enumerate((1.0, 2.0, 1.0, 3.0)):
            settings.scale = value
            problem.model.train(seed % 2 == 0)
            problem.train(functools.partial(step, problem.model, settings), 5, seed=seed)
        return problem.all()

    same(scenario, replays=8)


def test_numbers_as_arguments_are_told_apart():
    def scenario(wrap):
        problem = Problem()
        step = wrap(
            lambda x, y, scale, kind: problem.loss_of(problem.model(x), y) * (scale if kind == "up" else -scale)
        )
        for x, y in batches(8):
            for scale in (0.0, -0.0, 2, True):
                problem.losses.append(step(x, y, scale, "up"))
            problem.losses.append(step(x, y, 2, kind="down"))
        return problem.all()

    same(scenario, replays=25)
