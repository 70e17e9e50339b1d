"""A run has the same bits again, on any number of threads, and however the work is shared."""

import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest

import minidl
from minidl import nn, optim, tensor
from minidl.kernels import launch


def network():
    return nn.Sequential(
        *(nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(16, 8, 3, stride=2, groups=2), nn.LeakyReLU(), nn.AvgPool2d(3, stride=1, padding=1)),
        *(nn.Flatten(), nn.Linear(8 * 3 * 3, 50), nn.LayerNorm(50), nn.Tanh(), nn.Dropout(0.3)),
        *(nn.Linear(50, 20), nn.BatchNorm1d(20), nn.Sigmoid(), nn.Linear(20, 5)),
    )


def digest(steps=4):
    """A fingerprint of every loss, weight and running statistic of a short training run."""
    minidl.manual_seed(0)
    model, loss_of = network(), nn.CrossEntropyLoss(label_smoothing=0.1)
    optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-3)
    rng = np.random.default_rng(0)
    out = hashlib.sha256()
    for _ in range(steps):
        x, y = tensor(rng.standard_normal((67, 3, 16, 16), dtype=np.float32)), tensor(rng.integers(0, 5, 67))
        optimizer.zero_grad()
        loss = loss_of(model(x), y)
        loss.backward()
        optimizer.step()
        out.update(loss.numpy().tobytes())
    for name, value in sorted(model.state_dict().items()):
        out.update(name.encode() + np.ascontiguousarray(value).tobytes())
    return out.hexdigest()


def test_two_runs_with_one_seed_are_bit_identical():
    first = digest()
    assert digest() == first
    assert digest(steps=3) != first


@pytest.mark.parametrize("share_from", [0, 1 << 62])
def test_how_the_work_is_shared_does_not_matter(share_from, monkeypatch):
    first = digest()
    monkeypatch.setattr(launch, "SHARE_FROM", share_from)
    assert digest() == first


PROGRAM = """
import minidl
from minidl.kernels import launch
from tests.test_bits import digest
for share_from in (launch.SHARE_FROM, 0):
    launch.SHARE_FROM = share_from
    for threads in (1, 2, 3, 4):
        minidl.set_num_threads(threads)
        print(digest())
"""


def test_one_two_three_and_four_threads_give_the_same_bits():
    environment = os.environ | {"NUMBA_NUM_THREADS": "4", "OPENBLAS_NUM_THREADS": "4"}
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    digests = done.stdout.split()
    assert len(digests) == 8 and set(digests) == {digest()}
