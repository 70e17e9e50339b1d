"""A problem small enough to train on in a test: three classes of points in the plane."""

import numpy as np

from minidl import Generator, nn, optim
from minidl.data import ArrayDataset, DataLoader


def points(count=50, seed=0):
    rng = np.random.default_rng(seed)
    targets = rng.integers(0, 3, count)
    centres = np.array([[2, 0], [-2, 0], [0, 3]], np.float32)
    return ArrayDataset(centres[targets] + rng.standard_normal((count, 2)).astype(np.float32), targets)


def loader(dataset=None, batch_size=8, shuffle=True, **options):
    return DataLoader(dataset or points(), batch_size, shuffle, rng=0, prefetch=0, **options)


def network(seed=0):
    rng = Generator(seed)
    return nn.Sequential(
        nn.Linear(2, 7, rng=rng),
        nn.BatchNorm1d(7),
        nn.Tanh(),
        nn.Dropout(0.2, rng=Generator(1)),
        nn.Linear(7, 3, rng=rng),
    )


def sgd(model, lr=0.1):
    return optim.SGD(model.parameters(), lr=lr, momentum=0.9)
