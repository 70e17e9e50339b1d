"""What a batch's moments make of batch normalization: a map of the input; and the running statistics.

A mean is kept as a number of the arrays' dtype, `center`, and a small float64 `remainder`: x - center is then exact
where it matters, and the remainder goes into the constant that is added last.
"""

import numpy as np

from .inner import inner
from .lanes import SPAN, narrow, root, widen
from .launch import InOut, Out, kernel
from .register_arithmetic import spread
from .registers import load, store


@inner(forceinline=True)
def _set_affine(affine, saved, c, count, width, mean, inverse, weight, bias):
    """y = (x - center) * scale + shift for the channels from c on, in each row of a wide one; saves for backward."""
    channels, padded = saved.shape[1], affine.shape[1]
    center = narrow(affine, mean)
    remainder, scale = mean - widen(center), weight * inverse
    store(saved, c, count, inverse)
    store(saved, channels + c, count, remainder)
    for at in range(c, width, channels):
        store(affine, at, count, center)
        store(affine, padded + at, count, narrow(affine, scale))
        store(affine, 2 * padded + at, count, narrow(affine, bias - remainder * scale))


@kernel
def batch_statistics(
    moments,
    weight,
    bias,
    running_mean: InOut,
    running_var: InOut,
    tracked,
    saved: Out,
    affine: Out,
    rows: int,
    part: int,
    width: int,
    momentum: float,
    eps: float,
    low,
    high,
):
    """Merge the parts' moments, all of `part` rows but the last, into `affine`, `saved` and the running statistics.

    A negative momentum stands for the mean over this batch and the `tracked` ones before it.
    """
    share = np.float64(1) / (tracked[0] + 1) if momentum < 0 else momentum
    for c in range(low, high, SPAN):
        count = min(SPAN, high - c)
        mean, deviation = _merged(moments, c, count, rows, part)
        set_training(affine, saved, c, count, width, (mean, deviation), rows, weight, bias, eps)
        follow(running_mean, running_var, c, count, (mean, deviation), rows, share)


@inner(forceinline=True)
def count_batch(tracked, low, high):
    """tracked += 1, by the chunk that has item 0 of the range; in a launch of which no chunk reads it."""
    for i in range(low, min(high, len(tracked))):
        tracked[i] += 1


@inner(forceinline=True)
def set_training(affine, saved, c, count, width, moments, rows, weight, bias, eps):
    """The map of the channels from c on, by the mean and the sum of squared deviations over all rows."""
    mean, deviation = moments
    variance = deviation / spread(mean, np.float64(rows), SPAN) + spread(mean, eps, SPAN)
    inverse = spread(mean, np.float64(1), SPAN) / root(variance)
    scale, shift = widen(load(weight, c, count, SPAN)), widen(load(bias, c, count, SPAN))
    _set_affine(affine, saved, c, count, width, mean, inverse, scale, shift)


@inner(forceinline=True)
def follow(running_mean, running_var, c, count, moments, rows, share):
    """Move the running statistics, if there are any, towards the batch's."""
    if len(running_mean) > 0:
        mean, deviation = moments
        _move(running_mean, c, count, share, mean)
        _move(running_var, c, count, share, deviation / spread(mean, np.float64(rows - 1), SPAN))


@inner(forceinline=True)
def _merged(moments, c, count, rows, part):
    """The mean and the sum of squared deviations of the channels from c on, over all parts."""
    padded, parts, seen = moments.shape[2], len(moments), 0
    mean = deviation = spread(moments, np.float64(0), SPAN)
    for p in range(parts):
        more = part if p + 1 < parts else rows - seen
        share = np.float64(more) / (seen + more)
        away = load(moments, 2 * p * padded + c, count, SPAN) - mean
        mean = mean + away * spread(moments, share, SPAN)
        own = load(moments, (2 * p + 1) * padded + c, count, SPAN)
        deviation = deviation + own + away * away * spread(moments, seen * share, SPAN)
        seen += more
    return mean, deviation


@inner(forceinline=True)
def _move(running, c, count, share, new):
    kept = widen(load(running, c, count, SPAN))
    store(running, c, count, narrow(running, kept + spread(new, share, SPAN) * (new - kept)))


@kernel
def fixed_statistics(
    weight, bias, running_mean, running_var, saved: Out, affine: Out, width: int, eps: float, low, high
):
    """Fill `affine` and `saved` from given statistics."""
    for c in range(low, high, SPAN):
        count = min(SPAN, high - c)
        variance = widen(load(running_var, c, count, SPAN))
        inverse = spread(saved, np.float64(1), SPAN) / root(variance + spread(saved, eps, SPAN))
        mean, scale = widen(load(running_mean, c, count, SPAN)), widen(load(weight, c, count, SPAN))
        _set_affine(affine, saved, c, count, width, mean, inverse, scale, widen(load(bias, c, count, SPAN)))


@kernel
def batch_gradients(
    sums, weight, saved, dweight: Out, dbias: Out, affine: InOut, rows: int, width: int, training: int, low, high
):
    """The parameters' gradients and the last three of `affine`, from the parts' sums of g and of g * (x - center).

    dx = affine[4] g + affine[3] (x - center) + affine[5]; with fixed statistics affine[3] and affine[5] are 0.
    """
    padded, zero = sums.shape[2], spread(sums, np.float64(0), SPAN)
    for c in range(low, high, SPAN):
        count, s, d = min(SPAN, high - c), zero, zero
        for p in range(len(sums)):
            s = s + load(sums, 2 * p * padded + c, count, SPAN)
            d = d + load(sums, (2 * p + 1) * padded + c, count, SPAN)
        set_gradients(affine, saved, c, count, width, (s, d), rows, weight, dweight, dbias, training)


@inner(forceinline=True)
def set_gradients(affine, saved, c, count, width, sums, rows, weight, dweight, dbias, training):
    """The same for the channels from c on, by their sums over all rows."""
    channels, padded, (s, d) = saved.shape[1], affine.shape[1], sums
    zero = spread(s, np.float64(0), SPAN)
    inverse, remainder = load(saved, c, count, SPAN), load(saved, channels + c, count, SPAN)
    d = d - remainder * s
    store(dbias, c, count, narrow(affine, s))
    store(dweight, c, count, narrow(affine, d * inverse))
    scale = widen(load(weight, c, count, SPAN)) * inverse
    slope, constant = zero, zero
    if training:
        share = spread(s, np.float64(1) / rows, SPAN)
        slope = zero - scale * inverse * inverse * d * share
        constant = zero - scale * s * share - slope * remainder
    for at in range(c, width, channels):
        store(affine, 3 * padded + at, count, narrow(affine, slope))
        store(affine, 4 * padded + at, count, narrow(affine, scale))
        store(affine, 5 * padded + at, count, narrow(affine, constant))
