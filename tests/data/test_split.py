"""Splitting into training and validation parts."""

import numpy as np
import pytest

from minidl import Generator, manual_seed
from minidl.data import ArrayDataset, random_split


def labelled(targets):
    return ArrayDataset(np.arange(len(targets), dtype=np.float32), np.asarray(targets))


@pytest.mark.parametrize("stratify", [None, True, False])
@pytest.mark.parametrize(
    ("lengths", "counts"),
    [([70, 31], [70, 31]), ([0.75, 0.25], [76, 25]), ([0.29, 0.31, 0.4], [30, 31, 40]), ([101], [101])],
)
def test_the_parts_have_their_sizes_and_every_example_once(lengths, counts, stratify):
    dataset = labelled(np.arange(101) % 7)
    parts = random_split(dataset, lengths, rng=1, stratify=stratify)
    assert [len(part) for part in parts] == counts
    assert sorted(np.concatenate([part.indices for part in parts]).tolist()) == list(range(101))


def test_fractions_are_counted_as_in_torch():
    torch = pytest.importorskip("torch")
    for fractions in ([0.29, 0.71], [0.71, 0.29], [0.1, 0.2, 0.7], [1 / 3, 1 / 3, 1 / 3], [0.07, 0.43, 0.5]):
        for total in (15, 100, 101, 1000):
            expected = [len(part) for part in torch.utils.data.random_split(range(total), fractions)]
            got = [len(part) for part in random_split(labelled([0] * total), fractions, rng=0)]
            assert got == expected


def test_balanced_classes_are_balanced_in_each_part():
    parts = random_split(labelled(np.repeat(np.arange(10), 50)), [0.9, 0.1], rng=4)
    assert [np.bincount(part.targets).tolist() for part in parts] == [[45] * 10, [5] * 10]


def test_unbalanced_classes_keep_their_proportions():
    part = random_split(labelled([0] * 600 + [1] * 300 + [2] * 99), [333, 666], rng=4)[0]
    assert abs(np.bincount(part.targets) - np.array([200, 100, 33])).max() <= 1


def test_without_stratification_the_classes_vary():
    counts = {
        tuple(np.bincount(random_split(labelled([0, 1] * 50), [50, 50], rng=seed, stratify=False)[0].targets).tolist())
        for seed in range(10)
    }
    assert len(counts) > 3


def test_the_split_is_a_function_of_the_seed():
    dataset = labelled(np.arange(40) % 4)
    first, again, other = (random_split(dataset, [0.5, 0.5], rng=seed)[0].indices.tolist() for seed in (0, 0, 1))
    assert first == again != other
    manual_seed(0)
    assert random_split(dataset, [0.5, 0.5])[0].indices.tolist() == first
    assert random_split(dataset, [0.5, 0.5])[0].indices.tolist() != first
    assert random_split(dataset, [0.5, 0.5], rng=Generator(0))[0].indices.tolist() == first


def test_a_dataset_without_targets_is_split_too():
    class Squares:
        def __len__(self):
            return 6

        def __getitem__(self, indices):
            return np.asarray(indices) ** 2.0, np.asarray(indices)

    parts = random_split(Squares(), [4, 2], rng=0)
    assert sorted(parts[0][:][1].tolist() + parts[1][:][1].tolist()) == [0, 1, 2, 3, 4, 5]


def test_float_targets_are_not_taken_for_classes():
    dataset = ArrayDataset(np.arange(6.0), np.linspace(0, 1, 6))
    assert [len(part) for part in random_split(dataset, [4, 2], rng=0)] == [4, 2]
