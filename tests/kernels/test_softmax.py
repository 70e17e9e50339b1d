"""The kernels of softmax, losses and dropout against plain references, and their independence of chunks."""

import math

import numpy as np
import pytest

from minidl import Generator
from minidl.kernels import dropout, loss, pointwise, softmax
from minidl.kernels import launch as launching
from minidl.kernels.exponential_single import LANES, single_exp
from minidl.kernels.launch import Out, kernel, launch
from minidl.kernels.registers import load, store

DTYPES = [np.float32, np.float64]
CLOSE = {np.float32: {"rtol": 2e-5, "atol": 1e-6}, np.float64: {"rtol": 1e-12, "atol": 1e-13}}


@pytest.fixture(params=[False, True], ids=["whole", "cut"])
def cut(request, monkeypatch):
    """As one chunk, and as many as there are items."""
    if request.param:
        monkeypatch.setattr(launching, "SHARE_FROM", 0)
        monkeypatch.setattr(launching, "CHUNK", 1)


def normal(*shape, dtype=np.float64, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def probabilities(x):
    """Row by row, in Python numbers."""
    out = []
    for row in x.tolist():
        top = max(row)
        size = math.fsum(math.exp(v - top) for v in row)
        out.append([math.exp(v - top) / size for v in row])
    return np.array(out)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(1, 1), (5, 3), (3, 17), (4, 40)])
def test_softmax(shape, dtype, cut):
    x, dy = 3 * normal(*shape, dtype=dtype), normal(*shape, dtype=dtype, seed=1)
    y, dx = np.empty_like(x), np.empty_like(x)
    p = probabilities(x)
    launch(softmax.softmax_forward, len(x), x, y)
    np.testing.assert_allclose(y, p, **CLOSE[dtype])
    launch(softmax.softmax_backward, len(x), y, dy, dx)
    np.testing.assert_allclose(dx, p * (dy - (p * dy).sum(axis=1, keepdims=True)), **CLOSE[dtype])
    launch(softmax.log_softmax_forward, len(x), x, y)
    np.testing.assert_allclose(y, np.log(p), **CLOSE[dtype])
    launch(softmax.log_softmax_backward, len(x), y, dy, dx)
    np.testing.assert_allclose(dx, dy - p * dy.sum(axis=1, keepdims=True), **CLOSE[dtype])


@kernel
def exponentials(x, y: Out, low, high):
    for b in range(low, high):
        at, count = LANES * b, len(x) - LANES * b
        store(y, at, count, single_exp(load(x, at, count, LANES)))


def test_the_exponential_of_float32_is_within_three_ulp():
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.uniform(-104, 60, 3000), rng.uniform(-2, 2, 3000), -(10.0 ** rng.uniform(-45, 1, 1000))])
    x = np.concatenate([x, [0.0, -0.0, -3e38, -np.inf, -103.9, -87.4]]).astype(np.float32)
    y = np.empty_like(x)
    launch(exponentials, -(-x.size // LANES), x, y)
    expected = np.exp(x.astype(np.float64)).astype(np.float32)
    assert np.max(np.abs(y - expected) / np.spacing(expected)) <= 3
    launch(exponentials, 1, np.full(3, np.nan, np.float32), y)
    assert np.isnan(y[:3]).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_rows_with_infinities(dtype):
    inf, nan = np.inf, np.nan
    x = np.array([[-inf, 0, 0], [inf, 0, 0], [-inf, -inf, -inf], [nan, 0, 0], [1e30, 0, -1e30]], dtype)
    y = np.empty_like(x)
    with np.errstate(invalid="ignore"):  # inf - inf, seen by NumPy where the JIT is off
        launch(softmax.softmax_forward, len(x), x, y)
        np.testing.assert_array_equal(y, [[0, 0.5, 0.5], [nan] * 3, [nan] * 3, [nan] * 3, [1, 0, 0]])
        launch(softmax.log_softmax_forward, len(x), x, y)
    half = dtype(-math.log(2))
    expected = np.array([[-inf, half, half], [nan] * 3, [nan] * 3, [nan] * 3, [0, -1e30, -2e30]], dtype)
    np.testing.assert_allclose(y, expected, rtol=1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("smoothing", [0.0, 0.25])
@pytest.mark.parametrize("each", [False, True])
def test_losses_of_labels(each, smoothing, dtype, cut):
    x, weight = normal(6, 4, dtype=dtype), np.array([0.5, 1, 2, 3], dtype)
    labels, dy = np.array([0, 3, -7, 2, 2, 1]), normal(6 if each else 1, dtype=dtype, seed=1)
    probability, losses, dx, divisor = np.empty_like(x), np.empty((2, 6)), np.empty_like(x), np.array([2.5])
    launch(softmax.label_loss_forward, 6, x, labels, weight, probability, losses, -7, smoothing)
    p, kept = probabilities(x), labels != -7
    q = (1 - smoothing) * np.eye(4)[labels % 4] + smoothing / 4
    expected = -(q * weight * np.log(p)).sum(axis=1) * kept
    np.testing.assert_allclose(probability, p, **CLOSE[dtype])
    np.testing.assert_allclose(losses, [expected, weight[labels % 4] * kept], **CLOSE[dtype])
    launch(softmax.label_loss_backward, 6, probability, labels, weight, dy, divisor, dx, -7, smoothing)
    slope = (p * (q * weight).sum(axis=1, keepdims=True) - q * weight) * kept[:, None]
    np.testing.assert_allclose(dx, slope * dy[:, None] / 2.5, **CLOSE[dtype])

    launch(softmax.nll_forward, 6, x, labels, weight, losses, -7)
    chosen = np.take_along_axis(x, labels[:, None] % 4, axis=1)[:, 0]
    w = weight[labels % 4] * kept
    np.testing.assert_allclose(losses, [-w * chosen, w], **CLOSE[dtype])
    launch(softmax.nll_backward, 6, labels, weight, dy, divisor, dx, -7)
    np.testing.assert_allclose(dx, -np.eye(4)[labels % 4] * (w * dy / 2.5)[:, None], **CLOSE[dtype])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("smoothing", [0.0, 0.25])
def test_losses_of_probabilities(smoothing, dtype, cut):
    x, target, weight = (
        normal(5, 3, dtype=dtype),
        probabilities(normal(5, 3, seed=1)).astype(dtype),
        normal(3, dtype=dtype),
    )
    probability, normalizer, losses = np.empty_like(x), np.empty(5), np.empty((2, 5))
    launch(softmax.soft_loss_forward, 5, x, target, weight, probability, normalizer, losses, smoothing)
    p, q = probabilities(x), (1 - smoothing) * target.astype(np.float64) + smoothing / 3
    np.testing.assert_allclose(losses, [-(q * weight * np.log(p)).sum(axis=1), np.ones(5)], **CLOSE[dtype])
    dy, divisor, dx, dt = normal(5, dtype=dtype, seed=2), np.array([5.0]), np.empty_like(x), np.empty_like(x)
    launch(softmax.soft_loss_backward, 5, probability, target, weight, dy, divisor, dx, smoothing)
    slope = p * (q * weight).sum(axis=1, keepdims=True) - q * weight
    np.testing.assert_allclose(dx, slope * dy[:, None] / 5, **CLOSE[dtype])
    launch(softmax.soft_loss_target_gradient, 5, x, normalizer, weight, dy, divisor, dt, smoothing)
    np.testing.assert_allclose(dt, -(1 - smoothing) * weight * np.log(p) * dy[:, None] / 5, **CLOSE[dtype])


@pytest.mark.parametrize("dtype", DTYPES)
def test_losses_of_elements(dtype, cut):
    x, target, dy = normal(9, dtype=dtype), np.linspace(0, 1, 9).astype(dtype), normal(9, dtype=dtype, seed=1)
    weight, positive = np.linspace(0.5, 2, 9).astype(dtype), np.linspace(3, 0.25, 9).astype(dtype)
    y, dx, difference = np.empty((3, 9), dtype)
    launch(loss.squared_error_forward, 9, x, target, difference, y)
    np.testing.assert_allclose(y, (x - target) ** 2, **CLOSE[dtype])
    launch(loss.squared_error_backward, 9, difference, dy, dx, 0.5)
    np.testing.assert_allclose(dx, 0.5 * (x - target) * dy, **CLOSE[dtype])
    launch(loss.logits_loss_forward, 9, x, target, weight, positive, y)
    p = 1 / (1 + np.exp(-x.astype(np.float64)))
    expected = -weight * (positive * target * np.log(p) + (1 - target) * np.log(1 - p))
    np.testing.assert_allclose(y, expected, **CLOSE[dtype])
    launch(loss.logits_loss_backward, 9, x, target, weight, positive, dy, dx, 0.5)
    slope = weight * ((1 - target) * p - positive * target * (1 - p))
    np.testing.assert_allclose(dx, 0.5 * slope * dy, **CLOSE[dtype])
    launch(loss.logits_loss_target_gradient, 9, x, weight, positive, dy, dx, 0.5)
    np.testing.assert_allclose(dx, -0.5 * weight * (positive * np.log(p) - np.log(1 - p)) * dy, **CLOSE[dtype])


def test_logits_beyond_the_range_of_exp():
    x, target, one, y = np.array([1000.0, 1000, -1000, -1000]), np.array([0.0, 1, 0, 1]), np.ones(4), np.empty(4)
    launch(loss.logits_loss_forward, 4, x, target, one, one, y)
    np.testing.assert_array_equal(y, [1000, 0, 0, 1000])


def test_sums_of_losses(cut):
    values = normal(2, 2 * loss.BLOCK + 5)
    partial, sums, out = np.empty((2, 3)), np.empty(2), np.empty(1)
    launch(loss.block_sums, 3, values, partial)
    launch(loss.merge_rows, 2, partial, sums)
    np.testing.assert_allclose(sums, [math.fsum(row.tolist()) for row in values], rtol=1e-11)
    launch(loss.quotient, 1, sums, np.array([4.0]), out)
    assert out[0] == sums[0] / 4


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [1, 4, 11, 128, 300])
def test_dropout(size, dtype, cut):
    x, dy = normal(size, dtype=dtype), normal(size, dtype=dtype, seed=1)
    blocks, keep = -(-size // pointwise.BLOCK), round(0.75 * 2**32)
    y, dx, zeroed = np.empty_like(x), np.empty_like(x), np.empty(2 * blocks, np.uint64)
    launch(dropout.dropout_forward, blocks, x, y, zeroed, np.array([5, 0, 3]), keep, 1 / 0.75)
    generator = Generator(5)
    generator.reserve(3)
    kept = generator.bits(size) < keep
    np.testing.assert_array_equal(np.unpackbits(zeroed.view(np.uint8), bitorder="little")[:size], ~kept)
    np.testing.assert_allclose(y, np.where(kept, x / 0.75, 0), **CLOSE[dtype])
    launch(pointwise.pass_where, blocks, zeroed, dy, dx, 1 / 0.75)
    np.testing.assert_allclose(dx, np.where(kept, dy / 0.75, 0), **CLOSE[dtype])
