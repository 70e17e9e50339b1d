"""Pairs of arrays and subsets of them."""

import numpy as np
import pytest

from minidl.data import ArrayDataset, Subset

RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(7,), (7, 3), (7, 2, 5), (7, 3, 4, 5), (7, 1, 4, 5), (7, 3, 1, 1)])
def test_a_batch_is_what_plain_indexing_gives_and_keeps_the_dtype(shape, dtype):
    inputs, targets = RANDOM.normal(size=shape).astype(dtype), RANDOM.integers(0, 9, 7).astype(np.uint8)
    before = inputs.copy()
    dataset = ArrayDataset(inputs, targets)
    x, y = dataset[np.array([6, 0, 0, 3])]
    np.testing.assert_array_equal(x, before[[6, 0, 0, 3]])
    np.testing.assert_array_equal(y, targets[[6, 0, 0, 3]])
    assert (x.dtype, y.dtype, len(dataset)) == (dtype, np.int64, 7)
    x[...] = 0
    np.testing.assert_array_equal(dataset[[0]][0], before[:1])


@pytest.mark.parametrize("source", ["C order", "channels-last"])
def test_images_lie_channels_last_in_memory_and_in_a_batch(source):
    inputs = RANDOM.normal(size=(6, 3, 4, 5)).astype(np.float32)
    if source == "channels-last":
        inputs = np.ascontiguousarray(inputs.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    dataset = ArrayDataset(inputs, np.zeros(6, int))
    for array in (dataset.inputs, dataset[[5, 1]][0]):
        assert array.transpose(0, 2, 3, 1).flags.c_contiguous
    assert np.shares_memory(dataset.inputs, inputs) == (source == "channels-last")


def test_bytes_stay_bytes_in_memory_and_come_as_float32_from_0_to_1():
    inputs = RANDOM.integers(0, 256, (5, 3, 4, 4), np.uint8)
    dataset = ArrayDataset(inputs, np.zeros(5, int))
    assert dataset.inputs.dtype == np.uint8
    x, _ = dataset[[4, 2]]
    assert x.dtype == np.float32
    np.testing.assert_array_equal(x, inputs[[4, 2]].astype(np.float32) / np.float32(255))


@pytest.mark.parametrize("dtype", [np.int8, np.int32, np.uint8, np.int64])
def test_whole_targets_become_int64(dtype):
    assert ArrayDataset(np.ones((3, 2)), np.array([2, 0, 1], dtype)).targets.dtype == np.int64


def test_float_targets_stay_as_they_are():
    targets = RANDOM.normal(size=(4, 3)).astype(np.float32)
    y = ArrayDataset(np.ones((4, 2)), targets)[[1, 2]][1]
    np.testing.assert_array_equal(y, targets[1:3])
    assert y.dtype == np.float32


def test_a_slice_gives_its_examples():
    dataset = ArrayDataset(np.arange(5.0), np.arange(5))
    assert dataset[1:4][1].tolist() == [1, 2, 3]
    assert dataset[:][0].tolist() == [0, 1, 2, 3, 4]


def test_the_transform_sees_the_scaled_batch():
    dataset = ArrayDataset(np.full((3, 1, 2, 2), 255, np.uint8), np.arange(3), transform=lambda x: 2 * x)
    np.testing.assert_array_equal(dataset[[0, 2]][0], np.full((2, 1, 2, 2), 2, np.float32))


def test_a_subset_has_its_examples_in_its_order():
    dataset = ArrayDataset(np.arange(10.0), np.arange(10) * 10)
    subset = Subset(dataset, [7, 2, 5])
    assert len(subset) == 3
    assert subset.targets.tolist() == [70, 20, 50]
    assert subset[[2, 0]][0].tolist() == [5, 7]
    assert Subset(subset, [1])[:][1].tolist() == [20]
