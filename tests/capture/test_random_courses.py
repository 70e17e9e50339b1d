"""Random courses of steps and changes: captured steps end with the bits of plain ones, whatever came between."""

import copy

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

import minidl
from minidl import nn, no_grad, optim, random, tensor

from .problem import CLASSES, FEATURES, Problem, batches, bits, forward_and_back

BATCHES = [*batches(6), *batches(3, rows=7, seed=1)]
WRONG = BATCHES[0][0], tensor(np.full(16, CLASSES))


class Course:
    """A problem and several steps over it."""

    def __init__(self, wrap):
        minidl.manual_seed(3)
        layers = nn.Linear(FEATURES, 8), nn.BatchNorm1d(8), nn.Dropout(0.2), nn.Tanh(), nn.Linear(8, CLASSES)
        self.problem = Problem(nn.Sequential(*layers))
        self.other = Problem(nn.Sequential(nn.Linear(FEATURES, FEATURES), nn.Sigmoid()))
        self.scale, self.saved, self.seen = [1.0], None, []
        self.steps = [self.problem.step, *map(wrap, self._steps())]
        self.schedule = optim.StepLR(self.problem.optimizer, 2, 0.7)

    def _steps(self):
        problem, other, scale = self.problem, self.other, self.scale
        model, optimizer = problem.model, problem.optimizer

        def against(x, y):
            other.optimizer.zero_grad()
            loss = problem.loss_of(model(other.model(x)), y) * -scale[0]
            loss.backward()
            other.optimizer.step()
            return loss

        def with_detached(x, y):
            return problem.step(other.model(x).detach(), y), scale[0]

        def update():
            optimizer.step()
            optimizer.zero_grad()

        evaluate = no_grad()(lambda x: model(x))
        train = problem.step
        added = forward_and_back(problem)
        return (
            lambda x, y: train(x, y),
            lambda x, y: added(x, y),
            lambda x, y: update(),
            lambda x, y: evaluate(x),
            lambda x, y: model(x),
            against,
            with_detached,
        )

    def call(self, which, batch):
        x, y = batch
        try:
            self.seen.append(self.steps[which](x, y))
        except ValueError as error:  # the step was done all the same
            if "cross_entropy" in str(error):
                self.seen.append(str(error))
            else:
                assert str(error).startswith("capture: ")
                self.seen.append("refused")

    def change(self, which, value):
        model, optimizer = self.problem.model, self.problem.optimizer
        group = optimizer.param_groups[0]
        changes = [
            lambda: group.update(lr=0.05 * value),
            lambda: group.update(momentum=0.3 * (value % 3)),
            lambda: group.update(weight_decay=0.01 * (value % 2)),
            lambda: model.train(value % 2 == 0),
            lambda: model[0].requires_grad_(value % 2 == 0),
            lambda: setattr(model[2], "p", 0.1 * value),
            lambda: setattr(model[1], "momentum", [0.1, None, 0.5][value % 3]),
            lambda: optimizer.zero_grad(),
            lambda: self.other.model.zero_grad(),
            lambda: setattr(model[0].weight, "grad", np.full((8, FEATURES), value, np.float32)),
            lambda: setattr(model[4].bias, "data", np.full(CLASSES, value, np.float32)),
            lambda: model[4].weight.data.__imul__(0.9),
            lambda: self.scale.__setitem__(0, float(value)),
            lambda: minidl.manual_seed(value),
            lambda: self.save() if value % 2 else self.load(),
            lambda: model.to(np.float32),
            lambda: optimizer.state.clear() if value == 0 else None,
            lambda: self.seen.append(copy.deepcopy(model)(BATCHES[0][0])),
            lambda: optimizer.step(),
            lambda: minidl.set_num_threads(1 + value % 2 if minidl.kernels.launch._most_threads > 1 else 1),
        ]
        changes[which % len(changes)]()

    def save(self):
        self.saved = self.problem.model.state_dict(), self.problem.optimizer.state_dict()

    def load(self):
        if self.saved is not None and self.saved[1]["state"].keys():
            self.problem.model.load_state_dict(self.saved[0])
            self.problem.optimizer.load_state_dict(self.saved[1])

    def run(self, moves):
        for kind, which, value, count in moves:
            if kind == "change":
                self.change(which, value)
            else:
                for i in range(count):
                    self.call(
                        which % len(self.steps), WRONG if kind == "wrong" else BATCHES[(value + i) % len(BATCHES)]
                    )
        parts = self.problem.model, self.problem.optimizer, self.other.model, self.other.optimizer
        return [*map(bits, parts), random.default_generator.state], self.seen


MOVES = st.lists(
    st.tuples(
        st.sampled_from(["step", "step", "step", "change", "change", "wrong"]),
        st.integers(0, 39),
        st.integers(0, 5),
        st.integers(1, 9),
    ),
    max_size=25,
)


@given(MOVES)
@settings(max_examples=60, deadline=None)
def test_captured_steps_among_random_changes(moves):
    with np.errstate(all="ignore"):
        (expected, plain), (got, captured) = (Course(wrap).run(moves) for wrap in (lambda step: step, minidl.capture))
    assert got == expected
    assert len(plain) == len(captured)
    for a, b in zip(plain, captured, strict=True):
        assert bits(b) in (bits(a), bits("refused"))
