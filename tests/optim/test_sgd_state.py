"""The state of SGD: an exact resume, PyTorch's state, and states that do not fit."""

import numpy as np
import pytest

from minidl import nn, optim

from .test_sgd import SHAPES, gradients, parameters, run


def test_resume_is_exact():
    steps = gradients("float32")
    options = {"lr": 0.1, "momentum": 0.9, "dampening": 0.1, "weight_decay": 0.01}
    straight = parameters("float32")
    expected = run(optim.SGD(straight, **options), straight, steps)
    before, after = parameters("float32"), parameters("float32")
    first = optim.SGD(before, **options)
    halfway = run(first, before, steps[:5])
    state = first.state_dict()
    for parameter, value in zip(after, halfway, strict=True):
        parameter.data[...] = value
    second = optim.SGD(after, lr=5)
    second.load_state_dict(state)
    for got, wanted in zip(run(second, after, steps[5:]), expected, strict=True):
        np.testing.assert_array_equal(got, wanted)


def test_the_state_is_numbers_and_copies_of_arrays():
    params = parameters("float64")
    optimizer = optim.SGD([{"params": params[:2]}, {"params": params[2:], "lr": 0.5}], lr=0.1, momentum=0.9)
    run(optimizer, params, gradients("float64", 1))
    state = optimizer.state_dict()
    assert [group["params"] for group in state["param_groups"]] == [[0, 1], [2, 3]]
    options = {"momentum": 0.9, "dampening": 0, "weight_decay": 0, "nesterov": False}
    assert [{k: v for k, v in group.items() if k != "params"} for group in state["param_groups"]] == [
        {"lr": 0.1, **options},
        {"lr": 0.5, **options},
    ]
    assert sorted(state["state"]) == [0, 1, 2, 3]
    velocity = state["state"][0]["momentum_buffer"]
    assert velocity.flags.c_contiguous and velocity.shape == SHAPES[0]
    velocity[...] = 7
    assert not (optimizer.state[params[0]]["momentum_buffer"] == 7).any()


def test_pytorchs_state_loads():
    torch = pytest.importorskip("torch")
    ours, steps = parameters("float64"), gradients("float64")
    theirs = [torch.nn.Parameter(torch.tensor(p.numpy())) for p in ours]
    reference = torch.optim.SGD(theirs, lr=0.2, momentum=0.8)
    optimizer = optim.SGD(ours, lr=0.1)
    for parameter, array in zip(theirs, steps[0], strict=True):
        parameter.grad = torch.from_numpy(array)
    reference.step()
    optimizer.load_state_dict(reference.state_dict())
    for our, their in zip(ours, theirs, strict=True):
        our.data[...] = their.detach().numpy()
    for parameter, array in zip(theirs, steps[1], strict=True):
        parameter.grad = torch.from_numpy(array)
    reference.step()
    for got, their in zip(run(optimizer, ours, steps[1:2]), theirs, strict=True):
        np.testing.assert_allclose(got, their.detach().numpy(), rtol=1e-13, atol=1e-14)


def test_a_wrong_state_changes_nothing():
    params = parameters("float64")
    optimizer = optim.SGD(params, lr=0.1, momentum=0.9)
    run(optimizer, params, gradients("float64", 1))
    before = optimizer.state_dict()
    wrong = optimizer.state_dict()
    wrong["param_groups"][0]["lr"] = 0.7
    wrong["state"][1]["momentum_buffer"] = np.ones(2)
    with pytest.raises(ValueError, match=r"momentum_buffer of shape \(67, 3\) for parameter 1, got \(2,\)"):
        optimizer.load_state_dict(wrong)
    after = optimizer.state_dict()
    assert after["param_groups"] == before["param_groups"]
    for place in range(4):
        np.testing.assert_array_equal(
            after["state"][place]["momentum_buffer"], before["state"][place]["momentum_buffer"]
        )


def test_the_state_of_a_parameter_taken_out_of_its_group_is_left_out():
    kept, taken = nn.Parameter(np.ones(2, np.float32)), nn.Parameter(np.ones(3, np.float32))
    optimizer = optim.SGD([taken, kept], lr=0.1, momentum=0.9)
    for parameter in (kept, taken):
        parameter.grad = np.ones_like(parameter.data)
    optimizer.step()
    optimizer.param_groups[0]["params"] = [kept]
    saved = optimizer.state_dict()
    assert saved["param_groups"][0]["params"] == [0]
    assert {place: list(arrays) for place, arrays in saved["state"].items()} == {0: ["momentum_buffer"]}
    assert saved["state"][0]["momentum_buffer"].tolist() == [1, 1]
