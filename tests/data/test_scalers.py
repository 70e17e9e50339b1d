"""Standard and min-max scaling."""

import numpy as np
import pytest

from minidl.data import MinMaxScaler, StandardScaler

RANDOM = np.random.default_rng(1)
TRAIN, TEST = RANDOM.normal(3, 5, (40, 4)) * [1, 1e-3, 1e6, 1], RANDOM.normal(3, 5, (9, 4))
TRAIN[:, 3] = 0.1  # constant, and its mean is not exactly 0.1


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_standard_scaler(dtype):
    train, test = TRAIN.astype(dtype), TEST.astype(dtype)
    before = train.copy()
    scaler = StandardScaler().fit(train)
    scaled = scaler.transform(train)
    assert scaled.dtype == dtype
    tolerance = 1e-5 if dtype == np.float32 else 1e-12
    np.testing.assert_allclose(scaled.mean(0), 0, atol=tolerance)
    np.testing.assert_allclose(scaled[:, :3].std(0), 1, atol=tolerance)
    np.testing.assert_allclose(scaled[:, 3], 0, atol=1e-6)
    columns = train.astype(np.float64)
    expected = (test - columns.mean(0)) / np.where(columns.std(0) < 1e-6, 1, columns.std(0))
    np.testing.assert_allclose(scaler.transform(test), expected, rtol=10 * tolerance, atol=tolerance)
    np.testing.assert_allclose(scaler.inverse_transform(scaled), train, rtol=1e-3 if dtype == np.float32 else 1e-9)
    np.testing.assert_array_equal(train, before)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_min_max_scaler(dtype):
    train, test = TRAIN.astype(dtype), TEST.astype(dtype)
    scaler = MinMaxScaler().fit(train)
    scaled = scaler.transform(train)
    assert scaled.dtype == dtype
    np.testing.assert_array_equal(scaled.min(0), 0)
    np.testing.assert_array_equal(scaled.max(0), [1, 1, 1, 0])
    low, high = train.min(0).astype(np.float64), train.max(0).astype(np.float64)
    expected = (test - low) / np.where(high == low, 1, high - low)
    np.testing.assert_allclose(scaler.transform(test), expected, rtol=1e-6)
    np.testing.assert_allclose(scaler.inverse_transform(scaled), train, rtol=1e-3 if dtype == np.float32 else 1e-9)


def test_a_mean_far_from_zero_survives_float32():
    train = (1e4 + RANDOM.normal(size=(1000, 1))).astype(np.float32)
    scaled = StandardScaler().fit(train).transform(train)
    assert abs(scaled.mean()) < 1e-4
    assert abs(scaled.std() - 1) < 1e-4
