"""Moons and spirals."""

import numpy as np
import pytest

from minidl.data import moons, spirals


@pytest.mark.parametrize("n", [2, 3, 101])
def test_without_noise_the_moons_are_half_circles(n):
    x, y = moons(n, noise=0.0, rng=0)[:]
    assert (x.shape, x.dtype, y.dtype) == ((n, 2), np.float32, np.int64)
    assert np.bincount(y).tolist() == [n - n // 2, n // 2]
    upper, lower = x[y == 0], x[y == 1]
    np.testing.assert_allclose(np.hypot(*upper.T), 1, rtol=1e-6)
    np.testing.assert_allclose(np.hypot(lower[:, 0] - 1, lower[:, 1] - 0.5), 1, rtol=1e-6)
    assert (upper[:, 1] >= -1e-6).all()
    assert (lower[:, 1] <= 0.5 + 1e-6).all()
    np.testing.assert_allclose(upper[0], [1, 0], atol=1e-6)
    if n > 100:
        np.testing.assert_allclose([upper[-1], lower[0], lower[-1]], [[-1, 0], [0, 0.5], [2, 0.5]], atol=1e-6)


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_without_noise_the_arms_are_one_turned(classes):
    x, y = spirals(31 * classes, classes, noise=0.0, rng=0)[:]
    assert np.bincount(y).tolist() == [31] * classes
    points = x[:, 0] + 1j * x[:, 1]
    for label in range(classes):
        turn = np.exp(2j * np.pi * label / classes)
        np.testing.assert_allclose(points[y == label], points[y == 0] * turn, atol=1e-6)
    np.testing.assert_allclose(np.abs(points[y == 0]), np.linspace(0, 1, 31), atol=1e-6)
    np.testing.assert_allclose(points[y == 0][15], -0.5, atol=1e-6)  # half way, half a turn


@pytest.mark.parametrize("make", [moons, spirals])
def test_noise_has_its_deviation_and_comes_from_the_seed(make):
    clean, noisy, again, other = (
        make(4000, noise=noise, rng=seed)[:][0] for noise, seed in ((0.0, 0), (0.3, 0), (0.3, 0), (0.3, 1))
    )
    assert abs((noisy - clean).std() - 0.3) < 0.01
    assert abs((noisy - clean).mean()) < 0.02
    np.testing.assert_array_equal(noisy, again)
    assert (noisy != other).all(1).mean() > 0.99
