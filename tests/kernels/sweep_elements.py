"""Families of the sweep: activations, dropout, sums, an optimizer's updates."""

import numpy as np
from hypothesis import strategies as st

from minidl import nn, ops, optim
from tests.kernels.sweep import SHAPES, agree, both_ways, extents, family, leaf, numbers, wide

ANY_SHAPE = st.lists(st.integers(1, 12), min_size=0, max_size=4).map(tuple) | st.tuples(extents(5000))


@family(shape=ANY_SHAPE, slope=st.sampled_from([0.0, 0.01, 0.5]), large=st.booleans())
def activations(rng, dtype, shape, slope, large):
    x = numbers(rng, dtype, *shape) * dtype(30 if large else 1)
    exact = wide(x)
    y, dy, dx = both_ways(ops.relu, leaf(x), rng=rng)
    assert np.array_equal(y, np.maximum(x, 0)) and np.array_equal(dx, np.where(x > 0, dy, 0))
    y, dy, dx = both_ways(lambda x: ops.leaky_relu(x, negative_slope=slope), leaf(x), rng=rng)
    agree(y, np.where(x > 0, exact, exact * dtype(slope)), exact, 1)
    agree(dx, np.where(x > 0, wide(dy), wide(dy) * dtype(slope)), wide(dy), 1)
    y, dy, dx = both_ways(ops.tanh, leaf(x), rng=rng)
    agree(y, np.tanh(exact), np.tanh(exact), 4)
    agree(dx, (1 - np.tanh(exact) ** 2) * wide(dy), (1 + np.tanh(exact) ** 2) * wide(dy), 4)
    y, dy, dx = both_ways(ops.sigmoid, leaf(x), rng=rng)
    share = 1 / (1 + np.exp(-exact))
    agree(y, share, share, 4)
    agree(dx, share * (1 - share) * wide(dy), share * wide(dy), 4)
    y, dy, dx = both_ways(lambda x: ops.relu(x) + ops.leaky_relu(x) + x, leaf(x), rng=rng)  # three gradients, added up
    agree(dx, np.where(x > 0, 3, 1.01) * wide(dy), wide(dy), 4)


@family(shape=ANY_SHAPE, p=st.sampled_from([0.0, 0.1, 0.5, 0.9, 1.0]))
def dropout(rng, dtype, shape, p):
    x = numbers(rng, dtype, *shape)
    seed = int(rng.integers(1 << 30))
    y, dy, dx = both_ways(lambda x: ops.dropout(x, p=p, rng=seed), leaf(x), rng=rng)
    kept = y != 0
    scale = 1 / (1 - p) if p < 1 else 0.0
    agree(y, np.where(kept, wide(x) * scale, 0), wide(x) * scale, 1)
    agree(dx, np.where(kept, wide(dy) * scale, 0), wide(dy) * scale, 1)
    if x.size > 1000:
        assert abs(kept.mean() - (1 - p)) <= 6 * np.sqrt(p * (1 - p) / x.size)
    assert np.array_equal(ops.dropout(x, p=p, rng=seed)._array, y)


@family(shape=SHAPES | st.tuples(extents(600), extents(200)), dims=st.sets(st.integers(0, 2), max_size=3))
def sums(rng, dtype, shape, dims):
    dim = tuple(sorted({d % len(shape) for d in dims})) or None
    x = numbers(rng, dtype, *shape)
    exact, axes = wide(x), dim if dim is not None else tuple(range(len(shape)))
    count = int(np.prod([shape[d] for d in axes]))
    size = np.abs(exact).sum(axes)
    for function, by in ((ops.sum, 1), (ops.mean, count)):
        y, dy, dx = both_ways(lambda x, f=function: f(x, dim=dim), leaf(x), rng=rng)
        agree(y, exact.sum(axes) / by, size / by, 4)
        back = np.broadcast_to(np.expand_dims(wide(dy), axes) / by, shape)
        agree(dx, back, back, 2)
    if count > 1:
        y, dy, dx = both_ways(lambda x: ops.var(x, dim=dim), leaf(x), rng=rng)
        away = exact - exact.mean(axes, keepdims=True)
        agree(y, (away**2).sum(axes) / (count - 1), (exact**2).sum(axes) / (count - 1), 8)
        back = 2 / (count - 1) * np.expand_dims(wide(dy), axes)
        agree(dx, away * back, (np.abs(exact) + size.reshape(np.shape(np.expand_dims(size, axes))) / count) * back, 8)


@family(
    shape=ANY_SHAPE, momentum=st.sampled_from([0.0, 0.9]), decay=st.sampled_from([0.0, 0.1]), nesterov=st.booleans()
)
def updates(rng, dtype, shape, momentum, decay, nesterov):
    start = numbers(rng, dtype, *shape)
    parameter = nn.Parameter(start)
    options = {"momentum": momentum, "weight_decay": decay, "nesterov": nesterov and momentum > 0}
    optimizer = optim.SGD([parameter], lr=0.1, **options)
    expected, velocity = wide(start), 0
    for _ in range(2):
        gradient = numbers(rng, dtype, *shape)
        parameter.grad = gradient.copy()
        optimizer.step()
        slope = wide(gradient) + decay * expected
        velocity = momentum * velocity + slope
        expected = expected - 0.1 * (slope + momentum * velocity if options["nesterov"] else velocity)
    agree(parameter._array, expected, np.abs(expected) + np.abs(wide(start)) + 1, 4)
