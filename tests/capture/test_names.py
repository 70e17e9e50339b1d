"""Whatever a step reaches by a name may come to stand for something else: the step is then recorded again."""

import argparse
import dataclasses
import functools
import sys
import types

import numpy as np
import pytest

from minidl import nn, tensor

from .problem import CLASSES, FEATURES, Problem, same

SCALE = 1.0
TABLE = np.ones(2)
SETTINGS = {"scale": 1.0}
OPTIONS = argparse.Namespace(scale=1.0)
SPACE = types.SimpleNamespace(inner=types.SimpleNamespace(scale=1.0))
WEIGHTS = tensor(np.ones(CLASSES, np.float32))
config = types.ModuleType("user_config")
config.scale = 1.0


class Config:
    scale = 1.0

    def __init__(self):
        self.own = 1.0

    @property
    def doubled(self):
        return self.own * 2

    @classmethod
    def of_class(cls):
        return cls.scale

    def __call__(self):
        return self.own


@dataclasses.dataclass(slots=True)
class Slotted:
    scale: float = 1.0


class Child(Config):
    pass


class Scaled(nn.Module):
    factor = 1.0

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(FEATURES, CLASSES, rng=1)

    def forward(self, x):
        return self.layer(x) * (self.scale() * self.factor)

    def scale(self):
        return SCALE


CONFIG, CHILD, SLOTTED, LIST, PARTS = Config(), Child(), Slotted(), [1.0], ({"scale": [1.0]},)


def helper():
    return deeper()


def deeper():
    return SCALE


@functools.lru_cache
def cached():
    return SCALE


def by_import():
    import user_config

    return user_config.scale


def default(scale=SETTINGS):
    return scale["scale"]


PARTIAL = functools.partial(lambda settings: settings["scale"], SETTINGS)


def module_global(value):
    globals()["SCALE"] = value


WAYS = {
    "a global": (lambda: SCALE, module_global),
    "a global by name": (lambda: globals()["SCALE"], module_global),
    "a global of a helper's helper": (helper, module_global),
    "an element of an array": (lambda: float(TABLE[0]), lambda v: TABLE.__setitem__(0, v)),
    "a value in a dict": (lambda: SETTINGS["scale"], lambda v: SETTINGS.update(scale=v)),
    "a dict as a default": (default, lambda v: SETTINGS.update(scale=v)),
    "an argument of a partial": (PARTIAL, lambda v: SETTINGS.update(scale=v)),
    "a list": (lambda: LIST[0], lambda v: LIST.__setitem__(0, v)),
    "a list's length": (
        lambda: float(len(LIST)),
        lambda v: LIST.append(1.0) if v > 1 else LIST.__delitem__(slice(1, 9)),
    ),
    "nested containers": (lambda: PARTS[0]["scale"][0], lambda v: PARTS[0]["scale"].__setitem__(0, v)),
    "a parsed option": (lambda: OPTIONS.scale, lambda v: setattr(OPTIONS, "scale", v)),
    "a namespace in a namespace": (lambda: SPACE.inner.scale, lambda v: setattr(SPACE.inner, "scale", v)),
    "a module's attribute": (lambda: config.scale, lambda v: setattr(config, "scale", v)),
    "a module imported inside": (by_import, lambda v: setattr(config, "scale", v)),
    "an object's attribute": (lambda: CONFIG.own, lambda v: setattr(CONFIG, "own", v)),
    "getattr": (lambda: vars(CONFIG)["own"], lambda v: setattr(CONFIG, "own", v)),
    "a property": (lambda: CONFIG.doubled, lambda v: setattr(CONFIG, "own", v)),
    "an object that is called": (lambda: CONFIG(), lambda v: setattr(CONFIG, "own", v)),
    "a class": (lambda: Config.scale, lambda v: setattr(Config, "scale", v)),
    "a class through its object": (lambda: CONFIG.scale, lambda v: setattr(Config, "scale", v)),
    "a class through a child's object": (lambda: CHILD.scale, lambda v: setattr(Config, "scale", v)),
    "an attribute before a class's": (lambda: CHILD.scale, lambda v: setattr(CHILD, "scale", v)),
    "a child's attribute before its class's": (lambda: CHILD.scale, lambda v: setattr(Child, "scale", v)),
    "a class method": (lambda: CHILD.of_class(), lambda v: setattr(Config, "scale", v)),
    "a slot": (lambda: SLOTTED.scale, lambda v: setattr(SLOTTED, "scale", v)),
    "an object's method": (CONFIG.__call__, lambda v: setattr(CONFIG, "own", v)),
}


@pytest.fixture(autouse=True)
def as_before(monkeypatch):
    monkeypatch.setitem(sys.modules, "user_config", config)
    yield
    for _, put in WAYS.values():
        put(1.0)
    for holder in (CHILD, Child):
        if "scale" in vars(holder):
            del holder.scale


@pytest.mark.parametrize("way", WAYS)
def test_a_number_found_in_some_way_is_never_stale(way):
    get, put = WAYS[way]

    def scenario(wrap):
        problem = Problem()
        model, optimizer, loss_of = problem.model, problem.optimizer, problem.loss_of

        def step(x, y):
            optimizer.zero_grad()
            loss = loss_of(model(x), y) * get()
            loss.backward()
            optimizer.step()
            return loss

        step = wrap(step)
        for seed, value in enumerate((1.0, 2.0, 0.5)):
            put(value)
            problem.train(step, 5, seed=seed)
        put(1.0)
        return problem.all()

    same(scenario, replays=6)


@pytest.mark.parametrize("change", ["global of a method", "class attribute", "method", "own attribute"])
def test_a_users_module(change, monkeypatch):
    def scenario(wrap):
        problem = Problem(Scaled())
        step = wrap(problem.step)
        problem.train(step, 5)
        if change == "global of a method":
            monkeypatch.setitem(globals(), "SCALE", 2.0)
        elif change == "class attribute":
            monkeypatch.setattr(Scaled, "factor", 2.0)
        elif change == "own attribute":
            vars(problem.model)["factor"] = 2.0
        else:
            monkeypatch.setattr(Scaled, "scale", lambda self: 3.0)
        problem.train(step, 5, seed=1)
        monkeypatch.undo()
        return problem.all()

    same(scenario, replays=4)


def test_a_closures_variable_rebound_and_deleted():
    def scenario(wrap):
        problem, scale = Problem(), 1.0

        def step(x, y):
            return problem.loss_of(problem.model(x), y) * scale  # noqa: F821

        step = wrap(step)
        problem.train(step, 5)
        scale = 2.0
        problem.train(step, 5, seed=1)
        del scale
        with pytest.raises(NameError, match="scale"):
            problem.train(step, 1)
        return problem.all()

    same(scenario, replays=4)


def test_a_tensor_found_by_a_global_name():
    def scenario(wrap):
        problem = Problem()
        step = wrap(lambda x, y: problem.loss_of(problem.model(x) * WEIGHTS, y))
        for seed, weights in enumerate(([1, 2, 3], [3, 2, 1])):
            globals()["WEIGHTS"] = tensor(np.array(weights, np.float32))
            problem.train(step, 5, seed=seed)
            WEIGHTS.data[0] = 7
            problem.train(step, 5, seed=seed)
        return problem.all()

    same(scenario, replays=14)


def test_a_builtin_name_that_a_global_comes_to_hide(monkeypatch):
    def scenario(wrap):
        problem = Problem()
        step = wrap(lambda x, y: problem.loss_of(problem.model(x), y) * float(abs(-1)))
        problem.train(step, 5)
        monkeypatch.setitem(globals(), "abs", lambda value: 4)
        problem.train(step, 5, seed=1)
        monkeypatch.undo()
        return problem.all()

    same(scenario, replays=4)


def test_deeply_nested_lists():
    def scenario(wrap):
        problem, innermost = Problem(), [1.0]
        nested = innermost
        for _ in range(5000):
            nested = [nested]

        def scale(values):
            while isinstance(values, list):
                values = values[0]
            return values

        step = wrap(lambda x, y: problem.loss_of(problem.model(x), y) * scale(nested))
        for seed, value in enumerate((1.0, 2.0)):
            innermost[0] = value
            problem.train(step, 5, seed=seed)
        return problem.all()

    same(scenario, replays=4)
