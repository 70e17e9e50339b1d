"""The kernels of batch and layer normalization against NumPy in float64, and their independence of chunks."""

import numpy as np
import pytest

from minidl.kernels import columns
from minidl.kernels import launch as launching
from minidl.kernels import layer_norm as layers
from minidl.kernels import moments as moments_
from minidl.kernels import normalization as kernels
from minidl.kernels import statistics as statistics_
from minidl.kernels.lanes import CACHE_LINE, SPAN
from minidl.kernels.launch import launch

DTYPES = [np.float32, np.float64]


@pytest.fixture(params=[False, True], ids=["whole", "cut"])
def cut(request, monkeypatch):
    """As one chunk, and as many as there are items."""
    if request.param:
        monkeypatch.setattr(launching, "SHARE_FROM", 0)
        monkeypatch.setattr(launching, "CHUNK", 1)


def normal(*shape, dtype=np.float64, seed=0, mean=0.0):
    return (mean + np.random.default_rng(seed).standard_normal(shape)).astype(dtype)


def test_how_a_matrix_is_walked():
    # columns of a wide row, wide rows of a block and of a part, parts, blocks, the shapes of what is kept, groups
    wide = -(-96 // SPAN) * SPAN
    assert moments_.walk_of(50_176, 16) == (64, 256, 512, 25, 49, (25, 2, 64), (6, 64), 0)
    assert moments_.walk_of(128, 1000) == (1000, 16, 32, 4, 8, (4, 2, 1024), (6, 1024), 1024 // SPAN)
    assert moments_.walk_of(60, 100) == (100, 163, 326, 1, 1, (1, 2, 128), (6, 128), 128 // SPAN)
    assert moments_.walk_of(10**6, 3) == (96, 170, 510, 62, 184, (62, 2, wide), (6, wide), 0)
    assert moments_.walk_of(0, 3) == (96, 170, 340, 1, 0, (1, 2, wide), (6, wide), 1)
    assert moments_.walk_of(4, 0).parts == 1
    grouped = [moments_.walk_of(*shape).groups > 0 for shape in ((513, 511), (513, 512), (2048, 512), (2049, 512))]
    assert grouped == [False, True, True, False]


def walk(rows, channels, step=2, part=4):
    """A walk with blocks so small that a few rows have several, and parts of several blocks."""
    width = 6 if channels == 3 else channels  # of 3 channels 2 rows side by side
    wide, padded = rows * channels // width, -(-width // SPAN) * SPAN
    parts, blocks = max(1, -(-wide // part)), -(-rows * channels // (step * width))
    return moments_.Walk(width, step, part, parts, blocks, (parts, 2, padded), (6, padded), -(-channels // SPAN))


def moments(x, of):
    """Each part's moments, by the kernel."""
    out = np.empty(of.sums)
    launch(moments_.batch_moments, of.parts, x.reshape(-1), out, x.shape[1], of.width, of.step, of.part)
    return out


def statistics(x, of, weight, bias, momentum=0.25, eps=1e-3):
    """Running statistics, what is saved, and the affine map of the input."""
    running, saved = np.full((2, x.shape[1]), 2, x.dtype), np.empty((2, x.shape[1]))
    affine = np.zeros(of.maps, x.dtype)
    rows_of_part = of.part * of.width // x.shape[1]
    arguments = (weight, bias, *running, np.array([4]), saved, affine, len(x), rows_of_part, of.width, momentum, eps)
    launch(statistics_.batch_statistics, x.shape[1], moments(x, of), *arguments)
    return running, saved, affine


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("mean", [0.0, 1e4])
@pytest.mark.parametrize("shape", [(2, 1), (5, 3), (37, 3), (24, 5), (70, 3), (9, 70), (1, 3)])
def test_moments(shape, mean, dtype, cut):
    x = normal(*shape, dtype=dtype, mean=mean)
    channels, of = shape[1], walk(*shape)
    wide, merged = x.astype(np.float64), moments(x, of)
    seen = np.zeros(3 * channels).reshape(3, channels)  # rows, mean, squared deviations, merged over the parts
    size = of.part * of.width // channels
    for p, (means, deviations) in enumerate(merged[:, :, :channels]):
        rows = wide[p * size : (p + 1) * size if p + 1 < of.parts else None]
        tolerance = 1e-5 if dtype == np.float32 else 1e-11
        np.testing.assert_allclose(
            means, rows.mean(axis=0), rtol=1e-8 if dtype == np.float32 else 1e-13, atol=tolerance
        )
        own = ((rows - rows.mean(axis=0)) ** 2).sum(axis=0)
        np.testing.assert_allclose(deviations, own, rtol=tolerance, atol=tolerance)
        seen[0] += len(rows)
    assert np.all(seen[0] == len(x))


def test_a_block_whose_mean_is_badly_rounded_keeps_its_variance():
    # the float32 sum of 256 numbers near 1e6 is off by whole units: the deviations' own sum has to repair the mean
    x = normal(256, 4, dtype=np.float32, mean=1e6)
    wide = x.astype(np.float64)
    ((mean, deviation),) = moments(x, walk(256, 4, 256, 256))
    np.testing.assert_allclose(mean[:4], wide.mean(axis=0), rtol=0, atol=1e-4)
    np.testing.assert_allclose(deviation[:4], ((wide - wide.mean(axis=0)) ** 2).sum(axis=0), rtol=1e-4)


def forward(x, weight, bias, of, rectified=0, streamed=0):
    """Running statistics, what is saved, the affine map and the output."""
    running, saved, affine = statistics(x, of, weight, bias)
    y = aligned(x)
    tracked = np.array([4])
    arguments = (x.reshape(-1), affine, tracked, y.reshape(-1), of.width, of.step, rectified, streamed)
    launch(kernels.normalize, of.blocks, *arguments)
    assert tracked == 5
    return running, saved, affine, y


def aligned(x):
    """An array like x at a place aligned to the cache's lines."""
    memory = np.empty(x.nbytes + CACHE_LINE, np.uint8)
    start = -memory.ctypes.data % CACHE_LINE
    return memory[start : start + x.nbytes].view(x.dtype).reshape(x.shape)


def backward(x, dy, weight, saved, affine, of, rectified=0, training=1, streamed=0):
    """The gradients of x, weight and bias."""
    sums, dx = np.empty(of.sums), aligned(x)
    (dweight, dbias), memory = np.empty((2, x.shape[1]), x.dtype), (x.reshape(-1), dy.reshape(-1))
    arguments = (*memory, affine, sums, x.shape[1], of.width, of.step, of.part, rectified)
    launch(kernels.batch_gradient_sums, of.parts, *arguments)
    arguments = (sums, weight, saved, dweight, dbias, affine, len(x), of.width, training)
    launch(statistics_.batch_gradients, x.shape[1], *arguments)
    arguments = (*memory, affine, dx.reshape(-1), of.width, of.step, rectified, training, streamed)
    launch(kernels.batch_input_gradient, of.blocks, *arguments)
    return dx, dweight, dbias


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rectified", [0, 1])
@pytest.mark.parametrize("shape", [(36, 3), (37, 3), (9, 70), (11, 64)])
def test_batch_norm(shape, rectified, dtype, cut):
    x, (weight, bias), dy = (normal(*s, dtype=dtype, seed=i) for i, s in enumerate((shape, (2, shape[1]), shape)))
    of = walk(*shape)
    running, saved, affine, y = forward(x, weight, bias, of, rectified)
    wide = x.astype(np.float64)
    mean, inverse = wide.mean(axis=0), 1 / np.sqrt(wide.var(axis=0) + 1e-3)
    z = (wide - mean) * inverse
    close = {"rtol": 2e-5, "atol": 2e-5} if dtype == np.float32 else {"rtol": 1e-12, "atol": 1e-12}
    np.testing.assert_allclose(y, np.maximum(z * weight + bias, 0 if rectified else -np.inf), **close)
    np.testing.assert_allclose(running, [1.5 + 0.25 * mean, 1.5 + 0.25 * wide.var(axis=0, ddof=1)], **close)

    dx, dweight, dbias = backward(x, dy, weight, saved, affine, of, rectified)
    g = np.where(y > 0, dy, 0).astype(np.float64) if rectified else dy.astype(np.float64)
    np.testing.assert_allclose(dbias, g.sum(axis=0), **close)
    np.testing.assert_allclose(dweight, (g * z).sum(axis=0), **close)
    expected = weight * inverse * (g - g.mean(axis=0) - z * (g * z).mean(axis=0))
    np.testing.assert_allclose(dx, expected, **close)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rectified", [0, 1])
@pytest.mark.parametrize("shape", [(2, 1), (37, 3), (9, 70), (11, 64)])
def test_groups_of_columns_give_what_the_steps_one_by_one_give(shape, rectified, dtype, cut):
    x, (weight, bias), dy = (normal(*s, dtype=dtype, seed=i) for i, s in enumerate((shape, (2, shape[1]), shape)))
    of = moments_.walk_of(*shape)._replace(width=shape[1], step=len(x), part=len(x), parts=1, blocks=1)
    running, saved, affine, y = forward(x, weight, bias, of, rectified)
    expected = backward(x, dy, weight, saved.copy(), affine.copy(), of, rectified)
    kept = np.empty(of.sums), np.empty_like(saved), np.zeros(of.maps, dtype)
    moved, tracked, out = np.full((2, shape[1]), 2, dtype), np.array([4]), np.empty_like(x)
    arguments = (x.reshape(-1), weight, bias, *moved, tracked, *kept, out.reshape(-1), of.step, rectified, 0.25, 1e-3)
    launch(columns.normalize_groups, of.groups, *arguments)
    assert tracked == 5
    assert all(np.array_equal(a, b) for a, b in zip((out, kept[1], moved), (y, saved, running), strict=True))
    got = np.empty_like(x), *np.empty((2, shape[1]), dtype)
    arguments = (x.reshape(-1), dy.reshape(-1), weight, *kept[1:], kept[0], *got[1:], got[0].reshape(-1), of.step)
    launch(columns.differentiate_groups, of.groups, *arguments, rectified, 1)
    assert all(np.array_equal(a, b) for a, b in zip(got, expected, strict=True))


def test_without_a_momentum_a_batch_weighs_as_much_as_each_of_those_before_it(cut):
    x, (weight, bias) = normal(9, 70), normal(2, 70, seed=1)
    running = [statistics(x, walk(*x.shape), weight, bias, momentum)[0] for momentum in (-1, 0.2)]  # the fifth of 5
    assert np.array_equal(*running)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(37, 64), (9, 96), (21, 16)])
def test_stores_past_the_cache_give_the_same_bits(shape, dtype):
    x, (weight, bias), dy = (normal(*s, dtype=dtype, seed=i) for i, s in enumerate((shape, (2, shape[1]), shape)))
    of = walk(*shape)
    _, saved, affine, y = forward(x, weight, bias, of)
    assert np.array_equal(forward(x, weight, bias, of, streamed=1)[3], y)
    dx = backward(x, dy, weight, saved, affine, of)[0]
    assert np.array_equal(backward(x, dy, weight, saved, affine, of, streamed=1)[0], dx)


@pytest.mark.parametrize("rows", [6, 7])
def test_fixed_statistics(rows, cut):
    x, dy, (weight, bias, mean) = normal(rows, 3), normal(rows, 3, seed=2), normal(3, 3, seed=1)
    variance, of = np.array([0.5, 2.0, 3.0]), walk(rows, 3)
    saved, affine, y = np.empty((2, 3)), np.zeros(of.maps), np.empty_like(x)
    launch(statistics_.fixed_statistics, 3, weight, bias, mean, variance, saved, affine, of.width, 1e-3)
    uncounted = np.empty(0, np.int64)
    launch(kernels.normalize, of.blocks, x.reshape(-1), affine, uncounted, y.reshape(-1), of.width, of.step, 0, 0)
    inverse = 1 / np.sqrt(variance + 1e-3)
    np.testing.assert_allclose(y, (x - mean) * inverse * weight + bias, rtol=1e-12, atol=1e-12)
    dx, dweight, dbias = backward(x, dy, weight, saved, affine, of, training=0)
    np.testing.assert_allclose(dbias, dy.sum(axis=0), rtol=1e-12)
    np.testing.assert_allclose(dweight, (dy * (x - mean) * inverse).sum(axis=0), rtol=1e-12)
    np.testing.assert_allclose(dx, dy * weight * inverse, rtol=1e-12)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [1, 5, 32, 37, 100])
@pytest.mark.parametrize("mean", [0.0, 1e4])
def test_layer_norm(size, mean, dtype, cut):
    x, dy = normal(7, size, dtype=dtype, mean=mean), normal(7, size, dtype=dtype, seed=2)
    weight, bias = normal(2, size, dtype=dtype, seed=1)
    y, dx, kept = np.empty_like(x), np.empty_like(x), np.empty((2, 7))
    launch(layers.layer_norm_forward, 7, x.reshape(-1), weight, bias, y.reshape(-1), kept, 1e-3)
    wide = x.astype(np.float64)
    inverse = 1 / np.sqrt(wide.var(axis=1, keepdims=True) + 1e-3)
    z = (wide - wide.mean(axis=1, keepdims=True)) * inverse
    close = {"rtol": 2e-4, "atol": 2e-4} if dtype == np.float32 else {"rtol": 1e-9, "atol": 1e-9}
    np.testing.assert_allclose(y, z * weight + bias, **close)
    (dweight, dbias), (along, total) = np.empty((2, size), dtype), np.empty((2, 2, size), dtype)
    arguments = (x.reshape(-1), weight, dy.reshape(-1), kept, dx.reshape(-1), along, total, 4)
    launch(layers.layer_norm_backward, 2, *arguments)
    g = dy * weight.astype(np.float64)
    expected = (g - g.mean(axis=1, keepdims=True) - z * (g * z).mean(axis=1, keepdims=True)) * inverse
    np.testing.assert_allclose(dx, expected, **close)
    launch(layers.merge_parts, size, along, total, dweight, dbias)
    np.testing.assert_allclose(dweight, (dy * z).sum(axis=0), **close)
    np.testing.assert_allclose(dbias, dy.sum(axis=0, dtype=np.float64), **close)


def test_a_layer_norms_gradients_are_summed_in_parts_where_threads_share_them():
    assert [layers.rows_of_part(*shape) for shape in ((60, 100), (1, 5), (7, 37), (300, 3))] == [60, 16, 16, 256]
    assert [layers.rows_of_part(*shape) for shape in ((128, 1000), (1024, 1024), (10**5, 8))] == [16, 64, 256]


def test_bits_do_not_depend_on_chunks(monkeypatch):
    x, (weight, bias) = normal(145, 3, dtype=np.float32), normal(2, 3, dtype=np.float32, seed=1)
    whole = forward(x, weight, bias, walk(145, 3))
    monkeypatch.setattr(launching, "SHARE_FROM", 0)
    monkeypatch.setattr(launching, "CHUNK", 1)
    cut = forward(x, weight, bias, walk(145, 3))
    assert all(np.array_equal(a, b) for a, b in zip(whole, cut, strict=True))
