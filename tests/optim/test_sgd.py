"""SGD against PyTorch's numbers for all options, its state, and what it leaves alone."""

import copy
import itertools
import pickle

import numpy as np
import pytest
from numba.core.runtime import _nrt_python, rtsys

import minidl
from minidl import nn, ones, optim, tensor
from minidl.kernels import update
from minidl.kernels.launch import launch
from minidl.kernels.layout import dense

OPTIONS = [
    {"momentum": momentum, "dampening": dampening, "weight_decay": decay, "nesterov": nesterov}
    for momentum, dampening, decay, nesterov in itertools.product((0, 0.9), (0, 0.3), (0, 0.1), (False, True))
    if not nesterov or (momentum and not dampening)
]
SHAPES = [(4, 3, 2, 5), (67, 3), (5,), ()]


def gradients(dtype, steps=10):
    rng = np.random.default_rng(1)
    return [[np.asarray(rng.standard_normal(shape)).astype(dtype) for shape in SHAPES] for _ in range(steps)]


def parameters(dtype):
    rng = np.random.default_rng(0)
    return [nn.Parameter(np.asarray(rng.standard_normal(shape)).astype(dtype)) for shape in SHAPES]


def run(optimizer, params, steps):
    """Steps with given gradients, in C order, which is not the order of an image's memory."""
    for arrays in steps:
        for parameter, array in zip(params, arrays, strict=True):
            parameter.grad = array.copy()
        optimizer.step()
    return [p.numpy().copy() for p in params]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_ten_steps_as_pytorch(options, dtype):
    torch = pytest.importorskip("torch")
    ours = parameters(dtype)
    theirs = [torch.nn.Parameter(torch.tensor(p.numpy())) for p in ours]
    optimizer, reference = optim.SGD(ours, lr=0.1, **options), torch.optim.SGD(theirs, lr=0.1, **options)
    for i, arrays in enumerate(gradients(dtype)):
        for place, array in enumerate(arrays):
            ours[place].grad, theirs[place].grad = array.copy(), torch.from_numpy(array.copy())
        if i == 4:  # options are read anew at each step
            optimizer.param_groups[0]["lr"] = reference.param_groups[0]["lr"] = 0.03
        optimizer.step()
        reference.step()
    close = {"rtol": 1e-5, "atol": 1e-6} if dtype == "float32" else {"rtol": 1e-13, "atol": 1e-14}
    for our, their in zip(ours, theirs, strict=True):
        assert our.dtype == np.dtype(dtype)
        np.testing.assert_allclose(our.numpy(), their.detach().numpy(), **close)
        if options["momentum"]:
            velocity = reference.state[their]["momentum_buffer"].numpy()
            np.testing.assert_allclose(optimizer.state[our]["momentum_buffer"], velocity, **close)


def test_the_velocity_starts_as_the_gradient_whatever_the_dampening():
    parameter = nn.Parameter(np.zeros(3))
    optimizer = optim.SGD([parameter], lr=1, momentum=0.5, dampening=0.9)
    parameter.grad = np.array([1.0, -2.0, 0.0])
    optimizer.step()
    assert parameter.tolist() == [-1, 2, 0]
    optimizer.step()  # v = 0.5 g + 0.1 g
    np.testing.assert_allclose(parameter.numpy(), [-1.6, 3.2, 0], rtol=1e-15)


def test_groups_have_options_of_their_own():
    first, second = nn.Parameter(np.ones(2)), nn.Parameter(np.ones(2))
    optimizer = optim.SGD([{"params": first, "lr": 1.0}, {"params": [second], "weight_decay": 0.5}], lr=0.1)
    first.grad, second.grad = np.ones(2), np.ones(2)
    optimizer.step()
    assert first.tolist() == [0, 0]
    np.testing.assert_allclose(second.numpy(), 1 - 0.1 * 1.5, rtol=1e-15)


def test_what_has_no_gradient_is_left_alone():
    first, second = nn.Parameter(np.ones(2)), nn.Parameter(np.ones(2))
    optimizer = optim.SGD([first, second], lr=0.1, momentum=0.9, weight_decay=0.1)
    first.grad = np.ones(2)
    optimizer.step()
    assert second.tolist() == [1, 1] and second not in optimizer.state and first in optimizer.state
    optimizer.zero_grad()
    assert first.grad is None


def test_the_gradient_is_not_changed_and_the_weight_keeps_its_memory():
    parameter = nn.Parameter(np.ones((2, 3, 4, 5)))
    memory, gradient = parameter._array, np.random.default_rng(0).standard_normal((2, 3, 4, 5))
    optimizer = optim.SGD([parameter], lr=0.1, momentum=0.9, weight_decay=0.1, nesterov=True)
    parameter.grad = gradient.copy()
    optimizer.step()
    np.testing.assert_array_equal(parameter.grad, gradient)
    assert parameter._array is memory
    velocity = optimizer.state[parameter]["momentum_buffer"]
    assert velocity.strides == memory.strides and dense(velocity) is velocity


@pytest.mark.parametrize("nesterov", [0, 1])
@pytest.mark.parametrize(("kernel", "count"), [(update.sgd, 2), (update.sgd_momentum, 3)])
def test_the_kernels_allocate_nothing(kernel, count, nesterov):
    arrays = [*np.ones((count, 1000), np.float32), np.array([0.1, 0.01, 0.9, 1, nesterov])]
    launch(kernel, 1000, *arrays)  # compiles it, if that is not done yet
    counting = _nrt_python.memsys_stats_enabled()
    _nrt_python.memsys_enable_stats()
    before = rtsys.get_allocation_stats()
    launch(kernel, 1000, *arrays)
    after = rtsys.get_allocation_stats()
    if not counting:
        _nrt_python.memsys_disable_stats()
    assert after.alloc - before.alloc == after.free - before.free == 0


def test_what_changes_between_steps_is_seen():
    weight = nn.Parameter(ones(2, 3))
    optimizer = optim.SGD([weight], lr=1.0, momentum=0.5)

    def step():
        weight.grad = np.ones((2, 3), np.float32)
        optimizer.step()
        return weight.numpy()[0, 0]

    assert [step(), step()] == [0, -1.5]
    optimizer.param_groups[0]["lr"] = 2.0
    assert step() == -1.5 - 2 * 1.75
    optimizer.state[weight]["momentum_buffer"] = np.zeros((2, 3), np.float32)
    weight.data = np.ones((2, 3), np.float32)
    assert step() == -1
    optimizer.param_groups[0]["momentum"] = 0.0
    assert [step(), step()] == [-3, -5]
    assert np.array_equal(optimizer.state[weight]["momentum_buffer"], np.ones((2, 3)))
    optimizer.param_groups[0]["lr"] = -1.0
    with pytest.raises(ValueError, match="expected lr of at least 0"):
        step()
    optimizer.param_groups[0]["lr"] = True
    with pytest.raises(TypeError, match="expected a number as lr, got True"):
        step()


def test_the_settings_of_a_group_are_always_up_to_date():
    optimizer = optim.SGD([nn.Parameter(ones(2))], lr=0.5, momentum=0.9)
    (group,) = optimizer.param_groups
    settings = group.settings
    assert settings.tolist() == [0.5, 0, 0.9, 1, 0]
    group["lr"] = 0.25
    group |= {"weight_decay": 0.1, "nesterov": True}
    assert settings.tolist() == [0.25, 0.1, 0.9, 1, 1]
    optim.ConstantLR(optimizer, 0.5)
    assert settings[0] == 0.125 and group["initial_lr"] == 0.25
    group["lr"] = "fast"
    assert group.form is None and settings[0] == 0.125
    group["lr"] = 2
    optimizer.load_state_dict(optim.SGD([nn.Parameter(ones(2))], lr=0.5, momentum=0.9, dampening=0.25).state_dict())
    assert settings.tolist() == [0.5, 0, 0.9, 0.75, 0] and group.settings is settings and group.form is not None
    for twin in (copy.copy(group), copy.deepcopy(group), pickle.loads(pickle.dumps(group))):
        twin["lr"] = 7.0
        assert twin.settings.tolist() == [7, 0, 0.9, 0.75, 0] and settings[0] == 0.5 == group["lr"]
    with pytest.raises(AttributeError):
        group["params"].append(nn.Parameter(ones(2)))  # nothing would notice


def test_parameters_can_be_given_anew_and_state_is_loaded_in_place():
    first, second = nn.Parameter(np.ones((2, 3, 4, 5))), nn.Parameter(np.ones((2, 3, 4, 5)))
    optimizer = optim.SGD([first], lr=1.0, momentum=0.5)
    optimizer.param_groups[0]["params"] = [first, second]
    first.grad, second.grad = np.ones((2, 2, 3, 4, 5))
    optimizer.step()
    assert (first.numpy() == 0).all() and (second.numpy() == 0).all()
    velocity, state = optimizer.state[first]["momentum_buffer"], optimizer.state_dict()
    state["state"][0]["momentum_buffer"][...] = np.arange(120).reshape(2, 3, 4, 5)
    optimizer.load_state_dict(state)
    assert optimizer.state[first]["momentum_buffer"] is velocity
    np.testing.assert_array_equal(velocity, np.arange(120).reshape(2, 3, 4, 5))
    optimizer.state[first]["momentum_buffer"] = np.arange(120.0).reshape(2, 3, 4, 5)  # not in the weight's order
    optimizer.step()
    np.testing.assert_array_equal(optimizer.state[first]["momentum_buffer"], velocity * 0.5 + 1)
    np.testing.assert_array_equal(first.numpy(), -(velocity * 0.5 + 1))


def test_a_copy_updates_its_own_parameters():
    weight = nn.Parameter(ones(2, 3))
    optimizer = optim.SGD([weight], lr=1.0, momentum=0.5)
    weight.grad = np.ones((2, 3), np.float32)
    optimizer.step()
    copied = copy.deepcopy(optimizer)
    (other,) = copied.param_groups[0]["params"]
    copied.step()
    assert np.array_equal(weight.numpy(), np.zeros((2, 3)))
    assert np.array_equal(other.numpy(), np.full((2, 3), -1.5))
    assert np.array_equal(copied.state[other]["momentum_buffer"], np.full((2, 3), 1.5))
    assert np.array_equal(optimizer.state[weight]["momentum_buffer"], np.ones((2, 3)))


def test_a_step_between_forward_and_backward_is_refused():
    layer = nn.Linear(2, 2)
    optimizer = optim.SGD(layer.parameters(), lr=0.1)
    x = ones(3, 2, requires_grad=True)
    layer(x).sum().backward()
    loss = layer(x).sum()
    optimizer.step()
    with pytest.raises(ValueError, match="changed in place"):
        loss.backward()


def test_a_weight_in_another_order_of_memory_is_updated_too():
    parameter = nn.Parameter(np.ones((2, 3, 4, 5)))
    parameter._array = np.ascontiguousarray(parameter._array)  # as unpickling leaves it
    parameter.grad = np.ones((2, 3, 4, 5))
    optim.SGD([parameter], lr=0.5).step()
    assert (parameter.numpy() == 0.5).all()


def test_weight_decay_on_one_of_two_equal_leaves_leaves_the_other_alone():
    first, second = nn.Parameter(ones(3)), nn.Parameter(ones(3))
    (first + second).sum().backward()
    optim.SGD([{"params": first, "weight_decay": 0.5}, {"params": second}], lr=1.0).step()
    np.testing.assert_allclose(first.numpy(), -0.5)
    np.testing.assert_allclose(second.numpy(), 0)


def test_two_runs_from_one_seed_are_bit_identical():
    def losses():
        minidl.manual_seed(3)
        model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Sigmoid(), nn.Dropout(0.2), nn.Linear(8, 3))
        optimizer = optim.SGD(model.parameters(), lr=0.5, momentum=0.9, nesterov=True)
        rng, loss_of, out = np.random.default_rng(0), nn.CrossEntropyLoss(), []
        x, y = tensor(rng.standard_normal((50, 4)).astype(np.float32)), tensor(rng.integers(0, 3, 50))
        for _ in range(20):
            optimizer.zero_grad()
            loss = loss_of(model(x), y)
            loss.backward()
            optimizer.step()
            out.append(loss.item())
        return out

    first = losses()
    assert losses() == first and first[-1] < first[0]


def test_text():
    optimizer = optim.SGD([nn.Parameter(ones(1))], lr=0.1, momentum=0.9)
    assert repr(optimizer) == (
        "SGD (\nParameter Group 0\n    dampening: 0\n    lr: 0.1\n    momentum: 0.9\n    nesterov: False\n"
        "    weight_decay: 0\n)\nmomentum is PyTorch's: v = momentum * v + g, w = w - lr * v"
    )
