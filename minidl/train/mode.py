"""Training and evaluation mode, put back afterwards."""

import contextlib
from collections.abc import Iterator

import numpy as np

from ..nn import Module


@contextlib.contextmanager
def mode(model: Module, training: bool) -> Iterator[None]:
    """Put every module of `model` into one mode inside the block; when it ends, each gets back its own.

    NumPy's warnings of overflow are off inside: the Trainer says itself what a loss that is not finite means.
    """
    before = [(module, module.training) for module in model.modules()]
    model.train(training)
    try:
        with np.errstate(over="ignore", invalid="ignore"):
            yield
    finally:
        for module, was_training in before:
            module.training = was_training
