"""Softmax and the losses that stand on it, along the rows of a matrix: the classes of an example lie side by side.

The largest entry is subtracted first. A row with +inf or NaN, or of -inf alone, becomes NaN, as it does in PyTorch.
Losses are float64, one a row; the gradient of the losses comes as one number for all rows, or as one a row.
"""

import numpy as np
from numba import types
from numba.extending import overload

from .exponential import exp
from .exponential_single import LANES as BLOCK
from .exponential_single import single_exp
from .inner import inner
from .launch import Out, kernel
from .reduce import dot, largest, total
from .register_arithmetic import spread
from .registers import load, store

TOGETHER = 1024  # elements of short rows whose exponentials are one loop: ten classes alone do not fill registers


@inner
def _single_powers(x, top, out):
    level = spread(x, top, BLOCK)
    for at in range(0, len(x), BLOCK):
        store(out, at, len(x) - at, single_exp(load(x, at, len(x) - at, BLOCK) - level))


@inner
def _double_powers(x, top, out):
    for i in range(len(x)):
        out[i] = exp(x[i] - top)


def _powers(x, top, out):
    """out = e^(x - top), for no x above top; `out` may be `x` itself."""
    (_single_powers if x.dtype == np.float32 else _double_powers)(x, top, out)


@overload(_powers)
def _(x, top, out):
    if x.dtype == types.float32:
        return lambda x, top, out: _single_powers(x, top, out)
    return lambda x, top, out: _double_powers(x, top, out)


@inner
def _exponentials(row, out):
    """out = e^(row - top), with `top` the largest entry; answers (top, sum of out)."""
    top = largest(row)
    _powers(row, top, out)
    return top, np.float64(total(out))


@inner
def _exponentials_of_rows(x, out, tops):
    """out = e^(x - top) and tops = top, the largest entry of each row: of several short rows in one loop."""
    step = max(1, TOGETHER // max(1, x.shape[1]))
    for first in range(0, len(x), step):
        last = min(len(x), first + step)
        for i in range(first, last):
            row, moved, top = x[i], out[i], largest(x[i])
            tops[i] = top
            for c in range(len(row)):
                moved[c] = row[c] - top
        part = out[first:last].reshape((last - first) * x.shape[1])
        _powers(part, x.dtype.type(0), part)


@kernel
def softmax_forward(x, y: Out, low, high):
    """y = e^x / sum(e^x)."""
    for i in range(low, high):
        out = y[i]
        _, size = _exponentials(x[i], out)
        share = x.dtype.type(np.float64(1) / size)
        for c in range(len(out)):
            out[c] *= share


@kernel
def softmax_backward(y, dy, dx: Out, low, high):
    """dx = y (dy - sum(y dy))."""
    for i in range(low, high):
        row, g, out = y[i], dy[i], dx[i]
        along = dot(row, g)
        for c in range(len(out)):
            out[c] = row[c] * (g[c] - along)


@kernel
def log_softmax_forward(x, y: Out, low, high):
    """y = x - log(sum(e^x))."""
    for i in range(low, high):
        row, out = x[i], y[i]
        top, size = _exponentials(row, out)
        level = x.dtype.type(np.log(size))
        for c in range(len(out)):
            out[c] = (row[c] - top) - level


@kernel
def log_softmax_backward(y, dy, dx: Out, low, high):
    """dx = dy - e^y sum(dy)."""
    for i in range(low, high):
        row, g, out = y[i], dy[i], dx[i]
        along = total(g)
        _powers(row, row.dtype.type(0), out)
        for c in range(len(out)):
            out[c] = g[c] - out[c] * along


@inner
def _probabilities(row, out):
    """out = softmax(row); answers (top, log of the sum of e^(row - top))."""
    top, size = _exponentials(row, out)
    share = row.dtype.type(np.float64(1) / size)
    for c in range(len(out)):
        out[c] *= share
    return np.float64(top), np.log(size)


@kernel
def label_loss_forward(x, labels, weight, probability: Out, losses: Out, ignored: int, smoothing: float, low, high):
    """losses[0, i] = -sum over c of q_c w_c log p_c and losses[1, i] = w of the label; both 0 where it is ignored.

    p is the softmax of row i; q is 1 - smoothing at the label, plus smoothing / classes everywhere.
    """
    _exponentials_of_rows(x[low:high], probability[low:high], losses[0, low:high])
    for i in range(low, high):
        row, label, top, size = x[i], labels[i], losses[0, i], np.float64(total(probability[i]))
        level, share = np.log(size), x.dtype.type(np.float64(1) / size)
        for c in range(len(row)):
            probability[i, c] *= share
        losses[0, i] = losses[1, i] = 0
        if label != ignored:
            w = np.float64(weight[label])
            loss = (1 - smoothing) * w * (level - (np.float64(row[label]) - top))
            if smoothing > 0:
                everywhere = np.float64(0)
                for c in range(len(row)):
                    everywhere += np.float64(weight[c]) * (level - (np.float64(row[c]) - top))
                loss += smoothing / len(row) * everywhere
            losses[0, i], losses[1, i] = loss, w


@kernel
def label_loss_backward(probability, labels, weight, dy, divisor, dx: Out, ignored: int, smoothing: float, low, high):
    """dx = g (p sum(q w) - q w), with g = dy / divisor; 0 where the label is ignored."""
    everywhere, mass = smoothing / len(weight), np.float64(0)
    for c in range(len(weight)):
        mass += everywhere * weight[c]
    for i in range(low, high):
        row, out, label = probability[i], dx[i], labels[i]
        if label == ignored:
            for c in range(len(out)):
                out[c] = 0
            continue
        g = np.float64(dy[i] if len(dy) > 1 else dy[0]) / divisor[0]
        there = (1 - smoothing) * weight[label]
        slope, even = row.dtype.type(g * (mass + there)), row.dtype.type(g * everywhere)
        for c in range(len(out)):
            out[c] = row[c] * slope - even * weight[c]
        out[label] -= row.dtype.type(g * there)


@kernel
def soft_loss_forward(x, target, weight, probability: Out, normalizer: Out, losses: Out, smoothing: float, low, high):
    """losses[0, i] = -sum over c of q_c w_c log p_c with q = (1 - smoothing) target + smoothing / classes.

    losses[1, i] = 1: probabilities do not weigh the mean. normalizer[i] = log(sum(e^x)): backward has log p from it.
    """
    for i in range(low, high):
        row, t, everywhere = x[i], target[i], smoothing / x.shape[1]
        top, level = _probabilities(row, probability[i])
        loss = np.float64(0)
        for c in range(len(row)):
            q = (1 - smoothing) * t[c] + everywhere
            loss += q * weight[c] * (level - (np.float64(row[c]) - top))
        normalizer[i], losses[0, i], losses[1, i] = top + level, loss, 1


@kernel
def soft_loss_backward(probability, target, weight, dy, divisor, dx: Out, smoothing: float, low, high):
    """dx = g (p sum(q w) - q w), with g = dy / divisor."""
    everywhere = smoothing / len(weight)
    for i in range(low, high):
        row, t, out = probability[i], target[i], dx[i]
        g = np.float64(dy[i] if len(dy) > 1 else dy[0]) / divisor[0]
        mass = np.float64(0)
        for c in range(len(out)):
            mass += ((1 - smoothing) * t[c] + everywhere) * weight[c]
        for c in range(len(out)):
            out[c] = g * (row[c] * mass - ((1 - smoothing) * t[c] + everywhere) * weight[c])


@kernel
def soft_loss_target_gradient(x, normalizer, weight, dy, divisor, dt: Out, smoothing: float, low, high):
    """dt = -g (1 - smoothing) w log p, with g = dy / divisor."""
    for i in range(low, high):
        row, out = x[i], dt[i]
        g = (1 - smoothing) * (np.float64(dy[i] if len(dy) > 1 else dy[0]) / divisor[0])
        for c in range(len(out)):
            out[c] = g * weight[c] * (normalizer[i] - row[c])


@kernel
def check_labels(labels, flag: Out, classes: int, ignored: int, low, high):
    """flag = 0, or what says which label is the first that is neither a class nor `ignored`; the range is one item.

    The lower half of the flag is then its place, counted from 1, the upper half the label, as far as that fits.
    """
    largest, flag[0] = np.uint64(0), 0
    for i in range(len(labels)):
        largest = max(largest, np.uint64(labels[i]))  # without its sign a negative number is a large one
    if largest < np.uint64(classes):
        return
    for i in range(len(labels)):
        label = labels[i]
        if label != ignored and not 0 <= label < classes:
            flag[0] = (min(max(label, -(1 << 31)), (1 << 31) - 1) << 32) + i + 1
            return


@kernel
def find_nan(values, flag: Out, low, high):
    """flag = the place of the first NaN, counted from 1, or 0; the range is one item."""
    flag[0] = 0
    for i in range(len(values)):
        if values[i] != values[i]:
            flag[0] = i + 1
            return


@kernel
def nll_forward(x, labels, weight, losses: Out, ignored: int, low, high):
    """losses[0, i] = -w x at the label, losses[1, i] = w; both 0 where it is ignored."""
    for i in range(low, high):
        row, label = x[i], labels[i]
        losses[0, i] = losses[1, i] = 0
        if label != ignored:
            w = np.float64(weight[label])
            losses[0, i], losses[1, i] = -w * row[label], w


@kernel
def nll_backward(labels, weight, dy, divisor, dx: Out, ignored: int, low, high):
    """dx = -w dy / divisor at the label, 0 elsewhere."""
    for i in range(low, high):
        out, label = dx[i], labels[i]
        for c in range(len(out)):
            out[c] = 0
        if label != ignored:
            out[label] = -weight[label] * (np.float64(dy[i] if len(dy) > 1 else dy[0]) / divisor[0])
