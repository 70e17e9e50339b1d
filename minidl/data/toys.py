"""Toy datasets: points in the plane whose classes no straight line separates."""

import math

import numpy as np

from ..checks import check_number, check_whole
from ..random import Generator, as_generator
from .dataset import ArrayDataset


def moons(n: int, noise: float = 0.1, rng: Generator | int | None = None) -> ArrayDataset:
    """Two interleaving half circles: (cos t, sin t) of class 0, (1 - cos t, 1/2 - sin t) of class 1, 0 <= t <= pi.

    `noise` is the standard deviation of the normal noise on both coordinates.

    Shape:
        inputs (n, 2) float32, targets (n,) int64, as many of each class or one more of class 0.

    Raises:
        TypeError: n is no whole number, or the noise no number.
        ValueError: n is below 2, or the noise negative.
    """
    n, noise = check_whole("moons", "n", n, 2), check_number("moons", "noise", noise, 0)
    labels, place = _classes(n, 2)
    angle = math.pi * place
    upper = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    points = np.where(labels[:, None] == 0, upper, np.array([1.0, 0.5]) - upper)
    return _dataset(points, labels, noise, rng)


def spirals(n: int, classes: int = 3, noise: float = 0.05, rng: Generator | int | None = None) -> ArrayDataset:
    """Arms of a spiral, one a class: radius t, angle 2 pi (class / classes + t), for t from 0 to 1.

    `noise` is the standard deviation of the normal noise on both coordinates.

    Shape:
        inputs (n, 2) float32, targets (n,) int64, as many of each class, or one more of the first ones.

    Raises:
        TypeError: n or classes are no whole numbers, or the noise no number.
        ValueError: there are fewer than 2 classes, or fewer points than classes, or the noise is negative.
    """
    classes = check_whole("spirals", "classes", classes, 2)
    n, noise = check_whole("spirals", "n", n, classes), check_number("spirals", "noise", noise, 0)
    labels, place = _classes(n, classes)
    angle = 2 * math.pi * (labels / classes + place)
    return _dataset(place[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1), labels, noise, rng)


def _classes(n: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels 0, 1, ..., 0, 1, ... and the place of each point among those of its class, evenly from 0 to 1."""
    labels, rank = np.arange(n) % classes, np.arange(n) // classes
    return labels, rank / np.maximum(np.bincount(labels)[labels] - 1, 1)


def _dataset(points: np.ndarray, labels: np.ndarray, noise: float, rng: Generator | int | None) -> ArrayDataset:
    points = points + as_generator(rng).normal(points.shape, 0.0, noise, np.float64)
    return ArrayDataset(points.astype(np.float32), labels)
