"""Splitting a dataset into training and validation parts."""

import math
from collections.abc import Sequence

import numpy as np

from ..random import Generator, as_generator
from .dataset import Dataset, Subset, check_dataset, targets_of


def random_split(
    dataset: Dataset,
    lengths: Sequence[int | float],
    rng: Generator | int | None = None,
    stratify: bool | None = None,
) -> tuple[Subset, ...]:
    """Split a dataset at random into parts without common examples.

    `lengths` are counts that sum to the size of the dataset, or fractions that sum to 1 (rounded down; what is left
    goes one by one to the first parts, as in PyTorch). Stratified, each part holds the classes in the proportions of
    the whole, as nearly as whole examples allow: example r of the n of its class, in random order, gets the place
    (r + 1/2) / n, and the parts are cut from the examples ordered by place. `stratify=None` does so where the targets
    are labels.

    >>> train, validation = random_split(dataset, [0.9, 0.1], rng=0)

    Raises:
        TypeError: it is no dataset; the lengths are no numbers; `stratify=True` and the targets are not labels.
        ValueError: the lengths do not sum to the size or to 1, or a part would be empty.
    """
    check_dataset("random_split", dataset)
    counts = _counts(lengths, len(dataset))
    labels = _labels(dataset, stratify)
    order = as_generator(rng).permutation(len(dataset))
    if labels is not None:
        order = order[np.argsort(_places(labels[order]), kind="stable")]
    return tuple(Subset(dataset, np.sort(part)) for part in np.split(order, np.cumsum(counts)[:-1]))


def _labels(dataset: Dataset, stratify: bool | None) -> np.ndarray | None:
    """The labels to stratify by, or None not to."""
    if stratify is False or (stratify is None and not isinstance(getattr(dataset, "targets", None), np.ndarray)):
        return None
    targets = targets_of("random_split", dataset)
    if targets.ndim == 1 and targets.dtype.kind in "iu":
        return targets
    if stratify is None:
        return None
    raise TypeError(
        f"random_split: expected whole numbers, one an example, as targets to stratify by, got targets of shape "
        f"{targets.shape} and dtype {targets.dtype}; use stratify=False"
    )


def _places(labels: np.ndarray) -> np.ndarray:
    """(r + 1/2) / n for the r-th of the n examples of each class."""
    places = np.empty(len(labels))
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        places[members] = (np.arange(len(members)) + 0.5) / len(members)
    return places


def _counts(lengths: Sequence[int | float], total: int) -> list[int]:
    """How many examples each part gets."""
    given, lengths = lengths, list(lengths) if isinstance(lengths, list | tuple | np.ndarray) else []
    if not lengths or any(isinstance(n, bool) or not isinstance(n, int | float | np.number) for n in lengths):
        raise TypeError(f"random_split: expected a list of counts or of fractions as lengths, got {given!r}")
    if any(not n > 0 for n in lengths):
        raise ValueError(f"random_split: expected lengths above 0, got {lengths}")
    if all(isinstance(n, int | np.integer) for n in lengths):
        if sum(lengths) != total:
            raise ValueError(
                f"random_split: expected counts that sum to the {total} examples, got {lengths}, which sum to "
                f"{sum(lengths)}"
            )
        return [int(n) for n in lengths]
    if not math.isclose(sum(lengths), 1.0):
        raise ValueError(f"random_split: expected fractions that sum to 1, got {lengths}, which sum to {sum(lengths)}")
    counts = [math.floor(n * total) for n in lengths]
    for i in range(total - sum(counts)):
        counts[i % len(counts)] += 1
    if 0 in counts:
        raise ValueError(
            f"random_split: expected no empty part, got {counts} examples from lengths {lengths} of {total}"
        )
    return counts
