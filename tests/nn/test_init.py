"""Starting values: the right bounds and deviations, PyTorch's distributions, one seed one result."""

import math

import numpy as np
import pytest

import minidl
from minidl import nn, zeros
from minidl.nn import init

SHAPE = (60, 50, 3, 2)
FAN_IN, FAN_OUT = 50 * 6, 60 * 6
UNIFORM = [
    (lambda t: init.uniform_(t, -2, 1, rng=0), -2, 1),
    (lambda t: init.kaiming_uniform_(t, rng=0), -math.sqrt(6 / FAN_IN), math.sqrt(6 / FAN_IN)),
    (
        lambda t: init.kaiming_uniform_(t, a=1, mode="fan_out", rng=0),
        -math.sqrt(3 / FAN_OUT),
        math.sqrt(3 / FAN_OUT),
    ),
    (lambda t: init.xavier_uniform_(t, gain=2, rng=0), -2 * math.sqrt(6 / 660), 2 * math.sqrt(6 / 660)),
]
NORMAL = [
    (lambda t: init.normal_(t, 3, 0.5, rng=0), 3, 0.5),
    (lambda t: init.kaiming_normal_(t, nonlinearity="relu", rng=0), 0, math.sqrt(2 / FAN_IN)),
    (lambda t: init.kaiming_normal_(t, mode="fan_out", nonlinearity="tanh", rng=0), 0, 5 / 3 / math.sqrt(FAN_OUT)),
    (lambda t: init.xavier_normal_(t, rng=0), 0, math.sqrt(2 / 660)),
]


@pytest.mark.parametrize(("fill", "low", "high"), UNIFORM)
def test_uniform(fill, low, high):
    t = zeros(*SHAPE)
    assert fill(t) is t
    x = t.numpy()
    assert low <= x.min() < low + 1e-3 * (high - low) and high - 1e-3 * (high - low) < x.max() <= high
    assert abs(x.mean() - (low + high) / 2) < 0.01 * (high - low)
    assert abs(x.std() - (high - low) / math.sqrt(12)) < 0.01 * (high - low)
    assert len(np.unique(x)) > 0.99 * x.size


@pytest.mark.parametrize(("fill", "mean", "std"), NORMAL)
def test_normal(fill, mean, std):
    t = zeros(*SHAPE, dtype=np.float64)
    assert fill(t) is t
    x = t.numpy()
    assert abs(x.mean() - mean) < 0.02 * std and abs(x.std() - std) < 0.02 * std
    assert abs((np.abs(x - mean) < std).mean() - 0.6827) < 0.01


def test_constants():
    t = zeros(2, 3)
    assert init.ones_(t).tolist() == [[1] * 3] * 2
    assert init.constant_(t, 2.5).tolist() == [[2.5] * 3] * 2
    assert init.zeros_(t).tolist() == [[0] * 3] * 2


@pytest.mark.parametrize("name", ["linear", "conv2d", "sigmoid", "tanh", "relu", "leaky_relu", "selu"])
def test_gains_are_pytorchs(name):
    torch = pytest.importorskip("torch")
    assert init.calculate_gain(name) == torch.nn.init.calculate_gain(name)
    assert init.calculate_gain("leaky_relu", 0.3) == torch.nn.init.calculate_gain("leaky_relu", 0.3)


@pytest.mark.parametrize("make", [lambda nn: nn.Linear(300, 400), lambda nn: nn.Conv2d(12, 400, 5)])
def test_layers_start_as_pytorchs(make):
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    minidl.manual_seed(0)
    ours, theirs = make(nn).state_dict(), make(torch.nn).state_dict()
    bound = 1 / math.sqrt(300)
    for name in ("weight", "bias"):
        x, y = ours[name], theirs[name].numpy()
        assert x.dtype == y.dtype and x.shape == y.shape
        assert np.abs(x).max() <= bound and np.abs(y).max() <= bound
        assert np.abs(x).max() > 0.98 * bound
        quantiles = np.linspace(0.1, 0.9, 9)
        np.testing.assert_allclose(np.quantile(x, quantiles), np.quantile(y, quantiles), atol=0.12 * bound)


@pytest.mark.parametrize("make", [lambda rng: nn.Linear(5, 3, rng=rng), lambda rng: nn.Conv2d(2, 3, 2, rng=rng)])
def test_one_seed_one_layer(make):
    first, second, third = make(0).state_dict(), make(0).state_dict(), make(1).state_dict()
    for name in first:
        np.testing.assert_array_equal(first[name], second[name])
        assert (first[name] != third[name]).all()
    minidl.manual_seed(7)
    default = make(None).state_dict()
    np.testing.assert_array_equal(default["weight"], make(minidl.Generator(7)).state_dict()["weight"])
    assert (make(None).state_dict()["weight"] != default["weight"]).any()


def test_filling_after_use_is_noted():
    layer = nn.Linear(2, 2)
    x = zeros(3, 2, requires_grad=True)
    loss = layer(x).sum()
    init.zeros_(layer.weight)
    with pytest.raises(ValueError, match="changed in place"):
        loss.backward()
