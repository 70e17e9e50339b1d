"""Training: the loop, what it records, what it measures."""

from .history import History
from .trainer import Trainer, accuracy

__all__ = ["History", "Trainer", "accuracy"]
