"""Losses element by element, and the sums of losses."""

import numpy as np

from .exponential import exp, sigmoid
from .inner import inner
from .launch import Out, kernel
from .reduce import total

BLOCK = 4096  # losses summed before float64 takes over


@kernel
def squared_error_forward(x, target, difference: Out, y: Out, low, high):
    """difference = x - target, y = difference^2."""
    x, target, difference, y = x[low:high], target[low:high], difference[low:high], y[low:high]
    for i in range(len(x)):
        d = x[i] - target[i]
        difference[i] = d
        y[i] = d * d


@kernel
def squared_error_backward(difference, dy, dx: Out, factor: float, low, high):
    """dx = factor * difference * dy."""
    difference, dy, dx = difference[low:high], dy[low:high], dx[low:high]
    factor = difference.dtype.type(factor)
    for i in range(len(dx)):
        dx[i] = factor * difference[i] * dy[i]


@inner
def _softplus_of_minus(x):
    """log(1 + e^-x) in float64, without overflow."""
    wide = np.float64(x)
    return np.log1p(exp(-abs(wide))) + max(-wide, np.float64(0))


@kernel
def logits_loss_forward(x, target, weight, pos_weight, y: Out, low, high):
    """y = w ((1 - t) x + (1 + (pos_weight - 1) t) log(1 + e^-x)): -w (pos_weight t log p + (1 - t) log(1 - p))."""
    x, target, weight, pos_weight, y = (
        x[low:high],
        target[low:high],
        weight[low:high],
        pos_weight[low:high],
        y[low:high],
    )
    one = np.float64(1)
    for i in range(len(y)):
        t = np.float64(target[i])
        y[i] = weight[i] * ((one - t) * x[i] + (one + (pos_weight[i] - one) * t) * _softplus_of_minus(x[i]))


@kernel
def logits_loss_backward(x, target, weight, pos_weight, dy, dx: Out, factor: float, low, high):
    """dx = factor w ((1 - t) - (1 + (pos_weight - 1) t) / (1 + e^x)) dy."""
    x, target, weight, pos_weight = x[low:high], target[low:high], weight[low:high], pos_weight[low:high]
    dy, dx, one = dy[low:high], dx[low:high], np.float64(1)
    for i in range(len(dx)):
        t = np.float64(target[i])
        slope = (one - t) - (one + (pos_weight[i] - one) * t) * sigmoid(-x[i])
        dx[i] = factor * weight[i] * slope * dy[i]


@kernel
def logits_loss_target_gradient(x, weight, pos_weight, dy, dt: Out, factor: float, low, high):
    """dt = factor w ((pos_weight - 1) log(1 + e^-x) - x) dy."""
    x, weight, pos_weight, dy, dt = x[low:high], weight[low:high], pos_weight[low:high], dy[low:high], dt[low:high]
    for i in range(len(dt)):
        slope = (pos_weight[i] - np.float64(1)) * _softplus_of_minus(x[i]) - x[i]
        dt[i] = factor * weight[i] * slope * dy[i]


@kernel
def block_sums(values, partial: Out, low, high):
    """partial[k, b] = sum over block b of values[k]."""
    for b in range(low, high):
        for k in range(len(values)):
            partial[k, b] = total(values[k, b * BLOCK : (b + 1) * BLOCK])


@kernel
def merge_rows(partial, out: Out, low, high):
    """out[k] = sum of partial[k], in order, in float64."""
    partial, out = partial[low:high], out[low:high]
    for k in range(len(out)):
        row, s = partial[k], np.float64(0)
        for b in range(len(row)):
            s += row[b]
        out[k] = s


@kernel
def quotient(sums, divisor, out: Out, low, high):
    """out[i] = sums[i] / divisor[i]."""
    sums, divisor, out = sums[low:high], divisor[low:high], out[low:high]
    for i in range(len(out)):
        out[i] = sums[i] / divisor[i]


@kernel
def not_finite(x, flag: Out, low, high):
    """flag[0] = whether an element of `x` is NaN or infinite."""
    flag[0] = 0
    for i in range(len(x)):
        if not np.isfinite(x[i]):
            flag[0] = 1
