"""Schedules: the learning rate as a function of the steps taken. PyTorch's names, arguments and numbers.

A schedule counts its own `step()` calls, one an epoch or one a batch, as the caller likes, and writes each group's
`lr`, starting when it is made. Unlike PyTorch's, a rate is always computed from the initial one, never from the rate
before, so nothing drifts; two schedules of one optimizer are joined by SequentialLR.
"""

import math
from collections.abc import Sequence
from typing import Any

from ..checks import check_number, check_whole
from .optimizer import Optimizer


class Schedule:
    """What schedules share: define `factor(t)`, the rate after t steps in units of the initial rate, or `rate`."""

    def __init__(self, optimizer: Optimizer):
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"{type(self).__name__}: expected an optimizer, got {type(optimizer).__name__}")
        self.optimizer, self.last_epoch = optimizer, 0
        self.base_lrs = [group.setdefault("initial_lr", group["lr"]) for group in optimizer.param_groups]
        self._set()

    def factor(self, t: int) -> float:
        """The rate after t steps, in units of the initial rate."""
        raise NotImplementedError

    def rate(self, base: float, t: int) -> float:
        """The rate after t steps of a group whose initial rate is `base`."""
        return base * self.factor(t)

    def step(self) -> None:
        """Count a step and set the learning rates.

        Raises:
            ValueError: a rate was changed by someone else since.
        """
        for group, last in zip(self.optimizer.param_groups, self._last_lr, strict=True):
            if group["lr"] != last:
                raise ValueError(
                    f"{type(self).__name__}: expected the learning rate {last} that was set last, got {group['lr']}, "
                    "set by someone else; join two schedules by SequentialLR, and load a schedule's state with its "
                    "optimizer's"
                )
        self.last_epoch += 1
        self._set()

    def _set(self) -> None:
        self._last_lr = [self.rate(base, self.last_epoch) for base in self.base_lrs]
        for group, rate in zip(self.optimizer.param_groups, self._last_lr, strict=True):
            group["lr"] = rate

    def get_last_lr(self) -> list[float]:
        """The learning rate of each group, as set last."""
        return list(self._last_lr)

    def state_dict(self) -> dict[str, Any]:
        """Steps taken and initial rates: with the optimizer's own state, what an exact resume needs."""
        return {"last_epoch": self.last_epoch, "base_lrs": list(self.base_lrs)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from there: the learning rates are set.

        Raises:
            ValueError: it is not a schedule's state, or for another number of groups.
        """
        name = type(self).__name__
        if not {"last_epoch", "base_lrs"} <= set(state_dict):
            raise ValueError(f"{name}: expected last_epoch and base_lrs, got {', '.join(map(repr, state_dict))}")
        if len(state_dict["base_lrs"]) != len(self.base_lrs):
            raise ValueError(f"{name}: expected {len(self.base_lrs)} base_lrs, got {len(state_dict['base_lrs'])}")
        self.last_epoch, self.base_lrs = int(state_dict["last_epoch"]), list(state_dict["base_lrs"])
        self._set()


class ConstantLR(Schedule):
    """`factor` times the initial rate for `total_iters` steps, then the initial rate.

    Raises: TypeError, ValueError: `factor` is not from 0 to 1, or `total_iters` is not a whole number of at least 0.
    """

    def __init__(self, optimizer: Optimizer, factor: float = 1 / 3, total_iters: int = 5):
        self._factor = check_number("ConstantLR", "factor", factor, 0, 1)
        self.total_iters = check_whole("ConstantLR", "total_iters", total_iters, 0)
        super().__init__(optimizer)

    def factor(self, t: int) -> float:
        """The given factor, then 1."""
        return self._factor if t < self.total_iters else 1.0


class StepLR(Schedule):
    """The initial rate times gamma^(t // step_size).

    Raises: TypeError, ValueError: `step_size` is not a positive whole number, or `gamma` is negative.
    """

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1):
        self.step_size = check_whole("StepLR", "step_size", step_size, 1)
        self.gamma = check_number("StepLR", "gamma", gamma, 0)
        super().__init__(optimizer)

    def factor(self, t: int) -> float:
        """gamma^(t // step_size)."""
        return self.gamma ** (t // self.step_size)


class LinearLR(Schedule):
    """Linear warm-up: from `start_factor` to `end_factor` times the initial rate in `total_iters` steps, then constant.

    Raises: TypeError, ValueError: a factor is not from 0 to 1, the first is 0, or `total_iters` is not a positive whole
    number.
    """

    def __init__(
        self, optimizer: Optimizer, start_factor: float = 1 / 3, end_factor: float = 1.0, total_iters: int = 5
    ):
        self.start_factor = check_number("LinearLR", "start_factor", start_factor, 0, 1)
        if not start_factor:
            raise ValueError("LinearLR: expected start_factor above 0, got 0: the first step would do nothing")
        self.end_factor = check_number("LinearLR", "end_factor", end_factor, 0, 1)
        self.total_iters = check_whole("LinearLR", "total_iters", total_iters, 1)
        super().__init__(optimizer)

    def factor(self, t: int) -> float:
        """A straight line between the factors, level after it."""
        part = min(t, self.total_iters) / self.total_iters
        return self.start_factor + (self.end_factor - self.start_factor) * part


class CosineAnnealingLR(Schedule):
    """eta_min + (initial - eta_min) * (1 + cos(pi t / T_max)) / 2; after T_max steps it rises again, as in PyTorch.

    Raises: TypeError, ValueError: `T_max` is not a positive whole number, or `eta_min` is negative.
    Source: Loshchilov & Hutter, "SGDR: stochastic gradient descent with warm restarts" (2017), section 3.
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0):
        self.T_max = check_whole("CosineAnnealingLR", "T_max", T_max, 1)
        self.eta_min = check_number("CosineAnnealingLR", "eta_min", eta_min, 0)
        super().__init__(optimizer)

    def rate(self, base: float, t: int) -> float:
        """Half a cosine from `base` to eta_min."""
        return self.eta_min + (base - self.eta_min) * (1 + math.cos(math.pi * t / self.T_max)) / 2


class SequentialLR(Schedule):
    """Schedules one after another, the next one starting anew at each milestone: a warm-up, then a cosine.

    >>> warmup, cosine = LinearLR(optimizer, 0.01, total_iters=500), CosineAnnealingLR(optimizer, 9500)
    >>> schedule = SequentialLR(optimizer, [warmup, cosine], milestones=[500])

    Raises: TypeError, ValueError: a schedule is none, or another optimizer's; milestones are not rising positive whole
    numbers, one fewer than schedules.
    """

    def __init__(self, optimizer: Optimizer, schedulers: Sequence[Schedule], milestones: Sequence[int]):
        for schedule in schedulers:
            if not isinstance(schedule, Schedule):
                raise TypeError(f"SequentialLR: expected schedules, got {type(schedule).__name__}")
            if schedule.optimizer is not optimizer:
                raise ValueError("SequentialLR: expected schedules of the optimizer given, got one of another")
        self.milestones = [check_whole("SequentialLR", "milestones", at, 1) for at in milestones]
        if len(milestones) != len(schedulers) - 1 or self.milestones != sorted(set(milestones)):
            raise ValueError(
                f"SequentialLR: expected rising milestones, one fewer than the {len(schedulers)} schedules, got "
                f"{list(milestones)}"
            )
        self.schedulers = list(schedulers)
        super().__init__(optimizer)

    def rate(self, base: float, t: int) -> float:
        """The current schedule's rate."""
        current = sum(t >= at for at in self.milestones)
        return self.schedulers[current].rate(base, t - (self.milestones[current - 1] if current else 0))
