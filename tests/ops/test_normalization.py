"""Batch normalization against its formula in primitives, and the mistakes that others made."""

import numpy as np
import pytest

import minidl
from minidl import ops, tensor
from minidl.kernels import launch as launching

EPS = 1e-5
SHAPES = [(8, 3), (4, 3, 5), (4, 3, 5, 7), (33, 1), (4, 1, 6, 6), (300, 20)]


def normal(*shape, seed=0, dtype=np.float64, mean=0.0):
    return (mean + np.random.default_rng(seed).standard_normal(shape)).astype(dtype)


def leaves(shape, dtype=np.float64):
    """Input, weight and bias, random, with gradients wanted."""
    arrays = normal(*shape, dtype=dtype), normal(shape[1], seed=1, dtype=dtype), normal(shape[1], seed=2, dtype=dtype)
    return [tensor(a, requires_grad=True) for a in arrays]


def composed(x, weight, bias, mean=None, variance=None):
    """The same formula from mean, var and sqrt."""
    dims, each = (0, *range(2, x.ndim)), (1, -1, *[1] * (x.ndim - 2))
    mean = x.mean(dim=dims, keepdim=True) if mean is None else mean.reshape(each)
    variance = x.var(dim=dims, correction=0, keepdim=True) if variance is None else variance.reshape(each)
    return (x - mean) / (variance + EPS).sqrt() * weight.reshape(each) + bias.reshape(each)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("training", [True, False])
def test_batch_norm_is_its_formula_in_primitives(shape, training):
    statistics = normal(shape[1], seed=4), normal(shape[1], seed=5) ** 2 + 0.5
    upstream, results = normal(*shape, seed=3), []
    for fused in (True, False):
        inputs = leaves(shape)
        if fused:
            mean, variance = (s.copy() for s in statistics)
            y = ops.batch_norm(*inputs, running_mean=mean, running_var=variance, training=training)
        else:
            y = composed(*inputs, *(() if training else (tensor(s) for s in statistics)))
        y.backward(upstream)
        results.append([y.numpy(), *(leaf.grad for leaf in inputs)])
    for got, expected in zip(*results, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("shape", [(60, 4), (16, 2, 9, 9), (700, 1)])
def test_mean_ten_thousand_with_deviation_one_survives_in_float32(shape):
    # E[x^2] - E[x]^2 loses every digit here and may turn out negative: a NaN (PyTorch, MLX, ONNX Runtime)
    x = normal(*shape, dtype=np.float32, mean=1e4)
    y = ops.batch_norm(x).numpy()
    assert y.dtype == np.float32
    np.testing.assert_allclose(y, ops.batch_norm(x.astype(np.float64)).numpy(), rtol=0, atol=1e-4)
    z = ops.layer_norm(x.reshape(-1, 60)[:9], normalized_shape=60).numpy() if x.size % 60 == 0 else None
    if z is not None:
        wide = ops.layer_norm(x.reshape(-1, 60)[:9].astype(np.float64), normalized_shape=60).numpy()
        np.testing.assert_allclose(z, wide, rtol=0, atol=1e-4)


def test_gradients_survive_a_mean_of_ten_thousand_in_float32():
    x, upstream = normal(64, 5, dtype=np.float32, mean=1e4), normal(64, 5, seed=3, dtype=np.float32)
    for function in (lambda t, w: ops.batch_norm(t, w), lambda t, w: ops.layer_norm(t, w, normalized_shape=5)):
        gradients = []
        for dtype in (np.float32, np.float64):
            leaf, weight = (
                tensor(a.astype(dtype), requires_grad=True) for a in (x, normal(5, seed=1, dtype=np.float32))
            )
            function(leaf, weight).backward(upstream.astype(dtype))
            gradients.append((leaf.grad, weight.grad))
        np.testing.assert_allclose(gradients[0][0], gradients[1][0], rtol=1e-3, atol=1e-3)
        np.testing.assert_allclose(gradients[0][1], gradients[1][1], rtol=1e-3, atol=1e-3)


def test_a_constant_channel_is_its_bias():
    x = np.full((7, 3), 1e4 / 3, np.float32)
    bias = np.array([1.0, -2.0, 0.5], np.float32)
    np.testing.assert_array_equal(ops.batch_norm(x, None, bias).numpy(), np.broadcast_to(bias, (7, 3)))


@pytest.mark.parametrize("shape", [(64, 3), (16, 3, 5, 5), (16, 3, 5), (128, 1), (60, 100)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_one_example_in_evaluation_equals_its_row_in_a_batch(shape, dtype):
    x, weight, bias = (leaf.numpy() for leaf in leaves(shape, dtype))
    statistics = {"running_mean": normal(shape[1], seed=4, dtype=dtype), "running_var": np.full(shape[1], 0.7, dtype)}
    batch = ops.batch_norm(x, weight, bias, training=False, **statistics).numpy()
    for i in (0, 7, len(x) - 1):
        alone = ops.batch_norm(x[i : i + 1], weight, bias, training=False, **statistics).numpy()
        assert np.array_equal(alone[0], batch[i])


def test_images_are_normalized_over_all_their_pixels():
    # not for each pixel on its own (tinynn, ML-From-Scratch): a batch of images is a batch of N*H*W rows
    x, weight, bias = (leaf.numpy() for leaf in leaves((4, 3, 5, 7)))
    flat = x.transpose(0, 2, 3, 1).reshape(-1, 3)
    as_rows = ops.batch_norm(flat, weight, bias).numpy().reshape(4, 5, 7, 3).transpose(0, 3, 1, 2)
    assert np.array_equal(ops.batch_norm(x, weight, bias).numpy(), as_rows)
    assert np.array_equal(ops.batch_norm(x.reshape(4, 3, 35), weight, bias).numpy().reshape(x.shape), as_rows)


def test_running_statistics_move_by_momentum_to_the_unbiased_variance():
    x = normal(10, 3, mean=2.0)
    mean, variance = np.array([1.0, 2.0, 3.0]), np.array([1.0, 4.0, 9.0])
    before = mean.copy(), variance.copy()
    ops.batch_norm(x, running_mean=mean, running_var=variance, momentum=0.25)
    np.testing.assert_allclose(mean, 0.75 * before[0] + 0.25 * x.mean(axis=0), rtol=1e-13)
    np.testing.assert_allclose(variance, 0.75 * before[1] + 0.25 * x.var(axis=0, ddof=1), rtol=1e-13)
    kept = mean.copy()
    ops.batch_norm(x, running_mean=mean, running_var=variance, training=False)
    assert np.array_equal(mean, kept)


def test_the_cumulative_mean_by_a_momentum_for_each_call():
    mean, variance, batches = np.zeros(2), np.ones(2), [normal(6, 2, seed=s) for s in range(4)]
    for count, batch in enumerate(batches, start=1):
        ops.batch_norm(batch, running_mean=mean, running_var=variance, momentum=1 / count)
    np.testing.assert_allclose(mean, np.mean([b.mean(axis=0) for b in batches], axis=0), rtol=1e-12)
    np.testing.assert_allclose(variance, np.mean([b.var(axis=0, ddof=1) for b in batches], axis=0), rtol=1e-12)


@pytest.mark.parametrize("shape", [(6, 2), (600, 2)])
def test_the_cumulative_mean_by_counting_batches(shape):
    mean, variance, count = np.zeros(2), np.ones(2), np.array(0)
    batches = [normal(*shape, seed=s) for s in range(4)]
    for batch in batches:
        ops.batch_norm(batch, running_mean=mean, running_var=variance, num_batches_tracked=count, momentum=None)
    assert count == 4
    np.testing.assert_allclose(mean, np.mean([b.mean(axis=0) for b in batches], axis=0), rtol=1e-12)
    np.testing.assert_allclose(variance, np.mean([b.var(axis=0, ddof=1) for b in batches], axis=0), rtol=1e-12)
    arguments = {"running_mean": mean, "running_var": variance, "num_batches_tracked": count}
    ops.batch_norm(batches[0], training=False, **arguments)
    assert count == 4


def test_evaluation_has_a_gradient():
    # DeZero's failed: with fixed statistics dx = dy * weight / sqrt(var + eps), without the terms of training
    x, weight, bias = leaves((6, 3))
    variance, upstream = np.array([0.5, 2.0, 3.0]), normal(6, 3, seed=3)
    ops.batch_norm(x, weight, bias, running_mean=np.ones(3), running_var=variance, training=False).backward(upstream)
    inverse = 1 / np.sqrt(variance + EPS)
    np.testing.assert_allclose(x.grad, upstream * weight.numpy() * inverse, rtol=1e-12)
    np.testing.assert_allclose(weight.grad, (upstream * (x.numpy() - 1) * inverse).sum(axis=0), rtol=1e-12)
    np.testing.assert_allclose(bias.grad, upstream.sum(axis=0), rtol=1e-12)


def test_the_sum_of_a_normalized_batch_has_no_gradient():
    # so a gradient test by sum(bn(x)) passes for a rule that answers zeros; every case here has a random upstream
    x = tensor(normal(9, 4), requires_grad=True)
    ops.batch_norm(x).sum().backward()
    np.testing.assert_allclose(x.grad, 0, atol=1e-14)
    x.grad = None
    ops.batch_norm(x).backward(normal(9, 4, seed=3))
    assert np.abs(x.grad).max() > 0.1


def test_gradients_that_are_not_needed_are_left_out():
    x, weight, bias = leaves((6, 3))
    ops.batch_norm(x.detach(), weight, bias).backward(normal(6, 3, seed=3))
    assert x.grad is None and weight.grad is not None and bias.grad is not None
    expected = weight.grad
    weight.grad = None
    ops.batch_norm(x, weight, bias).backward(normal(6, 3, seed=3))
    assert np.array_equal(weight.grad, expected)


def test_layer_norm_is_over_the_last_dimensions_of_each_example():
    # not over the batch (PyDyNet), and for images over (C, H, W) in the order of the shape, not of the memory
    x, weight = normal(2, 3, 4, 5, mean=3.0), normal(3, 4, 5, seed=1)
    y = ops.layer_norm(minidl.kernels.layout.dense(x), weight, normalized_shape=(3, 4, 5)).numpy()
    mean, variance = x.mean(axis=(1, 2, 3), keepdims=True), x.var(axis=(1, 2, 3), keepdims=True)
    np.testing.assert_allclose(y, (x - mean) / np.sqrt(variance + EPS) * weight, rtol=1e-11, atol=1e-12)
    alone = ops.layer_norm(x[:1], weight, normalized_shape=(3, 4, 5)).numpy()
    assert np.array_equal(alone[0], y[0])


def test_dropout_is_scaled_in_training_so_that_evaluation_does_nothing():
    # PyDyNet's was not
    x = tensor(np.full((200, 500), 3.0, np.float32), requires_grad=True)
    y = ops.dropout(x, p=0.2, rng=1)
    assert set(np.unique(y.numpy())) == {np.float32(0), np.float32(3 / 0.8)}
    assert np.mean(y.numpy() == 0) == pytest.approx(0.2, abs=0.006)  # 5 standard deviations of 100,000 draws
    y.backward(np.ones_like(y.numpy()))
    np.testing.assert_array_equal(x.grad, y.numpy() / np.float32(3))
    assert np.array_equal(ops.dropout(x, p=0.2, training=False).numpy(), x.numpy())
    assert np.array_equal(ops.dropout(x, p=1.0, rng=1).numpy(), np.zeros_like(x.numpy()))


def test_dropout_draws_anew_and_is_a_function_of_the_generators_state():
    x, generator = normal(40, 50), minidl.Generator(3)
    first, second = ops.dropout(x, rng=generator).numpy(), ops.dropout(x, rng=generator).numpy()
    assert np.mean((first == 0) == (second == 0)) == pytest.approx(0.5, abs=0.06)
    generator.state = (3, 0, 500)  # 2,000 elements are 500 blocks of four words
    assert np.array_equal(ops.dropout(x, rng=generator).numpy(), second)
    minidl.manual_seed(3)
    assert np.array_equal(ops.dropout(x).numpy(), first)
    assert np.array_equal(ops.dropout(x.astype(np.float32), rng=3).numpy() == 0, first == 0)


def everything(dtype):
    """Outputs and gradients of each op of this family, on arrays that several threads may share."""
    results = []
    for shape in [(64, 4, 14, 14), (300, 130)]:
        x, weight, bias = leaves(shape, dtype)
        upstream, size = normal(*shape, seed=3, dtype=dtype), shape[-1]
        running = {"running_mean": np.zeros(shape[1], dtype), "running_var": np.ones(shape[1], dtype)}
        scale = tensor(normal(size, seed=6, dtype=dtype), requires_grad=True)
        outputs = [
            ops.batch_norm(x, weight, bias, **running),
            ops.layer_norm(x, scale, normalized_shape=size),
            ops.softmax(x, dim=1),
            ops.dropout(x, rng=1),
        ]
        for y in outputs:
            y.backward(upstream)
        target = np.random.default_rng(7).integers(0, shape[1], (shape[0], *shape[2:]))
        outputs += [ops.cross_entropy(x, target), ops.mse_loss(x, upstream)]
        outputs[-1].backward()
        outputs[-2].backward()
        results += (
            [y.numpy() for y in outputs] + [leaf.grad for leaf in (x, weight, bias, scale)] + list(running.values())
        )
    return results


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_bits_depend_neither_on_threads_nor_on_how_the_work_is_cut(dtype, monkeypatch):
    expected = everything(dtype)
    minidl.set_num_threads(1)
    try:
        alone = everything(dtype)
    finally:
        minidl.set_num_threads(launching.config.NUMBA_NUM_THREADS)
    monkeypatch.setattr(launching, "SHARE_FROM", 0)
    monkeypatch.setattr(launching, "CHUNK", 100)
    cut = everything(dtype)
    for a, b, c in zip(expected, alone, cut, strict=True):
        assert np.array_equal(a, b) and np.array_equal(a, c)
