"""Pooling kernels against plain loops: ties, NaN, overlapping windows, windows in the padding."""

import numpy as np
import pytest

import minidl
from minidl import ops
from minidl.kernels import launch as launching
from minidl.kernels.launch import launch
from minidl.kernels.pooling import (
    average_backward,
    average_forward,
    max_backward,
    max_backward_apart,
    max_forward,
    max_forward_by_twos,
    max_forward_with_places,
)
from minidl.ops import pooling
from minidl.ops.geometry import adaptive_spans, axis, count_windows, spans

# size, kernel, stride, padding, dilation
GEOMETRIES = [
    ((6, 2, 2, 0, 1), (4, 2, 2, 0, 1)),
    ((7, 3, 2, 1, 1), (5, 3, 1, 1, 1)),
    ((5, 2, 3, 1, 2), (6, 3, 2, 0, 2)),
    ((1, 1, 1, 0, 1), (3, 3, 3, 0, 1)),
]
every_geometry = pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
every_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def table(size, kernel, stride, padding, dilation):
    return axis(size, kernel, stride, padding, dilation, count_windows(size, kernel, stride, 2 * padding, dilation))


def numbers(seed, *shape, dtype=np.float64):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def largest(x, dy, down, across):
    """Output, place and gradient by loops over single numbers."""
    shape = (len(x), len(down.taps), len(across.taps), x.shape[3])
    y, seen, dx = np.empty(shape, x.dtype), np.empty(shape, int), np.zeros_like(x)
    for n, oy, ox, c in np.ndindex(shape):
        inside = [
            (x[n, iy, ix, c], ky * across.taps.shape[1] + kx, iy, ix)
            for ky, iy in enumerate(down.taps[oy])
            for kx, ix in enumerate(across.taps[ox])
            if iy >= 0 and ix >= 0
        ]
        best = max(value for value, *_ in inside)
        y[n, oy, ox, c], seen[n, oy, ox, c], iy, ix = next(row for row in inside if row[0] == best)
        dx[n, iy, ix, c] += dy[n, oy, ox, c]
    return y, seen, dx


@every_geometry
@every_dtype
@pytest.mark.parametrize("ties", [False, True])
def test_max(geometry, dtype, ties):
    down, across = (table(*of_axis) for of_axis in geometry)
    x = numbers(0, 2, geometry[0][0], geometry[1][0], 3, dtype=dtype)
    x = np.round(x) if ties else x
    dy = numbers(1, 2, len(down.taps), len(across.taps), 3, dtype=dtype)
    y, plain, dx = np.full(dy.shape, np.nan, dtype), np.full(dy.shape, np.nan, dtype), np.full(x.shape, np.nan, dtype)
    places = np.full(dy.shape, 255, np.uint8)
    launch(max_forward, 2 * len(down.taps), x, down.taps, across.taps, plain)
    launch(max_forward_with_places, 2 * len(down.taps), x, down.taps, across.taps, y, places)
    launch(max_backward, 2 * len(down.back), dy, places, down.back, across.back, dx)
    expected = largest(x, dy, down, across)
    for got, wanted in zip((plain, y, places), (expected[0], *expected[:2]), strict=True):
        np.testing.assert_array_equal(got, wanted)
    np.testing.assert_allclose(dx, expected[2], rtol=1e-5, atol=1e-6 if dtype == np.float32 else 1e-14)


@every_dtype
@pytest.mark.parametrize("channels", [1, 3, 16, 37])
def test_max_by_twos_and_apart(channels, dtype):
    x = np.round(numbers(0, 3, 6, 10, channels, dtype=dtype) * 2)
    x[0, 2, 3] = x[1, 5, 4] = -np.inf
    x[2, 2:4, 2:4] = -np.inf
    down, across = table(6, 2, 2, 0, 1), table(10, 2, 2, 0, 1)
    dy = numbers(1, 3, 3, 5, channels, dtype=dtype)
    y, places, dx = np.full_like(dy, np.nan), np.full(dy.shape, 255, np.uint8), np.full_like(x, np.nan)
    launch(max_forward_by_twos, 9, x, y, places)
    launch(max_backward_apart, 9, dy, places, 2, 2, dx)
    for got, wanted in zip((y, places, dx), largest(x, dy, down, across), strict=True):
        np.testing.assert_array_equal(got, wanted)
    x[1, 1, 1], x[1, 3, 2], x[1, 2, 3] = np.nan, np.nan, np.nan
    launch(max_forward_by_twos, 9, x, y, places)
    assert np.isnan(y[1, 0, 0]).all() and np.isnan(y[1, 1, 1]).all() and np.isnan(y).sum() == 2 * channels
    assert (places[1, 0, 0] == 3).all() and (places[1, 1, 1] == 2).all()  # the last NaN


def test_max_of_nan_and_of_nothing():
    x = np.array([1.0, np.nan, 3.0, -np.inf, -np.inf, -np.inf]).reshape(1, 1, 6, 1)
    down, across = axis(1, 1, 1, 0, 1, 1), axis(6, 3, 3, 0, 1, 2)
    y, places = np.zeros((1, 1, 2, 1)), np.zeros((1, 1, 2, 1), np.uint8)
    launch(max_forward_with_places, 1, x, down.taps, across.taps, y, places)
    assert np.isnan(y[0, 0, 0, 0]) and y[0, 0, 1, 0] == -np.inf
    assert places.ravel().tolist() == [1, 0]
    launch(max_forward, 1, x, down.taps, across.taps, y)
    assert np.isnan(y[0, 0, 0, 0]) and y[0, 0, 1, 0] == -np.inf
    # a window of two places three apart, around an image of two pixels
    given = minidl.tensor(np.ones((1, 1, 2, 2)), requires_grad=True)
    stepped = ops.max_pool2d(given, kernel_size=2, padding=1, dilation=3)
    assert stepped.numpy().tolist() == [[[[-np.inf]]]]
    assert ops.max_pool2d(given.numpy(), kernel_size=2, padding=1, dilation=3).numpy().tolist() == [[[[-np.inf]]]]
    stepped.backward(np.ones((1, 1, 1, 1)))
    assert (given.grad == 0).all()


@pytest.mark.parametrize(
    ("down", "across"),
    [
        (spans(6, 2, 2, 0, 3, True), spans(5, 2, 2, 0, 2, True)),
        (spans(7, 3, 2, 1, 4, True), spans(5, 3, 1, 1, 5, True)),
        (spans(7, 3, 2, 1, 4, False), spans(5, 3, 2, 1, 3, False)),
        (spans(2, 3, 2, 0, 1, True), spans(6, 4, 3, 2, 3, True)),
        (adaptive_spans(7, 3), adaptive_spans(5, 2)),
        (adaptive_spans(3, 7), adaptive_spans(1, 4)),
    ],
)
@every_dtype
def test_average(down, across, dtype):
    x = numbers(0, 2, len(down.back), len(across.back), 3, dtype=dtype)
    dy = numbers(1, 2, len(down.taps), len(across.taps), 3, dtype=dtype)
    y, dx = np.full(dy.shape, np.nan, dtype), np.full(x.shape, np.nan, dtype)
    tables = down.counts, across.counts
    launch(average_forward, 2 * len(down.taps), x, down.taps, across.taps, *tables, y)
    launch(average_backward, 2 * len(down.back), dy, down.back, across.back, *tables, dx)
    expected, gradient = np.zeros(dy.shape), np.zeros(x.shape)
    for n, oy, ox, c in np.ndindex(dy.shape):
        divisor = down.counts[oy] * across.counts[ox]
        for iy in range(*down.taps[oy]):
            for ix in range(*across.taps[ox]):
                expected[n, oy, ox, c] += x[n, iy, ix, c] / divisor
                gradient[n, iy, ix, c] += dy[n, oy, ox, c] / divisor
    tolerance = {"rtol": 1e-5, "atol": 1e-6} if dtype == np.float32 else {"rtol": 1e-12, "atol": 1e-14}
    np.testing.assert_allclose(y, expected, **tolerance)
    np.testing.assert_allclose(dx, gradient, **tolerance)


def test_spans_by_hand():
    padded, counted = spans(4, 3, 2, 1, 2, True), spans(4, 3, 2, 1, 2, False)
    assert padded.taps.tolist() == counted.taps.tolist() == [[0, 2], [1, 4]]
    assert padded.back.tolist() == [[0, 1], [0, 2], [1, 2], [1, 2]]
    assert padded.counts.tolist() == [3, 3] and counted.counts.tolist() == [2, 3]
    assert spans(2, 3, 2, 0, 1, True).counts.tolist() == [2]  # what lies beyond the padding is not counted
    assert adaptive_spans(5, 2).taps.tolist() == [[0, 3], [2, 5]]
    assert adaptive_spans(5, 2).back.tolist() == [[0, 1], [0, 1], [0, 2], [1, 2], [1, 2]]


def outcomes(x):
    for call in (
        lambda t: ops.max_pool2d(t, kernel_size=3, stride=2, padding=1),
        lambda t: ops.avg_pool2d(t, kernel_size=3, stride=1, padding=1),
        lambda t: ops.adaptive_avg_pool2d(t, output_size=(2, 3)),
    ):
        leaf = minidl.tensor(x, requires_grad=True)
        y = call(leaf)
        y.backward(numbers(1, *y.shape, dtype=x.dtype))
        yield y.numpy()
        yield leaf.grad


def test_chunks_do_not_change_a_bit(monkeypatch):
    x = numbers(0, 3, 5, 7, 6, dtype=np.float32)
    monkeypatch.setattr(launching, "SHARE_FROM", 0)
    shared = list(outcomes(x))
    monkeypatch.setattr(launching, "SHARE_FROM", 1 << 60)
    for one, other in zip(shared, outcomes(x), strict=True):
        np.testing.assert_array_equal(one, other)


def test_places_are_remembered_only_for_a_gradient(monkeypatch):
    monkeypatch.setattr(pooling, "max_forward_with_places", None)
    x = numbers(0, 1, 2, 4, 4)
    expected = x.reshape(1, 2, 2, 2, 2, 2).max((3, 5))
    np.testing.assert_array_equal(ops.max_pool2d(x, kernel_size=2).numpy(), expected)
    with minidl.no_grad():
        leaf = minidl.tensor(x, requires_grad=True)
        np.testing.assert_array_equal(ops.max_pool2d(leaf, kernel_size=2).numpy(), expected)
