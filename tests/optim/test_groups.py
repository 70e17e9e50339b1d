"""Weight decay for weights, none for norms and biases."""

import numpy as np

from minidl import nn, ones, optim


class Scale(nn.Module):
    no_decay = True

    def __init__(self):
        super().__init__()
        self.table = nn.Parameter(ones(2, 3))


def test_norms_and_biases_are_spared():
    model = nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.LayerNorm((2, 5, 5)), nn.Flatten(), nn.Linear(50, 4), Scale()
    )
    decayed, spared = optim.no_decay_groups(model, 0.1)
    names = {id(p): name for name, p in model.named_parameters()}
    assert [names[id(p)] for p in decayed["params"]] == ["0.weight", "4.weight"]
    expected = ["0.bias", "1.weight", "1.bias", "2.weight", "2.bias", "4.bias", "5.table"]
    assert [names[id(p)] for p in spared["params"]] == expected
    assert decayed["weight_decay"] == 0.1 and spared["weight_decay"] == 0


def test_in_an_optimizer():
    layer = nn.Linear(2, 2)
    optimizer = optim.SGD(optim.no_decay_groups(layer, 0.5), lr=1.0)
    before = layer.state_dict()
    layer.weight.grad, layer.bias.grad = np.zeros((2, 2), np.float32), np.zeros(2, np.float32)
    optimizer.step()
    np.testing.assert_allclose(layer.weight.numpy(), before["weight"] * 0.5, rtol=1e-7)
    np.testing.assert_array_equal(layer.bias.numpy(), before["bias"])


def test_a_model_of_biases_alone():
    layer = nn.BatchNorm1d(2)
    optimizer = optim.SGD(optim.no_decay_groups(layer, 0.5), lr=1.0)
    assert [len(group["params"]) for group in optimizer.param_groups] == [0, 2]
