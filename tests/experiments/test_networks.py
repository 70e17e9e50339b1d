"""Arms are paired: one seed means the same weights where shapes agree, and the same order of examples."""

import numpy as np
import pytest

from experiments.common.networks import NORMS, cnn, mlp
from experiments.common.runs import Arm, trainer_of
from experiments.loss_curves import MLP
from minidl.data import ArrayDataset


@pytest.mark.parametrize(("build", "activation"), [(mlp, "sigmoid"), (cnn, "relu")])
def test_arms_of_one_seed_share_their_weights(build, activation):
    def matrices(norm, seed):
        named = build(norm, activation, seed).named_parameters()
        layers = {name: p.data for name, p in named if name.endswith("weight") and p.ndim in (2, 4)}
        return list(layers.values())

    plain = matrices("none", 0)
    for norm in NORMS:
        arm = matrices(norm, 0)
        assert len(arm) == len(plain) and all(np.array_equal(a, b) for a, b in zip(plain, arm, strict=True))
    assert not any(np.array_equal(a, b) for a, b in zip(plain, matrices("none", 1), strict=True))


def test_the_sizes_are_those_of_the_paper():
    count = sum(p.size for p in mlp("none", "sigmoid", 0).parameters())
    assert count == 784 * 100 + 2 * 100 * 100 + 3 * 100 + 100 * 10 + 10
    assert sum(p.size for p in mlp("batch", "sigmoid", 0).parameters()) == count + 3 * 100  # gamma; beta for the bias


def test_arms_of_one_seed_see_the_examples_in_one_order():
    dataset = ArrayDataset(np.zeros((130, 1, 28, 28), np.float32), np.arange(130))
    orders = []
    for norm in ("none", "batch"):
        _, loader = trainer_of(Arm(MLP, norm), 0.1, 3, dataset, epochs=2)
        orders.append([targets.tolist() for _ in range(2) for _, targets in loader])
    assert orders[0] == orders[1]
    first, second = orders[0][:3], orders[0][3:]
    assert sorted(first[0] + first[1] + first[2]) == list(range(130)) and first != second
