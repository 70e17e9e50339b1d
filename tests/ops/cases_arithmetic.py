"""Cases for arithmetic, comparisons, choice and activations."""

import math

import numpy as np

from minidl.ops import cast
from tests.ops.case import Case


def positive(*shape):
    return lambda rng: rng.uniform(0.5, 2.0, shape)


def apart(*shape):
    """Numbers at least 0.1 away from zero, where a function may have a kink."""
    return lambda rng: rng.uniform(0.1, 2.0, shape) * rng.choice([-1.0, 1.0], shape)


def mask(*shape):
    return lambda rng: rng.random(shape) < 0.5


def few(*shape):
    return lambda rng: rng.integers(-2, 3, shape).astype(float)


def each(function):
    """A reference that calls a function of Python numbers once an element, with broadcasting."""

    def reference(*arrays, **options):
        stretched = np.broadcast_arrays(*arrays)
        out = [function(*map(float, row), **options) for row in zip(*(a.ravel() for a in stretched), strict=True)]
        return np.array(out).reshape(stretched[0].shape)

    return reference


PAIRS = [((5,), (5,)), ((3, 1), (1, 7)), ((2, 3, 5, 7), (3, 1, 1)), ((), (4,)), ((0, 3), (1, 3)), ((7, 3), (7, 3))]
SHAPES = [(), (1,), (13,), (0, 3), (7, 11), (2, 3, 5, 7), (2, 1, 4, 4)]

CASES = [Case("add", pair, each(lambda a, b: a + b)) for pair in PAIRS]
CASES += [Case("add", ((2, 8, 48, 48), (2, 8, 48, 48)), lambda a, b: a + b)]  # large enough for a kernel
CASES += [Case("subtract", pair, each(lambda a, b: a - b)) for pair in PAIRS]
CASES += [Case("multiply", pair, each(lambda a, b: a * b)) for pair in PAIRS]
CASES += [Case("divide", (a, apart(*b)), each(lambda a, b: a / b)) for a, b in PAIRS]
CASES += [Case("power", (positive(*a), b), each(lambda a, b: a**b)) for a, b in PAIRS]
CASES += [Case("maximum", (a, b), each(max)) for a, b in PAIRS] + [Case("minimum", (a, b), each(min)) for a, b in PAIRS]
CASES += [Case("negative", (s,), each(lambda a: -a)) for s in SHAPES]
CASES += [Case("absolute", (apart(*s),), each(abs)) for s in SHAPES]
CASES += [  # there and back, so that the dtype is the input's
    Case("cast", (s,), lambda x: x, call=lambda x: cast(cast(x, dtype="float64"), dtype=x.dtype)) for s in SHAPES
]
CASES += [Case("exp", (s,), each(math.exp)) for s in SHAPES]
CASES += [Case("log", (positive(*s),), each(math.log)) for s in SHAPES]
CASES += [Case("sqrt", (positive(*s),), each(math.sqrt)) for s in SHAPES]
CASES += [
    Case("where", (mask(3, 1), (3, 5), (5,)), lambda c, x, y: c * x + (1 - c) * y),
    Case("where", (mask(2, 3, 5, 7), (2, 3, 5, 7), (3, 1, 1)), lambda c, x, y: c * x + (1 - c) * y),
    Case("where", (mask(0), (0,), (0,)), lambda c, x, y: x),
]
for name, compare in {
    "equal": lambda a, b: a == b,
    "not_equal": lambda a, b: a != b,
    "less": lambda a, b: a < b,
    "less_equal": lambda a, b: a <= b,
    "greater": lambda a, b: a > b,
    "greater_equal": lambda a, b: a >= b,
}.items():
    for a, b in [((5, 1), (7,)), ((11,), (11,)), ((0,), (1,))]:
        CASES.append(Case(name, (few(*a), few(*b)), lambda x, y, f=compare: each(f)(x, y).astype(bool), smooth=False))

BIG = (3, 16384)  # past the size from which several threads share the work
CASES += [Case("relu", (apart(*s),), each(lambda a: max(a, 0.0))) for s in [*SHAPES, BIG]]
CASES += [
    Case("leaky_relu", (apart(*s),), each(lambda a, negative_slope: max(a, 0) + negative_slope * min(a, 0)), o)
    for s in SHAPES
    for o in ({"negative_slope": 0.2}, {"negative_slope": 1.5}, {"negative_slope": 0})
]
CASES += [Case("leaky_relu", (apart(13),), each(lambda a: max(a, 0) + 0.01 * min(a, 0)))]
CASES += [Case("tanh", (s,), each(math.tanh)) for s in [*SHAPES, BIG]]
CASES += [Case("sigmoid", (s,), each(lambda a: 1 / (1 + math.exp(-a)))) for s in [*SHAPES, BIG]]
