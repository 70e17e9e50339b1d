"""Module: what it finds, in which order, its modes, hooks, dtypes and mistakes."""

import copy
import os
import subprocess
import sys

import numpy as np
import pytest

from minidl import Tensor, nn, ones, tensor, zeros


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(ones(3))
        self.last = nn.Linear(3, 2, rng=0)
        self.layers = [nn.Linear(3, 3, rng=1), {"norm": nn.BatchNorm1d(3)}]
        self.register_buffer("seen", tensor(0), persistent=False)
        self.first = nn.Linear(3, 3, bias=False, rng=2)

    def forward(self, x):
        for layer in (self.first, self.layers[0], self.layers[1]["norm"], self.last):
            x = layer(x)
        return x * self.scale[:2]


NAMES = ["scale", "last.weight", "last.bias", "layers.0.weight", "layers.0.bias"]
NAMES += ["layers.1.norm.weight", "layers.1.norm.bias", "first.weight"]
STATISTICS = [f"layers.1.norm.{name}" for name in ("running_mean", "running_var", "num_batches_tracked")]


def test_parameters_come_in_the_order_of_assignment():
    net = Net()
    assert [name for name, _ in net.named_parameters()] == NAMES
    assert [id(p) for p in net.parameters()] == [id(p) for _, p in net.named_parameters()]
    assert [name for name, _ in net.named_buffers()] == ["seen", *STATISTICS]
    assert [name for name, _ in net.named_modules()] == ["", "last", "layers.0", "layers.1.norm", "first"]
    assert list(net.children()) == list(net.modules())[1:]
    assert list(net.state_dict()) == [*NAMES[:7], *STATISTICS, NAMES[7]]
    assert next(net.named_parameters("net"))[0] == "net.scale"


def test_the_order_does_not_depend_on_the_hash_seed():
    program = (
        "from tests.nn.test_module import Net; print([n for n, _ in Net().named_parameters()], Net().state_dict())"
    )
    outputs = set()
    for seed in ("1", "2"):
        environment = os.environ | {"PYTHONHASHSEED": seed}
        run = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=False
        )
        assert run.returncode == 0, run.stderr
        outputs.add(run.stdout)
    assert len(outputs) == 1 and str(NAMES) in outputs.pop()


def test_a_shared_module_counts_once_and_is_saved_under_both_names():
    shared = nn.Linear(3, 3)
    net = nn.Sequential(shared, nn.Tanh(), shared)
    assert [name for name, _ in net.named_parameters()] == ["0.weight", "0.bias"]
    assert list(net.state_dict()) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert len(list(net.modules())) == 3 and len(list(net.children())) == 2


def test_gradient_of_a_shared_layer_is_the_sum_of_its_uses():
    shared = nn.Linear(2, 2, bias=False, rng=0).to("float64")
    w, x = shared.weight.numpy().copy(), np.random.default_rng(0).standard_normal((5, 2))
    nn.Sequential(shared, shared)(tensor(x)).sum().backward()
    u = np.ones((5, 2))
    np.testing.assert_allclose(shared.weight.grad, u.T @ (x @ w.T) + (u @ w).T @ x, rtol=1e-12)


def test_two_leaves_never_share_one_gradient_array():
    first, second = nn.Parameter(ones(3)), nn.Parameter(ones(3))
    (first + second).sum().backward()
    assert not np.shares_memory(first.grad, second.grad)
    first.grad += 1
    np.testing.assert_array_equal(second.grad, np.ones(3))


def test_a_parameter_is_a_leaf_that_owns_its_memory():
    source = np.ones(3)
    parameter = nn.Parameter(source)
    source[0] = 5
    assert isinstance(parameter, Tensor) and parameter.requires_grad and parameter.is_leaf
    assert parameter.tolist() == [1, 1, 1] and parameter.dtype == np.float64
    assert repr(nn.Parameter(ones(1))) == "Parameter containing:\ntensor([1.], requires_grad=True)"


def test_train_and_eval_reach_everything():
    net = Net()
    assert all(module.training for module in net.modules())
    assert net.eval() is net and not any(module.training for module in net.modules())
    net.train()
    assert net.layers[1]["norm"].training


def test_to_changes_floats_in_place():
    net = Net()
    before = list(net.parameters())
    x = tensor(np.ones((4, 3), np.float32))
    net(x).sum().backward()
    assert net.to("float64") is net
    assert all(a is b for a, b in zip(before, net.parameters(), strict=True))
    assert {p.dtype for p in net.parameters()} == {np.dtype(np.float64)} == {p.grad.dtype for p in net.parameters()}
    assert net.seen.dtype == np.int64 and net.layers[1]["norm"].running_var.dtype == np.float64
    assert net(x.to(np.float64)).dtype == np.float64


def test_apply_goes_from_the_inside_out():
    order = []
    net = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.Tanh()))
    assert net.apply(lambda module: order.append(type(module).__name__)) is net
    assert order == ["Linear", "Tanh", "Sequential", "Sequential"]


def test_requires_grad_and_zero_grad():
    net = Net()
    x = tensor(np.random.default_rng(0).standard_normal((4, 3)).astype(np.float32))
    net.first.requires_grad_(False)
    net(x).sum().backward()
    assert net.first.weight.grad is None and net.scale.grad is not None
    net.zero_grad()
    assert all(p.grad is None for p in net.parameters())


def test_hooks_see_and_replace_inputs_and_outputs():
    layer, seen = nn.Identity(), []
    before = layer.register_forward_pre_hook(lambda module, inputs: seen.append(inputs) or (inputs[0] + 1,))
    after = layer.register_forward_hook(lambda module, inputs, output: seen.append((inputs, output)) or output * 10)
    assert layer(1) == 20
    assert seen == [(1,), ((2,), 2)]
    before.remove()
    before.remove()
    assert layer(1) == 10
    after.remove()
    assert layer(1) == 1
    layer.register_forward_hook(lambda module, inputs, output: None)
    layer.register_forward_pre_hook(lambda module, inputs: 7)
    assert layer(1) == 7


def test_a_typo_is_an_attribute_error_that_names_the_module():
    with pytest.raises(AttributeError, match="'Net' object has no attribute 'scales'"):
        _ = Net().scales


def test_assigning_before_init():
    class Early(nn.Module):
        def __init__(self):
            self.layer = nn.Linear(2, 2)

    with pytest.raises(AttributeError, match=r"Early: cannot assign 'layer' before super\(\).__init__\(\)"):
        Early()


def test_init_never_called():
    class Never(nn.Module):
        def __init__(self):
            self.size = 3

        def forward(self, x):
            return x

    with pytest.raises(AttributeError, match=r"'Never' .* has not called super\(\).__init__\(\)"):
        Never()(1)


def test_no_forward():
    class Empty(nn.Module):
        pass

    with pytest.raises(NotImplementedError, match="Empty: expected a method forward"):
        Empty()(1)


def test_a_parameter_can_be_replaced_or_taken_away():
    layer = nn.Linear(2, 2)
    layer.weight = nn.Parameter(zeros(2, 2))
    layer.bias = None
    assert [name for name, _ in layer.named_parameters()] == ["weight"]
    assert layer(ones(1, 2)).tolist() == [[0, 0]]


def test_a_buffer_stays_one_when_assigned_anew():
    layer = nn.BatchNorm1d(2)
    layer.running_mean = ones(2)
    assert layer.state_dict()["running_mean"].tolist() == [1, 1]
    layer.register_buffer("running_mean", None)
    assert "running_mean" not in layer.state_dict()


def test_a_copy_is_on_its_own():
    net = Net()
    twin = copy.deepcopy(net)
    twin.scale.data[...] = 5
    assert net.scale.tolist() == [1, 1, 1] and [n for n, _ in twin.named_parameters()] == NAMES
    x = tensor(np.random.default_rng(0).standard_normal((4, 3)).astype(np.float32))
    twin(x).sum().backward()
    assert net.scale.grad is None and twin.scale.grad is not None
