"""Numbers in places where few would keep one: a step that finds them there is recorded again when they change."""

import array
import collections
import contextvars
import ctypes
import enum
import functools
import operator
import os
import threading
import types
import weakref

import numpy as np
import pytest

from minidl import nn

from .problem import Problem, same

VARIABLE, LOCAL, QUEUE = contextvars.ContextVar("scale", default=1.0), threading.local(), collections.deque([1.0])
DICT, USER, DEFAULT = {"scale": 1.0}, collections.UserDict(), collections.defaultdict(float)
PROXY, VALUES, CHAIN = types.MappingProxyType(DICT), DICT.values(), collections.ChainMap({}, DICT)
BYTES, DOUBLES, C = bytearray(1), array.array("d", [1.0]), ctypes.c_double(1.0)
VIEW, OBJECTS = memoryview(DOUBLES), np.array([DICT, None], dtype=object)


class Plain:
    scale = 1.0


class Meta(type):
    @property
    def scale(cls):
        return cls.own


class WithMeta(metaclass=Meta):
    own = 1.0


class Descriptor:
    scale = 1.0

    def __get__(self, owner, kind):
        return self.scale


DESCRIPTOR = Descriptor()


class Described:
    scale = DESCRIPTOR


class Dynamic:
    def __getattr__(self, name):
        if name == "scale":
            return DICT["scale"]
        raise AttributeError(name)

    def __getitem__(self, key):
        return DICT[key]

    def __float__(self):
        return DICT["scale"]


class Steps(enum.Enum):
    ONE, TWO = 1.0, 2.0


PLAIN, DYNAMIC, DESCRIBED, STEP = Plain(), Dynamic(), Described(), [Steps.ONE]
REFERENCE, WEAK = weakref.ref(PLAIN), weakref.proxy(PLAIN)
GETTER, CALLER = operator.attrgetter("scale"), operator.methodcaller("get", "scale")


def marked():
    return marked.scale


@functools.cache
def cached():
    return DICT["scale"]


def put_cached(value):
    DICT["scale"] = value
    cached.cache_clear()


def in_dict(value):
    DICT["scale"] = value


def in_object(value):
    PLAIN.scale = value


PLACES = {
    "a context variable": (VARIABLE.get, VARIABLE.set),
    "a thread's own": (lambda: LOCAL.scale, lambda v: setattr(LOCAL, "scale", v)),
    "the environment": (lambda: os.environ["SCALE"], lambda v: os.environ.__setitem__("SCALE", str(v))),
    "a deque": (lambda: QUEUE[0], lambda v: QUEUE.__setitem__(0, v)),
    "a UserDict": (lambda: USER["scale"], lambda v: USER.__setitem__("scale", v)),
    "a defaultdict": (lambda: DEFAULT["scale"], lambda v: DEFAULT.__setitem__("scale", v)),
    "a ChainMap": (lambda: CHAIN["scale"], in_dict),
    "a mapping proxy": (lambda: PROXY["scale"], in_dict),
    "a dict's values": (lambda: list(VALUES)[0], in_dict),  # noqa: RUF015
    "a bytearray": (lambda: BYTES[0], lambda v: BYTES.__setitem__(0, int(2 * v))),
    "an array": (lambda: DOUBLES[0], lambda v: DOUBLES.__setitem__(0, v)),
    "a memoryview": (lambda: VIEW[0], lambda v: DOUBLES.__setitem__(0, v)),
    "a C variable": (lambda: C.value, lambda v: setattr(C, "value", v)),
    "an array of objects": (lambda: OBJECTS[0]["scale"], in_dict),
    "a weak reference": (lambda: REFERENCE().scale, in_object),
    "a weak proxy": (lambda: WEAK.scale, in_object),
    "a getter": (lambda: GETTER(PLAIN), in_object),
    "a caller": (lambda: CALLER(DICT), in_dict),
    "a metaclass": (lambda: WithMeta.scale, lambda v: setattr(WithMeta, "own", v)),
    "a descriptor": (lambda: DESCRIBED.scale, lambda v: setattr(DESCRIPTOR, "scale", v)),
    "__getattr__": (lambda: DYNAMIC.scale, in_dict),
    "__getitem__": (lambda: DYNAMIC["scale"], in_dict),
    "__float__": (lambda: DYNAMIC, in_dict),
    "an enumeration": (lambda: STEP[0].value, lambda v: STEP.__setitem__(0, Steps.TWO if v > 1 else Steps.ONE)),
    "a function's attribute": (marked, lambda v: setattr(marked, "scale", v)),
    "a cache": (cached, put_cached),
    "a function given to another": (lambda: functools.reduce(lambda a, b: a + b * DICT["scale"], [0.0, 1.0]), in_dict),
    "a generator made inside": (lambda: next(DICT[key] for key in ("scale",)), in_dict),
    "a foreign module": (lambda: np.scale_of_tests, lambda v: setattr(np, "scale_of_tests", v)),
}


@pytest.fixture(autouse=True)
def as_before(monkeypatch):
    monkeypatch.setenv("SCALE", "1.0")
    yield
    for _, put in PLACES.values():
        put(1.0)
    del np.scale_of_tests


@pytest.mark.parametrize("place", PLACES)
def test_a_number_in_an_odd_place_is_never_stale(place):
    get, put = PLACES[place]

    def scenario(wrap):
        problem = Problem(nn.Sequential(nn.Linear(5, 3)))
        model, optimizer, loss_of = problem.model, problem.optimizer, problem.loss_of

        def step(x, y):
            optimizer.zero_grad()
            loss = loss_of(model(x), y) * float(get())
            loss.backward()
            optimizer.step()
            return loss

        step = wrap(step)
        for seed, value in enumerate((1.0, 2.0, 0.5)):
            put(value)
            problem.train(step, 5, seed=seed)
        return problem.all()

    same(scenario, replays=6)
