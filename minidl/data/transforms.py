"""Transforms of a whole batch of images at once.

A random transform gets its random numbers from outside, `draws` uniform ones for each example: the `DataLoader` draws
them for all examples of an epoch from (seed, epoch), and so a run repeats, whatever thread does the work. Give random
transforms to the training loader and not to the one that evaluates.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..checks import check_number, check_pair, check_whole
from ..kernels.layout import images
from ..random import Generator


class BatchTransform:
    """A function of a batch of images (N, C, H, W), to derive one's own from: define `apply`, and `draws` if random."""

    draws: int = 0  # how many random numbers it needs for each example

    def apply(self, inputs: np.ndarray, noise: np.ndarray) -> np.ndarray:
        """Transform a batch; `noise`, of shape (N, draws), holds uniform numbers in [0, 1). NumPy only: no ops."""
        raise NotImplementedError

    def __call__(self, inputs: np.ndarray, rng: Generator | None = None) -> np.ndarray:
        """Transform a batch with random numbers from `rng`.

        Raises:
            TypeError: the inputs are no floats, or a random transform got no generator.
            ValueError: the inputs have another shape than the transform takes.
        """
        if not self.draws:
            return self.apply(inputs, np.empty((len(inputs), 0)))
        if not isinstance(rng, Generator):
            raise TypeError(f"{type(self).__name__}: expected a minidl.Generator as rng, got {rng!r}; it is random")
        return self.apply(inputs, rng.uniform((len(inputs), self.draws)))


class Compose(BatchTransform):
    """Several transforms, one after the other; each is a `BatchTransform` or any function of a batch of inputs.

    Raises:
        TypeError: one of them cannot be called.
    """

    def __init__(self, transforms: Sequence[Callable[[np.ndarray], np.ndarray]]):
        for transform in transforms:
            if not callable(transform):
                raise TypeError(f"Compose: expected functions of a batch of inputs, got {transform!r}")
        self.transforms = list(transforms)
        self.draws = sum(draws_of(transform) for transform in transforms)

    def apply(self, inputs: np.ndarray, noise: np.ndarray) -> np.ndarray:
        """Each transform gets its own columns of the noise."""
        for transform in self.transforms:
            count = draws_of(transform)
            inputs = apply(transform, inputs, noise[:, :count])
            noise = noise[:, count:]
        return inputs


class Normalize(BatchTransform):
    """Shift and scale each channel: y = (x - mean) / std.

    Shape:
        x (N, C, H, W); mean and std: a number, or C of them.

    Raises:
        TypeError: they are no numbers.
        ValueError: std is not above 0, mean is not finite, or their number differs from each other's.
    """

    def __init__(self, mean: float | Sequence[float], std: float | Sequence[float]):
        try:
            self.mean, self.std = (np.atleast_1d(np.asarray(value, np.float64)) for value in (mean, std))
        except (TypeError, ValueError):
            raise TypeError(f"Normalize: expected numbers as mean and std, got {mean!r} and {std!r}") from None
        if self.mean.ndim != 1 or self.mean.size == 0 or self.mean.shape != self.std.shape:
            raise ValueError(f"Normalize: expected one mean and one std for each channel, got {mean} and {std}")
        if not np.isfinite(self.mean).all() or not np.isfinite(self.std).all() or (self.std <= 0).any():
            raise ValueError(f"Normalize: expected finite means and std above 0, got mean {mean} and std {std}")

    def apply(self, inputs: np.ndarray, noise: np.ndarray) -> np.ndarray:
        """The same for every example."""
        _check("Normalize", inputs)
        if len(self.mean) not in (1, inputs.shape[1]):
            raise ValueError(
                f"Normalize: expected images of {len(self.mean)} channels, as many as means, got shape {inputs.shape}"
            )
        mean, std = (value.astype(inputs.dtype)[:, None, None] for value in (self.mean, self.std))
        out = inputs - mean
        out /= std
        return out


class RandomCrop(BatchTransform):
    """Cut a window out of each image at a random place, after padding it with zeros on every side.

    Shape:
        (N, C, H, W) to (N, C, *size); `size` is a pair, or a number for a square.

    Raises:
        TypeError: size or padding are no whole numbers.
        ValueError: size is below 1, padding is below 0, or (when called) the window exceeds the padded image.
    """

    draws = 2

    def __init__(self, size: int | tuple[int, int], padding: int = 0):
        self.size = check_pair("RandomCrop", "size", size, 1)
        self.padding = check_whole("RandomCrop", "padding", padding, 0)

    def apply(self, inputs: np.ndarray, noise: np.ndarray) -> np.ndarray:
        """The window's top is row floor(u * free) of the `free` possible ones, its left edge likewise."""
        _check("RandomCrop", inputs)
        p, (height, width) = self.padding, self.size
        padded = np.pad(images(inputs), ((0, 0), (p, p), (p, p), (0, 0)))
        free = np.array([padded.shape[1] - height + 1, padded.shape[2] - width + 1])
        if free.min() < 1:
            raise ValueError(
                f"RandomCrop: expected images of at least {height}x{width} once padded by {p}, got shape {inputs.shape}"
            )
        top, left = np.floor(noise.astype(np.float64) * free).astype(np.int64).T
        row, column = top[:, None] + np.arange(height), left[:, None] + np.arange(width)
        example = np.arange(len(padded))[:, None, None]
        return padded[example, row[:, :, None], column[:, None, :]].transpose(0, 3, 1, 2)


class RandomHorizontalFlip(BatchTransform):
    """Mirror each image left to right with probability `p`.

    Shape:
        (N, C, H, W) to the same.

    Raises:
        TypeError: p is no number.
        ValueError: p is not in [0, 1].
    """

    draws = 1

    def __init__(self, p: float = 0.5):
        self.p = check_number("RandomHorizontalFlip", "p", p, 0, 1)

    def apply(self, inputs: np.ndarray, noise: np.ndarray) -> np.ndarray:
        """Mirrored where u < p."""
        _check("RandomHorizontalFlip", inputs)
        out = images(inputs).copy()
        chosen = noise[:, 0] < self.p
        out[chosen] = out[chosen, :, ::-1]
        return out.transpose(0, 3, 1, 2)


def draws_of(transform: Any) -> int:
    """How many random numbers a transform needs for each example; a plain function needs none."""
    return getattr(transform, "draws", 0)


def apply(transform: Any, inputs: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Apply a `BatchTransform`, or a plain function of the inputs."""
    return transform.apply(inputs, noise) if isinstance(transform, BatchTransform) else transform(inputs)


def _check(name: str, inputs: np.ndarray) -> None:
    if not isinstance(inputs, np.ndarray) or inputs.dtype not in (np.float32, np.float64):
        raise TypeError(
            f"{name}: expected an array of float32 or float64, got {getattr(inputs, 'dtype', type(inputs).__name__)}"
        )
    if inputs.ndim != 4:
        raise ValueError(f"{name}: expected a batch of images (N, C, H, W), got shape {inputs.shape}")
