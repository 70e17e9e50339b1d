"""The same initial weights and batches as PyTorch give the same losses, weights, running statistics and outputs."""

import numpy as np
import pytest

from minidl import nn, optim, tensor
from minidl.data import FashionMNIST

STEPS, BATCH = 100, 60


def mlp(nn):
    layers = []
    for inputs, outputs in ((784, 100), (100, 100), (100, 100)):
        layers += [nn.Linear(inputs, outputs), nn.BatchNorm1d(outputs), nn.Sigmoid()]
    return nn.Sequential(nn.Flatten(), *layers, nn.Linear(100, 10))


def cnn(nn):
    return nn.Sequential(
        *(nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(32 * 7 * 7, 10)),
    )


def batches():
    inputs, targets = FashionMNIST(train=True)[np.arange(1200)]
    inputs = (np.asarray(inputs) - np.float32(0.5)) / np.float32(0.35)
    for step in range(STEPS):
        at = (np.arange(BATCH) + step * BATCH) % len(inputs)
        yield inputs[at], np.asarray(targets)[at]


@pytest.mark.parametrize("build", [mlp, cnn])
def test_a_hundred_steps_as_pytorch(build):
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    theirs = build(torch.nn)
    ours = build(nn)
    ours.load_state_dict({name: value.numpy() for name, value in theirs.state_dict().items()})
    options = {"lr": 0.02, "momentum": 0.9, "weight_decay": 1e-3}
    our_optimizer = optim.SGD(ours.parameters(), **options)
    their_optimizer = torch.optim.SGD(theirs.parameters(), **options)
    our_loss, their_loss = nn.CrossEntropyLoss(), torch.nn.CrossEntropyLoss()
    losses = []
    for x, y in batches():
        our_optimizer.zero_grad()
        loss = our_loss(ours(tensor(x)), tensor(y))
        loss.backward()
        our_optimizer.step()
        their_optimizer.zero_grad()
        reference = their_loss(theirs(torch.from_numpy(x)), torch.from_numpy(y))
        reference.backward()
        their_optimizer.step()
        losses.append((loss.item(), reference.item()))
    losses = np.array(losses)
    np.testing.assert_allclose(losses[:, 0], losses[:, 1], rtol=1e-4)
    assert losses[-10:].mean() < losses[0, 0] / 2
    for name, value in theirs.state_dict().items():
        np.testing.assert_allclose(ours.state_dict()[name], value.numpy(), rtol=1e-3, atol=1e-4, err_msg=name)
    ours.eval()
    theirs.eval()
    with torch.no_grad():
        expected = theirs(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(ours(tensor(x)).numpy(), expected, rtol=1e-3, atol=1e-3)
