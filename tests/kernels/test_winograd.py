"""Winograd's convolutions: where they are used, against plain sums, and what must not depend on the tiles."""

import numpy as np
import pytest

import minidl
from minidl import ops
from minidl.kernels.launch import launch
from minidl.ops import winograd
from minidl.ops.convolution import _geometry
from tests.kernels.sweep import wide


def numbers(seed, *shape, dtype=np.float32):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def geometry(n=2, channels=32, outputs=32, size=(8, 8), kernel=(3, 3), stride=1, padding=1, dilation=1, groups=1):
    x, weight = np.empty((n, channels, *size)), np.empty((outputs, channels // groups, *kernel))
    return _geometry(x, weight, stride, padding, dilation, groups)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, True),
        ({"n": 100}, True),
        ({"channels": 16, "outputs": 48, "size": (14, 14)}, True),
        ({"size": (4, 4)}, True),
        ({"padding": 0}, True),
        ({"size": (5, 5)}, False),  # nine tiles of four pixels for 25
        ({"size": (8, 400)}, False),  # a row of tiles would be a longer chain than rounds well
        ({"channels": 17}, False),  # half of what is multiplied would be zeros
        ({"channels": 15}, False),
        ({"padding": 2}, False),
        ({"stride": 2}, False),
        ({"stride": (1, 2)}, False),
        ({"dilation": 2}, False),
        ({"groups": 2}, False),
        ({"kernel": (1, 3)}, False),
        ({"kernel": (5, 5), "padding": 2}, False),
    ],
    ids=str,
)
def test_it_is_used_where_it_multiplies_less(options, expected):
    assert winograd.multiplies_less(geometry(**options)) == expected


@pytest.mark.parametrize("images", [8, 500])
def test_the_gradient_of_the_weight_is_had_by_tiles_where_there_are_many(images):
    assert winograd.sums_pay(geometry(n=images)) == (images == 500)


def gradient(leaf):
    assert leaf.grad is not None
    return leaf.grad


def windows(x, padding):
    """What each output pixel sees, (N, C, H', W', 3, 3), in a wider precision."""
    x = np.pad(wide(x), ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    return np.lib.stride_tricks.sliding_window_view(x, (3, 3), (2, 3))


def plain(x, weight, padding):
    """The sums themselves."""
    return np.einsum("nchwij,ocij->nohw", windows(x, padding), wide(weight), optimize=True)


@pytest.mark.parametrize("padding", [0, 1])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("images", "channels", "outputs", "size"), [(58, 16, 16, (6, 6)), (2, 24, 48, (6, 17)), (2, 64, 46, (12, 8))]
)
def test_output_and_gradients(images, channels, outputs, size, dtype, padding):
    x, weight = numbers(0, images, channels, *size, dtype=dtype), numbers(1, outputs, channels, 3, 3, dtype=dtype)
    bias, unit = numbers(2, outputs, dtype=dtype), 2 * np.finfo(dtype).eps  # of each term, about
    leaves = [minidl.tensor(a, requires_grad=True) for a in (x, weight, bias)]
    y = ops.conv2d(*leaves, padding=padding)
    np.testing.assert_allclose(
        y.numpy(), plain(x, weight, padding) + bias[:, None, None], rtol=0, atol=9 * channels * unit
    )
    dy = numbers(3, *y.shape, dtype=dtype)
    y.backward(dy)
    back = plain(dy, weight[:, :, ::-1, ::-1].swapaxes(0, 1), 2 - padding)
    np.testing.assert_allclose(gradient(leaves[0]), back, rtol=0, atol=9 * outputs * unit)
    sums = np.einsum("nchwij,nohw->ocij", windows(x, padding), wide(dy), optimize=True)
    np.testing.assert_allclose(gradient(leaves[1]), sums, rtol=0, atol=dy[:, 0].size * unit)


@pytest.mark.parametrize("size", [4, 7, 8, 14])
def test_an_image_alone_equals_its_image_in_a_batch(size):
    x, weight = numbers(0, 29, 32, size, size), numbers(1, 64, 32, 3, 3)
    dy = numbers(2, 29, 64, size, size)

    def both(part):
        images = minidl.tensor(x[part], requires_grad=True)
        y = ops.conv2d(images, weight, padding=1)
        y.backward(dy[part])
        return y.numpy(), gradient(images)

    together = both(slice(None))
    for n in range(0, 29, 7):
        for one, all_ in zip(both(slice(n, n + 1)), together, strict=True):
            np.testing.assert_array_equal(one[0], all_[n])


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_shows_wherever_it_is_seen(value):
    """It may show beside that, too: a tile is computed as one."""
    x, weight = numbers(0, 1, 16, 10, 10), numbers(1, 16, 16, 3, 3)
    x[0, 3, 4, 5] = value
    y = ops.conv2d(x, weight, padding=1)
    assert not np.isfinite(y.numpy()[0, :, 3:6, 4:7]).any()
    assert np.isfinite(y.numpy()[0, :, :2]).all() and np.isfinite(y.numpy()[0, :, 8:]).all()


@pytest.mark.parametrize("first", [False, True])
def test_a_first_layer_makes_no_gradient_of_its_input(first, monkeypatch):
    seen = []

    def watched(kernel, *arguments, **options):
        seen.append(kernel.name)
        launch(kernel, *arguments, **options)

    monkeypatch.setattr(winograd, "launch", watched)
    x = minidl.tensor(numbers(0, 64, 16, 8, 8), requires_grad=not first)
    weight = minidl.tensor(numbers(1, 16, 16, 3, 3), requires_grad=True)
    ops.conv2d(x, weight, padding=1).sum().backward()
    assert seen.count("winograd") == 1 + (not first) and seen.count("winograd_weight") == 1
