"""Layer normalization over a matrix of rows, forward and backward.

A row is read from memory once and stays in the first-level cache while its mean and then the deviations from it are
summed, over as many interleaved partial sums as there are lanes. As in batch normalization, `center` is the mean as a
number of the arrays' dtype, and the deviations' own sum repairs its rounding.
"""

import numpy as np
from numba import njit

from .lanes import LANES, first, lane_sum, narrow, prefetch, widen
from .launch import kernel
from .register_arithmetic import spread
from .registers import load, store


def rows_of_part(rows: int) -> int:
    """Of how many rows the parameters' gradients are summed in the arrays' own dtype before float64 takes over."""
    return max(16, min(256, -(-rows // 16)))


@kernel
def layer_norm_forward(x, weight, bias, y, moments, eps: float, low, high):
    """y = (x - mean) * inverse * weight + bias along each row; moments = (mean, 1 / deviation), in float64."""
    size, zero = len(weight), spread(x, x.dtype.type(0), LANES)
    tail, share = size % LANES, np.float64(1) / size
    for i in range(low, high):
        start, end, total, sums = i * size, (i + 1) * size - tail, zero, (zero, zero)
        for at in range(start, end, LANES):
            total = total + load(x, at, LANES, LANES)
        total = total + load(x, end, tail, LANES)
        center = x.dtype.type(lane_sum(total) * share)
        middle = spread(x, center, LANES)
        for at in range(start, end, LANES):
            sums = _add_deviations(sums, x, at, LANES, middle)
        sums = _add_deviations(sums, x, end, tail, middle)
        remainder = np.float64(lane_sum(sums[0])) * share
        variance = max(np.float64(lane_sum(sums[1])) * share - remainder * remainder, np.float64(0))
        inverse = np.float64(1) / np.sqrt(variance + eps)
        moments[0, i], moments[1, i] = np.float64(center) + remainder, inverse
        rest, scale = spread(x, x.dtype.type(remainder), LANES), spread(x, x.dtype.type(inverse), LANES)
        for at in range(start, end, LANES):
            prefetch(x, at + size)
            _scale(x, at, LANES, at - start, middle, rest, scale, weight, bias, y)
        _scale(x, end, tail, size - tail, middle, rest, scale, weight, bias, y)


@njit(forceinline=True)
def _add_deviations(sums, x, at, count, middle):
    deviation = first(load(x, at, count, LANES) - middle, count)
    return sums[0] + deviation, sums[1] + deviation * deviation


@njit(forceinline=True)
def _scale(x, at, count, c, middle, rest, scale, weight, bias, y):
    z = ((load(x, at, count, LANES) - middle) - rest) * scale
    store(y, at, count, z * load(weight, c, count, LANES) + load(bias, c, count, LANES))


@kernel
def layer_norm_backward(x, weight, dy, moments, dx, partial, step: int, low, high):
    """dx = (g - mean(g) - z mean(g z)) * inverse, with g = dy * weight and z = (x - mean) * inverse.

    partial[b] = sum(dy * z), then sum(dy), over block b of `step` rows.
    """
    size, zero = len(weight), spread(x, x.dtype.type(0), LANES)
    tail, share = size % LANES, np.float64(1) / size
    for b in range(low, high):
        out = 2 * b * size
        partial[b] = 0
        for i in range(b * step, min(moments.shape[1], (b + 1) * step)):
            start, end, sums = i * size, (i + 1) * size - tail, (zero, zero)
            center = x.dtype.type(moments[0, i])
            middle, remainder = spread(x, center, LANES), moments[0, i] - np.float64(center)
            for at in range(start, end, LANES):
                sums = _add_gradients(sums, x, weight, dy, at, LANES, at - start, middle)
            sums = _add_gradients(sums, x, weight, dy, end, tail, size - tail, middle)
            slopes = _slopes(x, lane_sum(sums[0]), lane_sum(sums[1]), remainder, moments[1, i], share)
            for at in range(start, end, LANES):
                prefetch(x, at + size)
                prefetch(dy, at + size)
                _differentiate(x, weight, dy, at, LANES, at - start, middle, slopes, dx, partial, out, size)
            _differentiate(x, weight, dy, end, tail, size - tail, middle, slopes, dx, partial, out, size)


@njit(forceinline=True)
def _add_gradients(sums, x, weight, dy, at, count, c, middle):
    """sums + (g, g (x - center))."""
    g = load(dy, at, count, LANES) * load(weight, c, count, LANES)
    return sums[0] + g, sums[1] + g * (load(x, at, count, LANES) - middle)


@njit(forceinline=True)
def _slopes(x, gradient, along, remainder, inverse, share):
    """(remainder, mean(g), mean(g z) * inverse, inverse) in every lane."""
    slope = (along - remainder * gradient) * inverse * inverse * share
    average, kind = gradient * share, x.dtype.type
    return (
        spread(x, kind(remainder), LANES),
        spread(x, kind(average), LANES),
        spread(x, kind(slope), LANES),
        spread(x, kind(inverse), LANES),
    )


@njit(forceinline=True)
def _differentiate(x, weight, dy, at, count, c, middle, slopes, dx, partial, out, size):
    rest, average, slope, inverse = slopes
    upstream, deviation = load(dy, at, count, LANES), (load(x, at, count, LANES) - middle) - rest
    g = upstream * load(weight, c, count, LANES)
    store(dx, at, count, (g - average - deviation * slope) * inverse)
    store(partial, out + c, count, load(partial, out + c, count, LANES) + upstream * (deviation * inverse))
    store(partial, out + size + c, count, load(partial, out + size + c, count, LANES) + upstream)


@kernel
def merge_parts(partial, dweight, dbias, low, high):
    """dweight and dbias = the sums of a part's columns, the first half and the second, in order and in float64."""
    size, zero = len(dweight), widen(spread(partial, partial.dtype.type(0), LANES))
    for c in range(low, high, LANES):
        count, along, total = min(LANES, high - c), zero, zero
        for b in range(len(partial)):
            at = 2 * b * size + c
            along = along + widen(load(partial, at, count, LANES))
            total = total + widen(load(partial, at + size, count, LANES))
        store(dweight, c, count, narrow(dweight, along))
        store(dbias, c, count, narrow(dweight, total))
