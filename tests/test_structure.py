"""What a step is made of is counted when it changes, and training alone changes none of it."""

import copy
import pickle

import numpy as np
import pytest

from minidl import nn, ones, optim, tensor
from minidl.mutation import Watched, structure


def parts():
    net = nn.Sequential(nn.Linear(3, 4, rng=0), nn.BatchNorm1d(4), nn.ReLU(), nn.Dropout(0.3, rng=1), nn.Linear(4, 2))
    optimizer = optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=0.1)
    return net, optimizer, optim.LinearLR(optimizer, 0.1, total_iters=50)


def train(net, optimizer, steps=2):
    x, y = ones(6, 3), tensor(np.arange(6) % 2)
    for _ in range(steps):
        optimizer.zero_grad()
        nn.CrossEntropyLoss()(net(x), y).backward()
        optimizer.step()


def test_training_and_schedules_change_no_structure():
    net, optimizer, schedule = parts()
    loss_of = nn.CrossEntropyLoss()
    x, y = ones(6, 3), tensor(np.arange(6) % 2)
    for step in range(4):
        before = structure()
        optimizer.zero_grad()
        loss_of(net(x), y).backward()
        optimizer.step()
        schedule.step()
        assert (structure() == before) == (step > 0)  # the first makes the velocities
    optimizer.param_groups[0].update(lr=0.2, weight_decay=0.3, momentum=0.8, dampening=0.5)
    net.load_state_dict(net.state_dict())
    optimizer.load_state_dict(optimizer.state_dict())
    net.train()
    net[0].weight.requires_grad = True
    net[3].p = net[3].p
    net[0].weight.data *= 2
    net[3].rng.state = (4, 5, 6)
    assert structure() == before


CHANGES = {
    "attribute": lambda net, o: setattr(net[3], "p", 0.4),
    "new attribute": lambda net, o: setattr(net, "name", "n"),
    "attribute deleted": lambda net, o: delattr(net[3], "p"),
    "momentum of a layer": lambda net, o: setattr(net[1], "momentum", None),
    "mode": lambda net, o: net.eval(),
    "mode of one layer": lambda net, o: setattr(net[3], "training", False),
    "layer replaced": lambda net, o: setattr(net, "2", nn.Tanh()),
    "layer appended": lambda net, o: net.append(nn.Identity()),
    "parameter replaced": lambda net, o: setattr(net[0], "bias", None),
    "buffer replaced": lambda net, o: setattr(net[1], "running_mean", ones(4)),
    "buffer registered": lambda net, o: net.register_buffer("seen", tensor(0)),
    "hook": lambda net, o: net[0].register_forward_hook(lambda *_: None),
    "hook before": lambda net, o: net[0].register_forward_pre_hook(lambda *_: None),
    "frozen": lambda net, o: net[0].requires_grad_(False),
    "array replaced": lambda net, o: setattr(net[0].weight, "data", np.ones((4, 3), np.float32)),
    "dtype": lambda net, o: net.to("float64"),
    "momentum off": lambda net, o: o.param_groups[0].update(momentum=0),
    "nesterov": lambda net, o: o.param_groups[0].update(nesterov=True),
    "decay off": lambda net, o: o.param_groups[0].__setitem__("weight_decay", 0.0),
    "rate out of range": lambda net, o: o.param_groups[0].__setitem__("lr", -1),
    "rate deleted": lambda net, o: o.param_groups[0].pop("lr"),
    "parameters": lambda net, o: o.param_groups[0].update(params=[net[0].weight]),
    "velocity": lambda net, o: o.state[net[0].weight].update(momentum_buffer=np.zeros((4, 3), np.float32)),
    "velocity forgotten": lambda net, o: o.state.pop(net[0].weight),
    "state replaced": lambda net, o: setattr(o, "state", {}),
    "groups replaced": lambda net, o: setattr(o, "param_groups", o.param_groups[:]),
    "state of fewer": lambda net, o: o.load_state_dict({**o.state_dict(), "state": {}}),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_changes_of_structure_are_counted(change):
    net, optimizer, _ = parts()
    train(net, optimizer)
    before = structure()
    change(net, optimizer)
    assert structure() > before


def test_a_hook_taken_off_is_counted():
    layer = nn.Identity()
    handle = layer.register_forward_hook(lambda *_: None)
    before = structure()
    handle.remove()
    middle = structure()
    handle.remove()
    assert middle > before


def test_a_watched_dict_is_a_dict():
    watched = Watched(a=1)
    for change, expected in [
        (lambda: watched.update(b=2), {"a": 1, "b": 2}),
        (lambda: watched.__setitem__("c", 3), {"a": 1, "b": 2, "c": 3}),
        (lambda: watched.setdefault("d", 4), {"a": 1, "b": 2, "c": 3, "d": 4}),
        (lambda: watched.__delitem__("a"), {"b": 2, "c": 3, "d": 4}),
        (lambda: watched.pop("b"), {"c": 3, "d": 4}),
        (watched.popitem, {"c": 3}),
        (lambda: watched.__ior__({"e": 5}), {"c": 3, "e": 5}),
        (watched.clear, {}),
    ]:
        before = structure()
        change()
        assert watched == expected and structure() > before
    watched["x"] = [1]
    for twin in (copy.deepcopy(watched), pickle.loads(pickle.dumps(watched))):
        assert type(twin) is Watched and twin == {"x": [1]} and twin["x"] is not watched["x"]
