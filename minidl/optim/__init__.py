"""Optimizers and schedules."""

from .groups import no_decay_groups
from .optimizer import Optimizer
from .schedule import ConstantLR, CosineAnnealingLR, LinearLR, Schedule, SequentialLR, StepLR
from .sgd import SGD

__all__ = [
    "SGD",
    "ConstantLR",
    "CosineAnnealingLR",
    "LinearLR",
    "Optimizer",
    "Schedule",
    "SequentialLR",
    "StepLR",
    "no_decay_groups",
]
