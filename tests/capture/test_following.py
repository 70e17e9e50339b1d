"""What changes between replays is followed, or the step is recorded again: always the bits of the step itself."""

import numpy as np
import pytest

import minidl
from minidl import nn, no_grad, optim, tensor

from .problem import CLASSES, FEATURES, Problem, batches, bits, same


def changing(change, replays=6, between=4, **options):
    """A scenario: some steps, a change to the problem, and more steps."""

    def scenario(wrap):
        problem = Problem(**options)
        step = wrap(problem.step)
        problem.train(step, between)
        change(problem)
        problem.train(step, 6, seed=1)
        return problem.all()

    same(scenario, replays)


def test_steps_are_replayed_after_three():
    def scenario(wrap):
        problem = Problem()
        problem.train(wrap(problem.step), 20)
        return problem.all()

    same(scenario, replays=17, recordings=3)


def test_other_shapes_and_dtypes_are_recorded_for_themselves():
    def scenario(wrap):
        problem = Problem(nn.Linear(FEATURES, CLASSES))
        step = wrap(problem.step)
        for seed in range(3):
            problem.train(step, 4, seed=seed)
            problem.train(step, 4, rows=7, seed=seed)
        problem.model.to(np.float64)
        problem.optimizer = optim.SGD(problem.model.parameters(), lr=0.1)
        problem.train(step, 6, dtype=np.float64)
        return problem.all()

    same(scenario, replays=18)


CHANGES = {
    "data": lambda p: setattr(p.model[0].weight, "data", np.full((8, FEATURES), 0.25, np.float32)),
    "data in place": lambda p: np.multiply(p.model[0].weight.data, 0.5, out=p.model[0].weight.data),
    "buffer": lambda p: setattr(p.model[1], "running_mean", tensor(np.ones(8, np.float32))),
    "layer": lambda p: setattr(p.model, "2", nn.Sigmoid()),
    "state of the model": lambda p: p.model.load_state_dict({k: v // 2 for k, v in p.model.state_dict().items()}),
    "state of the optimizer": lambda p: p.optimizer.load_state_dict(p.optimizer.state_dict()),
    "evaluation": lambda p: p.model.eval(),
    "momentum of a layer": lambda p: setattr(p.model[1], "momentum", 0.3),
    "cumulative statistics": lambda p: setattr(p.model[1], "momentum", None),
    "eps": lambda p: setattr(p.model[1], "eps", 0.1),
    "lr": lambda p: p.optimizer.param_groups[0].update(lr=0.03),
    "lr of zero": lambda p: p.optimizer.param_groups[0].update(lr=0.0),
    "momentum": lambda p: p.optimizer.param_groups[0].update(momentum=0.5),
    "no momentum": lambda p: p.optimizer.param_groups[0].update(momentum=0.0),
    "weight decay": lambda p: p.optimizer.param_groups[0].update(weight_decay=0.1),
    "nesterov": lambda p: p.optimizer.param_groups[0].update(nesterov=True),
    "more parameters": lambda p: p.optimizer.param_groups[0].update(params=list(p.model.parameters())),
    "frozen": lambda p: p.model[0].requires_grad_(False),
    "gradient": lambda p: setattr(p.model[0].weight, "grad", np.ones((8, FEATURES), np.float32)),
    "no gradients": lambda p: p.model.zero_grad(),
    "hook": lambda p: p.model[2].register_forward_hook(lambda module, inputs, output: output * 2.0),
    "bias removed": lambda p: setattr(p.model[0], "bias", None),
    "another loss": lambda p: setattr(p, "loss_of", nn.CrossEntropyLoss(label_smoothing=0.1)),
    "attribute of the loss": lambda p: setattr(p.loss_of, "label_smoothing", 0.2),
    "the optimizer's velocities": lambda p: p.optimizer.state.clear(),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_between_replays_is_followed(change):
    changing(CHANGES[change], replays=4)


def test_a_new_parameter_is_trained():
    def scenario(wrap):
        problem = Problem()
        step = wrap(problem.step)
        problem.train(step, 5)
        problem.model[0].weight = nn.Parameter(np.full((8, FEATURES), 0.25, np.float32))
        problem.train(step, 5, seed=1)
        problem.optimizer = optim.SGD(problem.model.parameters(), lr=0.2)
        problem.train(step, 5, seed=2)
        return problem.all()

    same(scenario, replays=6)


def test_momentum_that_is_switched_on_and_off():
    def scenario(wrap):
        problem = Problem(momentum=0.0)
        step = wrap(problem.step)
        for seed, momentum in enumerate((0.0, 0.9, 0.0, 0.9)):
            problem.optimizer.param_groups[0]["momentum"] = momentum
            problem.train(step, 5, seed=seed)
        return problem.all()

    same(scenario, replays=10)


def test_modes_that_take_turns_are_replayed_each():
    def scenario(wrap):
        problem = Problem()
        step = wrap(problem.step)
        for seed in range(6):
            problem.model.train(seed % 2 == 0)
            problem.train(step, 4, seed=seed)
        return problem.all()

    same(scenario, replays=24 - 5)


def test_a_layer_frozen_and_trained_again():
    def scenario(wrap):
        problem = Problem()
        step = wrap(problem.step)
        for seed in range(6):
            problem.model[0].requires_grad_(seed % 2 == 0)
            problem.train(step, 4, seed=seed)
        return problem.all()

    same(scenario, replays=12)


def test_an_option_out_of_range_is_refused_as_ever():
    problem = Problem()
    step = minidl.capture(problem.step)
    problem.train(step, 5)
    before = problem.model.state_dict()
    problem.optimizer.param_groups[0]["lr"] = -1.0
    with pytest.raises(ValueError, match="SGD: expected lr"):
        problem.train(step, 1)
    assert {k: v.tobytes() for k, v in before.items() if "weight" in k} == {
        k: v.tobytes() for k, v in problem.model.state_dict().items() if "weight" in k
    }


@pytest.mark.parametrize("every", [1, 3])
def test_a_schedule_stepped_outside_is_followed(every):
    def scenario(wrap):
        problem = Problem(weight_decay=0.01)
        step, schedule = wrap(problem.step), optim.StepLR(problem.optimizer, 2, 0.5)
        for seed in range(8):
            problem.train(step, every, seed=seed)
            schedule.step()
        return problem.all()

    same(scenario, replays=8 * every - 4, recordings=3)


@pytest.mark.parametrize("rng", [None, 5])
def test_dropout_draws_anew_in_each_replay(rng):
    def scenario(wrap):
        model = nn.Sequential(nn.Linear(FEATURES, 64), nn.Dropout(0.5, rng=rng), nn.Linear(64, CLASSES))
        problem = Problem(model)
        step = wrap(problem.step)
        problem.train(step, 6)
        minidl.manual_seed(3)
        problem.train(step, 4, seed=1)
        model[1].p = 0.25
        problem.train(step, 5, seed=2)
        model[1].rng = minidl.Generator(11)
        problem.train(step, 5, seed=3)
        return *problem.all(), model[1].rng.state

    same(scenario, replays=10)


def test_evaluation_without_gradients_beside_training():
    def scenario(wrap):
        problem = Problem()
        step, evaluate = wrap(problem.step), wrap(no_grad()(lambda x: problem.model(x)))
        for seed in range(5):
            problem.model.train()
            problem.train(step, 3, seed=seed)
            problem.model.eval()
            problem.losses += [evaluate(x) for x, _ in batches(3, seed=seed)]
        return problem.all()

    same(scenario, replays=30 - 7)


def test_a_function_with_and_without_gradients():
    def scenario(wrap):
        problem = Problem()
        forward = wrap(problem.model)
        for x, _ in batches(12):
            problem.losses.append(forward(x))
            with no_grad():
                problem.losses.append(forward(x))
        return problem.all()

    same(scenario, replays=24 - 6)


def test_a_method_captured_in_its_class_is_each_objects_own():
    class Trainer(Problem):
        @minidl.capture
        def train(self, x, y):
            return self.step(x, y)

    captured, plain = [Trainer() for _ in "ab"], [Trainer() for _ in "ab"]
    for several in (captured, plain):
        several[1].model.load_state_dict(several[0].model.state_dict())
        for group in several[1].optimizer.param_groups:
            group["lr"] = 0.01
    plain[0].model.load_state_dict(captured[0].model.state_dict())
    plain[1].model.load_state_dict(captured[0].model.state_dict())
    for x, y in batches(8):
        for one, other in zip(captured, plain, strict=True):
            assert bits(one.train(x, y)) == bits(other.step(x, y))
    assert "kernels" in repr(Trainer.train)
    assert all(bits(a.model.state_dict()) == bits(b.model.state_dict()) for a, b in zip(captured, plain, strict=True))
