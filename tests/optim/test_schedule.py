"""Schedules: PyTorch's numbers, joining, resuming."""

import numpy as np
import pytest

from minidl import nn, ones, optim

SCHEDULES = {
    "constant": lambda lib, o: lib.ConstantLR(o, factor=0.25, total_iters=4),
    "constant by default": lambda lib, o: lib.ConstantLR(o),
    "step": lambda lib, o: lib.StepLR(o, step_size=3, gamma=0.5),
    "step by default": lambda lib, o: lib.StepLR(o, 7),
    "linear": lambda lib, o: lib.LinearLR(o, start_factor=0.1, end_factor=0.8, total_iters=6),
    "linear by default": lambda lib, o: lib.LinearLR(o),
    "cosine": lambda lib, o: lib.CosineAnnealingLR(o, T_max=8, eta_min=0.01),
    "cosine by default": lambda lib, o: lib.CosineAnnealingLR(o, 20),
    "warm-up, cosine": lambda lib, o: lib.SequentialLR(
        o, [lib.LinearLR(o, 0.1, total_iters=5), lib.CosineAnnealingLR(o, 10)], milestones=[5]
    ),
    "warm-up, constant, step": lambda lib, o: lib.SequentialLR(
        o, [lib.LinearLR(o), lib.ConstantLR(o, 0.5, 2), lib.StepLR(o, 2)], milestones=[4, 9]
    ),
}
every_schedule = pytest.mark.parametrize("make", SCHEDULES.values(), ids=SCHEDULES.keys())


def optimizer():
    return optim.SGD([{"params": nn.Parameter(ones(1))}, {"params": nn.Parameter(ones(1)), "lr": 0.5}], lr=0.1)


def rates(schedule, steps=14):
    out = [schedule.get_last_lr()]
    for _ in range(steps):
        schedule.step()
        out.append(schedule.get_last_lr())
        assert out[-1] == [group["lr"] for group in schedule.optimizer.param_groups]
    return np.array(out)


@pytest.mark.filterwarnings("ignore::UserWarning:torch.optim.lr_scheduler")  # SequentialLR warns of itself
@every_schedule
def test_the_numbers_are_pytorchs(make):
    torch = pytest.importorskip("torch")
    params = [torch.nn.Parameter(torch.ones(1)) for _ in range(2)]
    theirs = make(
        torch.optim.lr_scheduler, torch.optim.SGD([{"params": params[0]}, {"params": params[1], "lr": 0.5}], 0.1)
    )
    expected = [theirs.get_last_lr()]
    for _ in range(14):
        theirs.optimizer.step()
        theirs.step()
        expected.append(theirs.get_last_lr())
    np.testing.assert_allclose(rates(make(optim, optimizer())), expected, rtol=1e-12, atol=1e-16)


def test_values():
    assert rates(optim.StepLR(optimizer(), 2), 4)[:, 0] == pytest.approx([0.1, 0.1, 0.01, 0.01, 0.001])
    assert rates(optim.LinearLR(optimizer(), 0.5, 1, 2), 3)[:, 1] == pytest.approx([0.25, 0.375, 0.5, 0.5])
    assert rates(optim.CosineAnnealingLR(optimizer(), 2, 0.1), 2)[:, 1] == pytest.approx([0.5, 0.3, 0.1])
    assert rates(optim.ConstantLR(optimizer(), 0.5, 2), 3)[:, 0] == pytest.approx([0.05, 0.05, 0.1, 0.1])


@every_schedule
def test_resume_is_exact(make):
    straight = rates(make(optim, optimizer()))
    first = make(optim, optimizer())
    rates(first, 6)
    again = optimizer()
    second = make(optim, again)
    again.load_state_dict(first.optimizer.state_dict())
    second.load_state_dict(first.state_dict())
    np.testing.assert_array_equal(rates(second, 8), straight[6:])
    assert first.state_dict() == {"last_epoch": 6, "base_lrs": [0.1, 0.5]}


def test_a_rate_changed_by_another_is_noticed():
    o = optimizer()
    schedule = optim.StepLR(o, 2)
    o.param_groups[1]["lr"] = 3.0
    with pytest.raises(ValueError, match=r"StepLR: expected the learning rate 0\.5 .* got 3\.0"):
        schedule.step()
    assert schedule.last_epoch == 0
