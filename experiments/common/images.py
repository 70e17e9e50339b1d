"""Fashion-MNIST for the experiments: normalised, split, with a checksum."""

import hashlib
from dataclasses import dataclass

import numpy as np

from minidl.data import ArrayDataset, FashionMNIST, Normalize, Subset, random_split

from .arguments import UsageError


@dataclass(frozen=True)
class Images:
    """`train` is all training images; `search` and `validation` are two parts of it, made for choosing learning rates.

    `checksum` is the SHA-256 of the images and labels used, as bytes.
    """

    source: str
    train: ArrayDataset
    search: Subset
    validation: Subset
    test: ArrayDataset
    checksum: str

    def describe(self) -> dict[str, str | int]:
        """What the record says of the data."""
        sizes = {part: len(getattr(self, part)) for part in ("train", "search", "validation", "test")}
        return {"name": "Fashion-MNIST", "source": self.source, **sizes, "sha256": self.checksum}


def load(source: str, held_out: int, limit: int | None = None) -> Images:
    """Fashion-MNIST from `source` (embedded, full or a folder), with `held_out` training images for validation.

    `limit` keeps only so many images of both sets, the first of each class. Pixels x become (x - mean) / deviation.

    Raises:
        UsageError: there are no such data, or too few to hold some out.
    """
    digest = hashlib.sha256()
    try:
        sets = [FashionMNIST(source, train=train) for train in (True, False)]
    except (OSError, ValueError) as error:
        raise UsageError(f"--data: {error}") from error
    train, test = (_prepare(dataset, limit, digest) for dataset in sets)
    if len(train) <= held_out:
        raise UsageError(f"--data: expected more than the {held_out} training images held out, got {len(train)}")
    search, validation = random_split(train, [len(train) - held_out, held_out], rng=0)
    return Images(source, train, search, validation, test, digest.hexdigest())


def _prepare(dataset: FashionMNIST, limit: int | None, digest) -> ArrayDataset:
    labels = dataset.targets
    chosen = np.arange(len(labels))
    if limit is not None:
        members = [np.flatnonzero(labels == label)[: limit // 10] for label in range(10)]
        chosen = np.sort(np.concatenate(members))
    inputs, targets = dataset[chosen]
    digest.update(np.ascontiguousarray(dataset.inputs[chosen]).tobytes() + targets.tobytes())
    return ArrayDataset(Normalize(dataset.channel_mean, dataset.channel_std)(inputs), targets)
