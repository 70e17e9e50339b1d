"""Dropout: which elements are kept is a function of the random position and the place in memory."""

import numpy as np

from .launch import kernel
from .random import philox


@kernel
def dropout_forward(x, y, mask, seed: int, stream: int, position: int, keep: int, scale: float, low, high):
    """y = scale * x for element 4 i + k where word k of counter position + i is below `keep`, 0 elsewhere."""
    scale, zero, below = x.dtype.type(scale), x.dtype.type(0), np.uint64(keep)
    for i in range(low, high):
        words = philox(np.uint64(seed), np.uint64(stream), np.uint64(position + i))
        source, out, kept = x[4 * i : 4 * i + 4], y[4 * i : 4 * i + 4], mask[4 * i : 4 * i + 4]
        for k in range(len(source)):
            kept[k] = words[k] < below
            out[k] = scale * source[k] if words[k] < below else zero


@kernel
def dropout_backward(mask, dy, dx, scale: float, low, high):
    """dx = scale * dy where the element was kept, 0 elsewhere."""
    mask, dy, dx = mask[low:high], dy[low:high], dx[low:high]
    scale, zero = dy.dtype.type(scale), dy.dtype.type(0)
    for i in range(len(dx)):
        dx[i] = scale * dy[i] if mask[i] else zero
