"""Captured steps among others: gradients that go from call to call, errors, answers, several steps over one model."""

import numpy as np
import pytest

import minidl
from minidl import Out, kernel, launch, nn, op, optim, tensor

from .problem import CLASSES, FEATURES, Problem, batches, bits, forward_and_back, same


def test_a_wrong_label_stops_a_replay_where_it_stops_the_step():
    def scenario(wrap):
        problem = Problem()
        step = wrap(problem.step)
        problem.train(step, 6)
        x, y = batches(1, seed=5)[0]
        before = bits(problem.model[0].weight.data)
        for label in (CLASSES, -1):
            with pytest.raises(ValueError, match="label") as raised:
                step(x, tensor(np.where(np.arange(len(y)) == 3, label, y.numpy())))
            problem.losses += [str(raised.value), bits(problem.model), bits(problem.optimizer)]
        assert bits(problem.model[0].weight.data) == before
        problem.train(step, 6, seed=1)
        return problem.all()

    same(scenario, replays=9, recordings=3)


@pytest.mark.parametrize("call", [0, 1, 2])
def test_an_exception_while_a_step_is_recorded(call):
    def scenario(wrap):
        problem, calls = Problem(), batches(12)
        step = wrap(problem.step)
        for i, (x, y) in enumerate(calls):
            if i == call:
                with pytest.raises(ValueError, match="expected"):
                    step(x, tensor(np.full(len(y), 9)))
                with pytest.raises(ValueError, match="expected"):
                    step(tensor(np.ones((4, FEATURES + 1), np.float32)), y)
            problem.losses.append(step(x, y))
        return problem.all()

    same(scenario, replays=7)
    assert minidl.kernels.recording.active is None


@pytest.mark.parametrize("zero", ["outside", "never", "by the model"])
def test_gradients_that_are_zeroed(zero):
    def scenario(wrap):
        problem = Problem(lr=0.001)
        step = wrap(forward_and_back(problem))
        for x, y in batches(12):
            if zero != "never":
                (problem.optimizer if zero == "outside" else problem.model).zero_grad()
            problem.losses.append(step(x, y))
            problem.optimizer.step()
        return problem.all()

    same(scenario, replays=8)


def test_gradients_added_up_by_one_step_and_used_by_another():
    def scenario(wrap):
        problem = Problem()

        def update():
            problem.optimizer.step()
            problem.optimizer.zero_grad()

        def first_and_second(x1, y1, x2, y2):
            for x, y in ((x1, y1), (x2, y2)):
                problem.loss_of(problem.model(x), y).backward()

        accumulate, update = wrap(first_and_second), wrap(update)
        for (x1, y1), (x2, y2) in zip(batches(12), batches(12, seed=1), strict=True):
            accumulate(x1, y1, x2, y2)
            problem.losses.append(bits(problem.model))
            update()
            problem.losses.append(bits(problem.model))
        return problem.all()

    same(scenario, replays=12)


def test_an_update_that_found_nothing_to_do_at_first():
    def scenario(wrap):
        problem = Problem()

        def update():
            problem.optimizer.step()
            problem.optimizer.zero_grad()

        update = wrap(update)
        for i, (x, y) in enumerate(batches(16)):
            if i % 5 == 4:
                forward_and_back(problem)(x, y)
            update()
        return problem.all()

    same(scenario, replays=4)


def test_a_gradient_as_an_input():
    def scenario(wrap):
        model = nn.Sequential(nn.Linear(FEATURES, 40), nn.Tanh(), nn.Linear(40, 40), nn.Tanh(), nn.Linear(40, CLASSES))
        problem, weight = Problem(model), model[2].weight

        def pulled(x, y, gradient):
            problem.optimizer.zero_grad()
            loss = problem.loss_of(model(x), y) + (weight * gradient).sum()
            loss.backward()
            problem.optimizer.step()
            return loss

        step, gradient = wrap(pulled), np.zeros((40, 40), np.float32)
        for x, y in batches(10):
            problem.losses.append(step(x, y, gradient))
            gradient = weight.grad
        return problem.all()

    same(scenario, replays=7)


def test_a_gradient_set_from_outside_is_used():
    def scenario(wrap):
        problem, extra = Problem(), nn.Parameter(np.ones(3, np.float32))
        given = np.full(3, 0.5, np.float32)
        problem.optimizer = optim.SGD([*problem.model.parameters(), extra], lr=0.1)
        step = wrap(lambda x, y: (forward_and_back(problem)(x, y), problem.optimizer.step())[0])
        for i, (x, y) in enumerate(batches(16)):
            problem.model.zero_grad()
            extra.grad = None if i < 8 else given
            problem.losses.append(step(x, y))
        return *problem.all(), extra

    same(scenario, replays=5)


def test_a_captured_step_inside_another():
    def scenario(wrap):
        problem = Problem()
        inner = wrap(problem.step)
        problem.train(inner, 5)
        outer = wrap(lambda x, y: (inner(x, y), inner(x, y)))
        problem.train(outer, 8, seed=1)
        problem.train(inner, 5, seed=2)
        problem.model.eval()
        problem.train(outer, 5, seed=3)
        return problem.all()

    same(scenario, replays=15)


def test_two_steps_over_one_model_among_eager_ones():
    def scenario(wrap):
        problem = Problem()
        first, second = wrap(problem.step), wrap(lambda x, y: problem.step(x, y) * 0.5)
        for seed in range(6):
            for step in (first, second, problem.step, second, first):
                problem.train(step, 1, seed=seed)
        return problem.all()

    same(scenario, replays=15)


def test_two_networks_that_train_against_each_other():
    def scenario(wrap):
        one, other = Problem(), Problem(nn.Sequential(nn.Linear(FEATURES, FEATURES), nn.Tanh()))

        def first(x, y):
            one.optimizer.zero_grad()
            one.loss_of(one.model(other.model(x).detach()), y).backward()
            one.optimizer.step()

        def second(x, y):
            other.optimizer.zero_grad()
            loss = -one.loss_of(one.model(other.model(x)), y)
            loss.backward()
            other.optimizer.step()
            return loss

        first, second = wrap(first), wrap(second)
        for x, y in batches(14):
            one.losses += [first(x, y), second(x, y)]
        return one.all(), other.all()

    same(scenario, replays=16)


def test_a_graph_from_before_a_replay_notices_it():
    problem = Problem()
    step = minidl.capture(problem.step)
    problem.train(step, 5)
    x, y = batches(1)[0]
    loss = problem.loss_of(problem.model(x), y)
    problem.train(step, 1, seed=1)
    with pytest.raises(ValueError, match="changed in place after use"):
        loss.backward()


def test_an_op_and_kernel_of_the_users():
    @kernel
    def cube(x, y: Out, low, high):
        x, y = x[low:high], y[low:high]
        for i in range(len(x)):
            y[i] = x[i] * x[i] * x[i]

    @kernel
    def cube_backward(x, dy, dx: Out, low, high):
        x, dy, dx = x[low:high], dy[low:high], dx[low:high]
        for i in range(len(x)):
            dx[i] = 3 * x[i] * x[i] * dy[i]

    @op
    def cubed(x):
        def pullback(dy):
            dx = np.empty_like(x)
            launch(cube_backward, x.size, x.reshape(-1), dy.reshape(-1), dx.reshape(-1))
            return dx

        y = np.empty_like(x)
        launch(cube, x.size, x.reshape(-1), y.reshape(-1))
        return y, pullback

    def scenario(wrap):
        problem = Problem()
        step = wrap(lambda x, y: forward_and_back(problem)(cubed(x), cubed_labels(y)))
        for x, y in batches(8):
            problem.losses.append(step(x, y))
        return problem.all()

    def cubed_labels(y):
        return y

    same(scenario, replays=5)
