"""Batch normalization of few rows: in one launch each way, by groups of columns that stay in the caches.

The same steps as in `moments.py`, `statistics.py` and `normalization.py`, one after the other for each group.
"""

from .inner import inner
from .lanes import SPAN
from .launch import InOut, Out, kernel
from .moments import clear, merge_block
from .normalization import add_sums, input_gradient, normalize_columns
from .registers import load
from .statistics import count_batch, follow, set_gradients, set_training


@kernel
def normalize_groups(
    x,
    weight,
    bias,
    running_mean: InOut,
    running_var: InOut,
    tracked: InOut,
    moments: Out,
    saved: Out,
    affine: Out,
    y: Out,
    step: int,
    rectified: int,
    momentum: float,
    eps: float,
    low,
    high,
):
    """y by the moments of all rows, `step` of which are summed before float64 takes over; the range is over groups of
    SPAN channels."""
    channels = len(weight)
    count_batch(tracked, low, high)
    statistics, memory = (weight, bias, running_mean, running_var), (moments, saved, affine)
    for c in range(SPAN * low, min(SPAN * high, channels), SPAN):
        if channels - c >= SPAN:
            _normalize_group(x, c, SPAN, statistics, memory, y, step, rectified, momentum, eps)
        else:
            _normalize_group(x, c, channels - c, statistics, memory, y, step, rectified, momentum, eps)


@inner(forceinline=True)
def _normalize_group(x, c, count, statistics, memory, y, step, rectified, momentum, eps):
    weight, bias, running_mean, running_var = statistics
    moments, saved, affine = memory
    channels, padded = len(weight), affine.shape[1]
    rows = len(x) // channels
    clear(moments, c, padded)
    for first in range(0, rows, step):
        merge_block(x, first * channels + c, channels, min(step, rows - first), count, moments, c, padded, first)
    both = load(moments, c, SPAN, SPAN), load(moments, padded + c, SPAN, SPAN)
    set_training(affine, saved, c, count, channels, both, rows, weight, bias, eps)
    follow(running_mean, running_var, c, count, both, rows, momentum)
    normalize_columns(x, c, channels, rows, count, affine, c, y, rectified, 0)


@kernel
def differentiate_groups(
    x,
    dy,
    weight,
    saved,
    affine: InOut,
    sums: Out,
    dweight: Out,
    dbias: Out,
    dx: Out,
    step: int,
    rectified: int,
    training: int,
    low,
    high,
):
    """dweight, dbias and, unless it is empty, dx; the range is over groups of SPAN channels."""
    channels, memory = len(weight), (weight, saved, affine, sums)
    for c in range(SPAN * low, min(SPAN * high, channels), SPAN):
        if channels - c >= SPAN:
            _differentiate_group(x, dy, c, SPAN, memory, (dx, dweight, dbias), step, rectified, training)
        else:
            _differentiate_group(x, dy, c, channels - c, memory, (dx, dweight, dbias), step, rectified, training)


@inner(forceinline=True)
def _differentiate_group(x, dy, c, count, memory, gradients, step, rectified, training):
    weight, saved, affine, sums = memory
    dx, dweight, dbias = gradients
    channels, padded = len(weight), affine.shape[1]
    rows = len(x) // channels
    clear(sums, c, padded)
    for first in range(0, rows, step):
        block = min(step, rows - first)
        add_sums(x, dy, first * channels + c, channels, block, count, affine, c, sums, c, rectified)
    both = load(sums, c, SPAN, SPAN), load(sums, padded + c, SPAN, SPAN)
    set_gradients(affine, saved, c, count, channels, both, rows, weight, dweight, dbias, training)
    if len(dx) > 0:
        input_gradient(x, dy, c, channels, rows, count, affine, c, dx, rectified, training, 0)
