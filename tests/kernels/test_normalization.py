"""The kernels of batch and layer normalization against NumPy in float64, and their independence of chunks."""

import numpy as np
import pytest

from minidl.kernels import launch as launching
from minidl.kernels import normalization as kernels
from minidl.kernels.launch import launch
from minidl.kernels.reduce import merge_columns

SHAPES = [(2, 1), (5, 3), (37, 2), (24, 5), (70, 3)]
DTYPES = [np.float32, np.float64]


@pytest.fixture(params=[False, True], ids=["whole", "cut"])
def cut(request, monkeypatch):
    """As one chunk, and as many as there are items."""
    if request.param:
        monkeypatch.setattr(launching, "SHARE_FROM", 0)
        monkeypatch.setattr(launching, "CHUNK", 1)


def normal(*shape, dtype=np.float64, seed=0, mean=0.0):
    return (mean + np.random.default_rng(seed).standard_normal(shape)).astype(dtype)


def test_lanes_fill_registers_and_divide_the_rows():
    assert [kernels.lanes_of(*s) for s in [(64, 1), (48, 3), (7, 1), (6, 1), (64, 64), (64, 33), (0, 2)]] == [
        64,
        16,
        1,
        2,
        1,
        2,
        32,
    ]
    assert [kernels.block_rows(w) for w in (0, 1, 64, 100, 5000)] == [256, 256, 64, 40, 16]


def moments(x, step):
    """Mean and sum of squared deviations of each column, by the kernels."""
    blocks, width = -(-len(x) // step), x.shape[1]
    pivot, rest, squares = np.empty((3, blocks, width), x.dtype)
    mean, deviation = np.empty((2, width))
    launch(kernels.batch_moments, blocks, x, pivot, rest, squares, step)
    launch(kernels.merge_moments, width, pivot, rest, squares, mean, deviation, len(x), step)
    return mean, deviation


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("mean", [0.0, 1e4])
@pytest.mark.parametrize("shape", SHAPES)
def test_moments(shape, mean, dtype, cut):
    x = normal(*shape, dtype=dtype, mean=mean)
    wide = x.astype(np.float64)
    got = moments(x, 16)
    tolerance = 1e-5 if dtype == np.float32 else 1e-11
    np.testing.assert_allclose(got[0], wide.mean(axis=0), rtol=1e-8 if dtype == np.float32 else 1e-13, atol=tolerance)
    np.testing.assert_allclose(got[1], ((wide - wide.mean(axis=0)) ** 2).sum(axis=0), rtol=tolerance, atol=tolerance)


def test_a_block_whose_mean_is_badly_rounded_keeps_its_variance():
    # the float32 sum of 256 numbers near 1e6 is off by whole units: the deviations' own sum has to repair the mean
    x = normal(256, 4, dtype=np.float32, mean=1e6)
    wide = x.astype(np.float64)
    mean, deviation = moments(x, 256)
    np.testing.assert_allclose(mean, wide.mean(axis=0), rtol=0, atol=1e-4)
    np.testing.assert_allclose(deviation, ((wide - wide.mean(axis=0)) ** 2).sum(axis=0), rtol=1e-4)


def forward(x, weight, bias, lanes, eps=1e-3):
    """Statistics of wide rows, the running ones, what is saved, and the output."""
    channels = len(weight)
    matrix = x.reshape(len(x) // lanes, lanes * channels)
    running = np.full((2, channels), 2, x.dtype)
    saved, affine, y = np.empty((2, channels)), np.empty((3, matrix.shape[1]), x.dtype), np.empty_like(matrix)
    arguments = (weight, bias, *running, saved, affine, len(matrix), 0.25, eps)
    launch(kernels.batch_statistics, channels, *moments(matrix, 16), *arguments)
    launch(kernels.normalize, len(matrix), matrix, affine, y)
    return matrix, running, saved, affine, y


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("lanes", [1, 4])
def test_batch_norm(lanes, dtype, cut):
    x, (weight, bias), dy = (
        normal(36, 3, dtype=dtype),
        normal(2, 3, dtype=dtype, seed=1),
        normal(36, 3, dtype=dtype, seed=2),
    )
    matrix, running, saved, affine, y = forward(x, weight, bias, lanes)
    wide = x.astype(np.float64)
    mean, inverse = wide.mean(axis=0), 1 / np.sqrt(wide.var(axis=0) + 1e-3)
    z = (wide - mean) * inverse
    close = {"rtol": 1e-5, "atol": 1e-5} if dtype == np.float32 else {"rtol": 1e-12, "atol": 1e-12}
    np.testing.assert_allclose(y.reshape(36, 3), z * weight + bias, **close)
    np.testing.assert_allclose(running, [1.5 + 0.25 * mean, 1.5 + 0.25 * wide.var(axis=0, ddof=1)], **close)

    upstream, blocks = dy.reshape(matrix.shape), -(-len(matrix) // 16)
    partial, sums = np.empty((2, blocks, matrix.shape[1]), dtype), np.empty((2, matrix.shape[1]))
    launch(kernels.batch_gradient_sums, blocks, matrix, upstream, affine, *partial, 16)
    for part, out in zip(partial, sums, strict=True):
        launch(merge_columns, matrix.shape[1], part, out, out)
    (dweight, dbias), slopes, dx = np.empty((2, 3), dtype), np.empty_like(affine), np.empty_like(matrix)
    launch(kernels.batch_gradients, 3, sums, weight, saved, dweight, dbias, slopes, len(matrix), True)
    launch(kernels.batch_input_gradient, len(matrix), matrix, upstream, affine, slopes, dx)
    np.testing.assert_allclose(dbias, dy.sum(axis=0, dtype=np.float64), **close)
    np.testing.assert_allclose(dweight, (dy * z).sum(axis=0), **close)
    expected = weight * inverse * (dy - dy.mean(axis=0) - z * (dy * z).mean(axis=0))
    np.testing.assert_allclose(dx.reshape(36, 3), expected, **close)


@pytest.mark.parametrize("lanes", [1, 2])
def test_fixed_statistics(lanes, cut):
    x, (weight, bias, mean), variance = normal(6, 3), normal(3, 3, seed=1), np.array([0.5, 2.0, 3.0])
    saved, affine, y = np.empty((2, 3)), np.empty((3, 3 * lanes)), np.empty((6 // lanes, 3 * lanes))
    launch(kernels.fixed_statistics, 3, mean, variance, weight, bias, saved, affine, 1e-3)
    launch(kernels.normalize, len(y), x.reshape(y.shape), affine, y)
    inverse = 1 / np.sqrt(variance + 1e-3)
    np.testing.assert_allclose(y.reshape(6, 3), (x - mean) * inverse * weight + bias, rtol=1e-12, atol=1e-12)
    dweight, dbias, slopes = np.empty(3), np.empty(3), np.empty_like(affine)
    sums = normal(2, 3 * lanes, seed=3)
    launch(kernels.batch_gradients, 3, sums, weight, saved, dweight, dbias, slopes, len(y), False)
    folded = sums.reshape(2, lanes, 3).sum(axis=1)
    np.testing.assert_allclose(dbias, folded[0], rtol=1e-12)
    np.testing.assert_allclose(dweight, folded[1] * inverse, rtol=1e-12)
    np.testing.assert_allclose(
        slopes.reshape(3, lanes, 3)[:, 0], [0 * weight, weight * inverse, 0 * weight], rtol=1e-12
    )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [1, 5, 16, 37])
@pytest.mark.parametrize("mean", [0.0, 1e4])
def test_layer_norm(size, mean, dtype, cut):
    x, dy = normal(7, size, dtype=dtype, mean=mean), normal(7, size, dtype=dtype, seed=2)
    weight, bias = normal(2, size, dtype=dtype, seed=1)
    y, dx, kept = np.empty_like(x), np.empty_like(x), np.empty((2, 7))
    launch(kernels.layer_norm_forward, 7, x, weight, bias, y, *kept, 1e-3)
    wide = x.astype(np.float64)
    inverse = 1 / np.sqrt(wide.var(axis=1, keepdims=True) + 1e-3)
    z = (wide - wide.mean(axis=1, keepdims=True)) * inverse
    close = {"rtol": 2e-4, "atol": 2e-4} if dtype == np.float32 else {"rtol": 1e-9, "atol": 1e-9}
    np.testing.assert_allclose(y, z * weight + bias, **close)
    launch(kernels.layer_norm_backward, 7, x, weight, dy, *kept, dx)
    g = dy * weight.astype(np.float64)
    expected = (g - g.mean(axis=1, keepdims=True) - z * (g * z).mean(axis=1, keepdims=True)) * inverse
    np.testing.assert_allclose(dx, expected, **close)
    dots, sums = np.empty((2, 2, size), dtype)
    launch(kernels.layer_norm_gradient_sums, 2, x, dy, *kept, dots, sums, 4)
    np.testing.assert_allclose(dots.sum(axis=0), (dy * z).sum(axis=0), **close)
    np.testing.assert_allclose(sums.sum(axis=0), dy.sum(axis=0, dtype=np.float64), **close)


@pytest.mark.parametrize("length", [0, 1, 15, 16, 17, 100])
def test_centered_dot(length):
    x, y = normal(2, length)
    assert kernels.centered_dot(x, 0.5, y) == pytest.approx(float(np.sum((x - 0.5) * y)), abs=1e-12)


def test_bits_do_not_depend_on_chunks(monkeypatch):
    x, (weight, bias) = normal(144, 3, dtype=np.float32), normal(2, 3, dtype=np.float32, seed=1)
    whole = forward(x, weight, bias, 1)
    monkeypatch.setattr(launching, "SHARE_FROM", 0)
    monkeypatch.setattr(launching, "CHUNK", 1)
    cut = forward(x, weight, bias, 1)
    assert all(np.array_equal(a, b) for a, b in zip(whole, cut, strict=True))
