"""Convolution and pooling as PyTorch computes them, and refuses them, over random geometries."""

import numpy as np
import pytest

from minidl import ops, tensor

torch = pytest.importorskip("torch")
F = torch.nn.functional
SEEDS = range(60)


def compare(ours, theirs, arrays, rng):
    """Outputs and gradients agree, or both refuse."""
    wanted = [None if a is None else torch.tensor(a, requires_grad=True) for a in arrays]
    given = [None if a is None else tensor(a, requires_grad=True) for a in arrays]
    try:
        expected = theirs(*wanted)
    except RuntimeError:
        with pytest.raises(ValueError):
            ours(*given)
        return
    got = ours(*given)
    upstream = rng.standard_normal(got.shape).astype(got.dtype)
    got.backward(upstream)
    expected.backward(torch.tensor(upstream))
    pairs = [(got.numpy(), expected.detach())]
    pairs += [(g.grad, w.grad) for g, w in zip(given, wanted, strict=True) if g is not None]
    for mine, other in pairs:
        other = other.numpy()
        assert mine.shape == other.shape and mine.dtype == other.dtype
        tolerance = (1e-12 if mine.dtype == np.float64 else 1e-5) * max(1.0, np.abs(other).max())
        np.testing.assert_allclose(mine, other, rtol=0, atol=tolerance)


def pair(rng, low, high):
    values = tuple(int(v) for v in rng.integers(low, high, 2))
    return values if rng.random() < 0.7 else values[0]


def images(rng, channels, smallest=1):
    shape = (int(rng.integers(1, 5)), channels, *rng.integers(smallest, 15, 2))
    shape = shape[1:] if rng.random() < 0.15 else shape
    return rng.standard_normal(shape).astype(rng.choice([np.float32, np.float64]))


@pytest.mark.parametrize("seed", SEEDS)
def test_conv2d(seed):
    rng = np.random.default_rng(seed)
    groups, inputs, outputs = (int(v) for v in (rng.choice([1, 1, 2, 3]), *rng.integers(1, 6, 2)))
    x = images(rng, groups * inputs)
    kernel = (1, 1) if seed % 7 == 0 else tuple(rng.integers(1, 6, 2))
    options = {"stride": pair(rng, 1, 4), "padding": pair(rng, 0, 4), "dilation": pair(rng, 1, 3)}
    if seed % 5 == 0:
        options = {}
    elif seed % 11 == 0:  # with an even kernel torch warns that it copies
        kernel, options = (3, 5), {"padding": "same", "dilation": options["dilation"]}
    weight = rng.standard_normal((groups * outputs, inputs, *kernel)).astype(x.dtype)
    bias = rng.standard_normal(groups * outputs).astype(x.dtype) if seed % 3 else None
    compare(
        lambda *a: ops.conv2d(*a, groups=groups, **options),
        lambda *a: F.conv2d(*a, groups=groups, **options),
        [x, weight, bias],
        rng,
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_pooling(seed):
    rng = np.random.default_rng(seed)
    # below 3 a dilated window can step over the image, where torch writes outside its arrays
    x = images(rng, int(rng.integers(1, 20)), smallest=3)
    options = {"kernel_size": pair(rng, 1, 6), "padding": pair(rng, 0, 3), "ceil_mode": seed % 2 == 0}
    options["stride"] = pair(rng, 1, 5) if seed % 4 else None
    dilated = options | {"dilation": pair(rng, 1, 4)}
    ties = np.round(x) if seed % 3 == 0 else x
    compare(lambda a: ops.max_pool2d(a, **dilated), lambda a: F.max_pool2d(a, **dilated), [ties], rng)
    options["count_include_pad"] = seed % 3 == 0
    options["divisor_override"] = 7 if seed % 5 == 0 else None
    compare(lambda a: ops.avg_pool2d(a, **options), lambda a: F.avg_pool2d(a, **options), [x], rng)
    size = tuple(None if rng.random() < 0.2 else int(v) for v in rng.integers(1, 12, 2))
    compare(lambda a: ops.adaptive_avg_pool2d(a, output_size=size), lambda a: F.adaptive_avg_pool2d(a, size), [x], rng)


def test_nan_wins_in_max_pooling():
    x = np.random.default_rng(0).standard_normal((2, 3, 6, 6)).astype(np.float32)
    x[0, 1, 2, 3] = x[0, 1, 2, 2] = x[1, 2, 5, 5] = np.nan
    x[1, 0] = -np.inf
    for kernel, stride in ((2, 2), (3, 1)):
        given, wanted = tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
        got = ops.max_pool2d(given, kernel_size=kernel, stride=stride)
        expected = F.max_pool2d(wanted, kernel, stride)
        np.testing.assert_array_equal(got.numpy(), expected.detach().numpy())
        upstream = np.random.default_rng(1).standard_normal(got.shape).astype(np.float32)
        got.backward(upstream)
        expected.backward(torch.tensor(upstream))
        np.testing.assert_allclose(given.grad, wanted.grad.numpy(), rtol=1e-6, atol=1e-6)
