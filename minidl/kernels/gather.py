"""Batches taken from arrays in memory, one step after the other, without Python between them."""

import numpy as np

from .launch import InOut, Out, kernel


@kernel
def take_rows(x, order, step, batch: int, out: Out, low, high):
    """out[i] = x[order[step * batch + i]], the step counted in step[0]; the last batch may be smaller."""
    first = step[0] * batch
    for i in range(low, high):
        source, target = x[order[first + i]], out[i]
        for j in range(len(target)):
            target[j] = source[j]


@kernel
def take_images(x, order, step, batch: int, out: Out, low, high):
    """The same of bytes, scaled to [0, 1]."""
    first, most = step[0] * batch, np.float32(255)
    for i in range(low, high):
        source, target = x[order[first + i]], out[i]
        for j in range(len(target)):
            target[j] = np.float32(source[j]) / most


@kernel
def keep_number(number, step: InOut, numbers: Out, low, high):
    """numbers[step[0]] = number[0], and the step is counted."""
    numbers[step[0]] = number[0]
    step[0] += 1
