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
