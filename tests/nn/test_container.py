"""Sequential: any callable, names, indexing, slicing."""

from collections import OrderedDict

import numpy as np
import pytest

from minidl import nn, ops, tensor


def test_any_callable_can_stand_in_it():
    net = nn.Sequential(lambda x: x * 2, nn.Identity(), ops.relu)
    assert net(tensor([-1.0, 3.0])).tolist() == [0, 6]
    assert len(net) == 3 and list(net)[2] is ops.relu
    assert [type(child) for child in net.children()] == [nn.Identity]


def test_names_from_a_dict():
    net = nn.Sequential(OrderedDict(body=nn.Linear(2, 3), act=np.tanh, head=nn.Linear(3, 1)))
    assert [name for name, _ in net.named_parameters()] == ["body.weight", "body.bias", "head.weight", "head.bias"]
    assert net.head is net[2] is net[-1]


def test_slices_are_sequentials_of_the_same_layers():
    net = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1))
    part = net[1:]
    assert isinstance(part, nn.Sequential) and len(part) == 2 and part[1] is net[2]
    assert [name for name, _ in part.named_parameters()] == ["2.weight", "2.bias"]
    with pytest.raises(IndexError, match="Sequential: expected an index from -3 to 2, got 3"):
        net[3]


def test_append_and_assignment_add_a_layer():
    net = nn.Sequential()
    assert net(5) == 5
    assert net.append(lambda x: x + 1) is net
    net.more = nn.Identity()
    assert len(net) == 2 and net(5) == 6
    net.more = nn.Sequential(lambda x: -x)
    assert len(net) == 2 and net(5) == -6


def trained(layers, x, dy, training):
    """Output, gradients and running statistics of layers called in turn, or of a Sequential."""
    net = nn.Sequential(*layers).train(training)
    rng = np.random.default_rng(5)
    for parameter in net.parameters():
        parameter.data[...] = rng.standard_normal(parameter.shape)
    x = tensor(x, requires_grad=True)
    y = net(x)
    y.backward(dy)
    return [y.data, x.grad, *(p.grad for p in net.parameters()), *net.state_dict().values()]


class Bare(nn.ReLU):
    """Another class than ReLU, which is not fused."""


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("shape", [(7, 5), (3, 4, 11), (6, 3, 5, 7), (64, 16, 8, 8), (64, 1, 9, 9), (33, 70)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_batch_norm_and_relu_in_one_pass_have_the_same_bits(shape, training, dtype):
    rng = np.random.default_rng(0)
    x, dy = rng.standard_normal((2, *shape)).astype(dtype)
    x.flat[::11] = x.flat[1]  # some y at exactly the same place, and, with a bias, at 0
    kind = nn.BatchNorm2d if len(shape) == 4 else nn.BatchNorm1d
    for extra in (0, np.inf):
        x.flat[3] += dtype(extra)
        layers = [kind(shape[1]).to(dtype) for _ in range(2)]
        with np.errstate(all="ignore"):
            fused = trained([layers[0], nn.ReLU()], x, dy, training)
            apart = trained([layers[1], Bare()], x, dy, training)
        for a, b in zip(fused, apart, strict=True):
            np.testing.assert_array_equal(a.view(f"u{a.itemsize}"), b.view(f"u{b.itemsize}"))


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("activation", [nn.ReLU, nn.Sigmoid, nn.Tanh])
@pytest.mark.parametrize(
    "layer",
    [
        lambda: nn.Linear(5, 4, rng=0),
        lambda: nn.Linear(5, 4, bias=False, rng=0),
        lambda: nn.BatchNorm1d(5),
        lambda: nn.BatchNorm1d(5, affine=False),
    ],
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_layer_and_its_activation_in_one_op_have_the_same_bits(layer, activation, training, dtype):
    x, dy = np.random.default_rng(0).standard_normal((2, 7, 5)).astype(dtype)
    unknown = type("Unknown", (activation,), {})  # another class, which is not fused
    layers = [layer().to(dtype) for _ in range(2)]
    dy = dy[:, : layer().to(dtype)(x).shape[1]]
    fused = trained([layers[0], activation()], x, dy, training)
    apart = trained([layers[1], unknown()], x, dy, training)
    for a, b in zip(fused, apart, strict=True):
        np.testing.assert_array_equal(a.view(f"u{a.itemsize}"), b.view(f"u{b.itemsize}"))


def names_of(y):
    """The ops behind a tensor."""
    found = []
    while y.node is not None:
        found.append(y.node.name)
        y = y.node.inputs[0]
    return found


def test_only_what_nobody_watches_is_fused():
    x = tensor(np.random.default_rng(0).standard_normal((6, 3)), requires_grad=True).to("float32")
    norm, relu, seen = nn.BatchNorm1d(3), nn.ReLU(), []
    net = nn.Sequential(norm, relu, nn.Tanh())
    assert names_of(net(x))[:2] == ["tanh", "batch_norm"]
    assert names_of(nn.Sequential(norm, ops.relu)(x))[:2] == ["relu", "batch_norm"]
    assert names_of(nn.Sequential(norm, nn.LeakyReLU(), relu)(x))[:3] == ["relu", "leaky_relu", "batch_norm"]
    assert names_of(nn.Sequential(nn.Linear(3, 3), nn.Sigmoid(), norm, nn.Tanh())(x))[:2] == ["batch_norm", "linear"]
    for module in (norm, relu):
        for register in (module.register_forward_hook, module.register_forward_pre_hook):
            handle = register(lambda m, i, *o: seen.append(type(m)))
            assert names_of(net(x))[:3] == ["tanh", "relu", "batch_norm"]
            handle.remove()
    assert seen == [nn.BatchNorm1d] * 2 + [nn.ReLU] * 2
    relu.forward = lambda y: y * 2
    assert names_of(net(x))[:2] == ["tanh", "multiply"]
    del relu.forward
    assert names_of(net(x))[:2] == ["tanh", "batch_norm"]
