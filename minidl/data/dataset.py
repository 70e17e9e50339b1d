"""Datasets: examples in memory, taken a whole batch at a time."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from ..kernels.layout import dense
from ..tensor import Tensor

Batch = tuple[np.ndarray, np.ndarray]
Transform = Callable[[np.ndarray], np.ndarray]


class Dataset(Protocol):
    """Anything with a length that answers an array of positions with the examples there: (inputs, targets)."""

    def __len__(self) -> int:
        """How many examples there are."""
        ...

    def __getitem__(self, indices: Any) -> Batch:
        """The inputs (float32 or float64) and targets (int64, float32 or float64) at an array of positions."""
        ...


class ArrayDataset:
    """A pair of arrays as a dataset: `inputs[i]` goes with `targets[i]`.

    Inputs of dtype uint8 are taken for images: they stay bytes in memory, and a batch of them is float32, scaled to
    [0, 1]. 4-D inputs are kept channels-last in memory. Whole numbers as targets become int64. `transform` is applied
    to each batch of inputs; it is a fixed function of the inputs (random ones belong to the training `DataLoader`).

    Shape:
        inputs (N, ...), targets (N, ...); `dataset[indices]` with B indices: (B, ...), (B, ...).

    Raises:
        TypeError: not arrays, a dtype that cannot be trained on, or a random transform.
        ValueError: the lengths disagree, there are no examples, or a target is NaN.
    """

    def __init__(self, inputs: np.ndarray, targets: np.ndarray, transform: Transform | None = None):
        name = type(self).__name__
        for role, array in (("inputs", inputs), ("targets", targets)):
            if not isinstance(array, np.ndarray) or array.ndim == 0:
                raise TypeError(
                    f"{name}: expected an ndarray of examples as {role}, got {_kind(array)}; use np.asarray"
                )
        if inputs.dtype not in (np.uint8, np.float32, np.float64):
            raise TypeError(
                f"{name}: expected inputs of dtype float32, float64 or uint8 (images), got {inputs.dtype}; "
                "use inputs.astype(np.float32)"
            )
        if len(inputs) != len(targets):
            raise ValueError(
                f"{name}: expected as many targets as inputs, got inputs of shape {inputs.shape} and targets of shape "
                f"{targets.shape}"
            )
        if len(inputs) == 0:
            raise ValueError(f"{name}: expected at least one example, got inputs of shape {inputs.shape}")
        check_fixed(name, transform)
        self.inputs = dense(inputs)
        self.targets = _checked_targets(name, targets)
        self.transform = transform

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, indices: Any) -> Batch:
        indices = positions(type(self).__name__, indices, len(self))
        inputs = dense(self.inputs[indices])
        if inputs.dtype == np.uint8:
            inputs = np.divide(inputs, 255, dtype=np.float32)
        if self.transform is not None:
            inputs = self.transform(inputs)
        return inputs, self.targets[indices]


class Subset:
    """The examples of `dataset` at `indices`, in that order.

    Raises:
        TypeError: it is no dataset, or the indices are not whole numbers.
        ValueError: there are none, or one lies outside the dataset.
    """

    def __init__(self, dataset: Dataset, indices: Any):
        check_dataset("Subset", dataset)
        self.dataset = dataset
        self.indices = positions("Subset", indices, len(dataset))
        if len(self.indices) == 0:
            raise ValueError(f"Subset: expected at least one index into the {len(dataset)} examples, got none")

    @property
    def targets(self) -> np.ndarray:
        """The targets of these examples."""
        return targets_of("Subset", self.dataset)[self.indices]

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, indices: Any) -> Batch:
        return self.dataset[self.indices[positions("Subset", indices, len(self))]]


def in_memory(dataset: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray | None] | None:
    """The arrays of inputs and targets that a dataset takes its examples from as they are, and the positions of its
    examples there (None: all, in order); None for a dataset that does anything else."""
    if isinstance(dataset, ArrayDataset) and type(dataset).__getitem__ is ArrayDataset.__getitem__:
        return (dataset.inputs, dataset.targets, None) if dataset.transform is None else None
    if type(dataset) is Subset:
        whole = in_memory(dataset.dataset)
        if whole is not None:
            inputs, targets, places = whole
            return inputs, targets, dataset.indices if places is None else places[dataset.indices]
    return None


def positions(name: str, indices: Any, count: int) -> np.ndarray:
    """The positions, int64, meant by a slice or by a sequence of whole numbers in [0, count).

    Raises:
        TypeError: they are no sequence of whole numbers.
        ValueError: one lies outside.
    """
    if isinstance(indices, slice):
        return np.arange(count)[indices]
    array = np.asarray(indices)
    if array.size == 0 and isinstance(indices, Sequence):
        array = array.astype(np.int64)  # [] is an array of float64
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise TypeError(
            f"{name}: expected a one-dimensional array of positions or a slice, got {_kind(indices)}; for one example "
            "write dataset[[i]]"
        )
    if array.size and not 0 <= array.min() <= array.max() < count:
        raise ValueError(f"{name}: expected positions in [0, {count}), got {array.min()} to {array.max()}")
    return array.astype(np.int64, copy=False)


def check_dataset(name: str, dataset: Any) -> None:
    """Refuse what is no dataset; a list of examples has a length and indexing too, and is none.

    Raises:
        TypeError: it is none.
        ValueError: it is empty.
    """
    plain = isinstance(dataset, list | tuple | dict | str | np.ndarray | Tensor)
    if plain or not hasattr(dataset, "__len__") or not hasattr(dataset, "__getitem__"):
        raise TypeError(
            f"{name}: expected a dataset, which answers an array of positions with (inputs, targets), got "
            f"{_kind(dataset)}; ArrayDataset(inputs, targets) makes one"
        )
    if len(dataset) == 0:
        raise ValueError(f"{name}: expected at least one example, got an empty {type(dataset).__name__}")


def check_fixed(name: str, transform: Any) -> None:
    """Refuse what is no function, and a transform that needs random numbers.

    Raises:
        TypeError: it is one of these.
    """
    if transform is not None and not callable(transform):
        raise TypeError(f"{name}: expected a function of a batch of inputs as transform, got {_kind(transform)}")
    if getattr(transform, "draws", 0):
        raise TypeError(
            f"{name}: expected a transform without randomness, got {transform!r}; give it to the training loader, "
            "DataLoader(transform=...)"
        )


def targets_of(name: str, dataset: Dataset) -> np.ndarray:
    """All targets of a dataset that keeps them in an array `targets`.

    Raises:
        TypeError: it has no such array.
    """
    targets = getattr(dataset, "targets", None)
    if not isinstance(targets, np.ndarray):
        raise TypeError(f"{name}: expected a dataset with an array `targets`, got {_kind(dataset)} without")
    return targets


def _checked_targets(name: str, targets: np.ndarray) -> np.ndarray:
    if targets.dtype.kind in "iu":
        return dense(targets.astype(np.int64))
    if targets.dtype not in (np.float32, np.float64):
        raise TypeError(f"{name}: expected targets of whole numbers, float32 or float64, got {targets.dtype}")
    if np.isnan(targets).any():
        raise ValueError(f"{name}: expected targets without NaN, got {int(np.isnan(targets).sum())} of {targets.size}")
    return dense(targets)


def _kind(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape} and dtype {value.dtype}"
    return f"{type(value).__name__} {value!r}" if isinstance(value, int | float | str) else type(value).__name__
