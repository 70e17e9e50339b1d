"""Families of the sweep: arithmetic with broadcasting, the largest and smallest elements, shapes."""

import numpy as np
from hypothesis import strategies as st

from minidl import ops
from minidl.kernels.sums import unbroadcast
from tests.kernels.sweep import agree, both_ways, extents, family, leaf, numbers, wide

SHAPES = st.one_of(
    st.lists(st.integers(1, 9), max_size=5).map(tuple),
    st.tuples(extents(300), extents(60)),
    st.tuples(extents(60), extents(20), st.integers(1, 9)),
)
EXACT = {"add": np.add, "subtract": np.subtract, "multiply": np.multiply, "divide": np.divide}
EXACT |= {"maximum": np.maximum, "minimum": np.minimum}


def stretching(rng, shape):
    """A shape that broadcasts to this one."""
    kept = tuple(1 if rng.random() < 0.3 else extent for extent in shape)
    return kept[int(rng.integers(0, len(shape) + 1)) :] if rng.random() < 0.4 else kept


@family(shape=SHAPES, name=st.sampled_from(sorted(EXACT)))
def pairs(rng, dtype, shape, name):
    x, y = numbers(rng, dtype, *stretching(rng, shape)), numbers(rng, dtype, *stretching(rng, shape))
    z, dz, dx, dy = both_ways(getattr(ops, name), leaf(x), leaf(y), rng=rng)
    assert np.array_equal(z, EXACT[name](x, y)) and z.dtype == dtype
    a, b, c = wide(x), wide(y), wide(dz)
    slopes = {
        "add": (c, c),
        "subtract": (c, -c),
        "multiply": (c * b, c * a),
        "divide": (c / b, -c * a / b**2),
        "maximum": (np.where(a > b, c, 0), np.where(a > b, 0, c)),
        "minimum": (np.where(a < b, c, 0), np.where(a < b, 0, c)),
    }
    for got, slope, of in zip((dx, dy), slopes[name], (x, y), strict=True):
        slope = np.broadcast_to(slope, z.shape)
        agree(got, down(slope, of.shape), down(np.abs(slope), of.shape), 4)


def down(gradient, shape):
    """A gradient summed to a shape that was stretched."""
    extra = gradient.ndim - len(shape)
    axes = (*range(extra), *(d + extra for d, n in enumerate(shape) if n == 1))
    return gradient.sum(axes).reshape(shape)


@family(shape=SHAPES, positive=st.booleans())
def functions(rng, dtype, shape, positive):
    x = numbers(rng, dtype, *shape) * dtype(3)
    a = wide(x)
    y, dy, dx = both_ways(ops.exp, leaf(x), rng=rng)
    agree(y, np.exp(a), np.exp(a), 4)
    agree(dx, wide(dy) * np.exp(a), wide(dy) * np.exp(a), 5)
    p = np.abs(x) + dtype(0.01)
    a = wide(p)
    y, dy, dx = both_ways(ops.log, leaf(p), rng=rng)
    agree(y, np.log(a), np.log(a), 4)
    agree(dx, wide(dy) / a, wide(dy) / a, 2)
    y, dy, dx = both_ways(ops.sqrt, leaf(p), rng=rng)
    assert np.array_equal(y, np.sqrt(p))
    e = dtype(rng.choice([-2, -1, -0.5, 0.5, 1, 1.5, 2, 3]))
    y, dy, dx = both_ways(lambda x: ops.power(x, float(e)), leaf(p), rng=rng)
    agree(y, a ** wide(e), a ** wide(e), 4)
    agree(dx, wide(dy) * wide(e) * a ** (wide(e) - 1), wide(dy) * wide(e) * a ** (wide(e) - 1), 6)
    y, dy, dx = both_ways(ops.absolute, leaf(x), rng=rng)
    assert np.array_equal(y, np.abs(x)) and np.array_equal(dx, np.sign(x) * dy)
    mask = np.asarray(x > 0 if positive else True)
    y, dy, dx = both_ways(lambda x: ops.where(mask, x, 1.5), leaf(x), rng=rng)
    assert np.array_equal(y, np.where(mask, x, dtype(1.5))) and np.array_equal(dx, np.where(mask, dy, 0))


@family(shape=SHAPES | st.tuples(extents(9000)), dims=st.sets(st.integers(0, 4), max_size=4), ties=st.booleans())
def extremes(rng, dtype, shape, dims, ties):
    dim = tuple(sorted({d % len(shape) for d in dims})) if shape and dims else None
    x = numbers(rng, dtype, *shape)
    x = np.round(x) if ties else x
    axes = tuple(range(len(shape))) if dim is None else dim
    for function, reference in ((ops.max, np.max), (ops.min, np.min)):
        y, dy, dx = both_ways(lambda x, f=function: f(x, dim=dim), leaf(x), rng=rng)
        assert np.array_equal(y, reference(x, axes))
        won = x == np.expand_dims(y, axes)
        agree(dx, won * wide(np.expand_dims(dy, axes)) / won.sum(axes, keepdims=True), wide(dx), 2)
        bad = x.copy()
        bad.reshape(-1)[int(rng.integers(x.size))] = np.nan
        assert np.array_equal(function(bad, dim=dim)._array, reference(bad, axes), equal_nan=True)


@family(shape=SHAPES)
def unbroadcasting(rng, dtype, shape):
    x = numbers(rng, dtype, *shape)
    to = stretching(rng, shape)
    agree(unbroadcast(x, to), down(wide(x), to), down(np.abs(wide(x)), to), 4)


@family(shape=SHAPES)
def shaping(rng, dtype, shape):
    x = numbers(rng, dtype, *shape)
    order = rng.permutation(len(shape)).tolist()
    flat_of = both_ways(lambda x: ops.reshape(ops.permute(x, dims=order), shape=(-1,)), leaf(x), rng=rng)
    y, dy, dx = flat_of
    assert np.array_equal(y, x.transpose(order).reshape(-1))
    assert np.array_equal(dx.transpose(order).reshape(-1), dy)
    at = tuple(
        int(rng.integers(n)) if rng.random() < 0.3 else slice(None, None, int(rng.choice([-1, 1, 2]))) for n in shape
    )
    y, dy, dx = both_ways(lambda x: x[at], leaf(x), rng=rng)
    expected = np.zeros_like(x)
    expected[at] = dy
    assert np.array_equal(y, x[at]) and np.array_equal(dx, expected)
    if shape:
        dim = int(rng.integers(len(shape)))
        other = numbers(rng, dtype, *(3 if d == dim else n for d, n in enumerate(shape)))
        y, dy, dx, d_other = both_ways(lambda *t: ops.concatenate(t, dim=dim), leaf(x), leaf(other), rng=rng)
        assert np.array_equal(y, np.concatenate([x, other], dim))
        assert np.array_equal(np.concatenate([dx, d_other], dim), dy)
