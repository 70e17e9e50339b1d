"""Layer normalization over a matrix of rows, forward and backward.

A row is read from memory once and stays in the first-level cache. Its moments are sums of deviations, over interleaved
partial sums, from a pivot: the mean of its first lanes, which is so near that nothing cancels: (pivot - mean)^2 is at
most size / LANES variances, and mostly a small part of one. As in batch normalization, `center` is the mean as a number
of the arrays' dtype, whose rounding a constant repairs.
"""

import numpy as np

from .inner import inner
from .lanes import LANES, first, lane_sum, narrow, prefetch, widen
from .launch import SHARE_FROM, Out, kernel
from .register_arithmetic import fma, spread
from .registers import load, store


def rows_of_part(rows: int, size: int) -> int:
    """Of how many rows the parameters' gradients are summed in the arrays' own dtype before float64 takes over: of all,
    if they are so few that no other thread is to have a part."""
    return min(256, max(16, rows if 4 * rows * size < SHARE_FROM else -(-rows // 16)))


@kernel
def layer_norm_forward(x, weight, bias, y: Out, moments: Out, eps: float, low, high):
    """y = (x - mean) * inverse * weight + bias along each row; moments = (mean, 1 / deviation), in float64."""
    odd = (high - low) % 2
    for i in range(low, high - odd, 2):
        maps = _map_of(x, len(weight), i, moments, eps), _map_of(x, len(weight), i + 1, moments, eps)
        _normalize(x, i, maps, weight, bias, y)
    for i in range(high - odd, high):
        _normalize(x, i, (_map_of(x, len(weight), i, moments, eps),), weight, bias, y)


@inner(forceinline=True)
def _map_of(x, size, i, moments, eps):
    """(center, scale, level) of row i, with (x - mean) * inverse = scale (x - center) + level; keeps its moments."""
    tail, share, kind = size % LANES, np.float64(1) / size, x.dtype.type
    start, end, near = i * size, (i + 1) * size - tail, min(size, LANES)
    pivot = kind(lane_sum(load(x, start, near, LANES)) * (np.float64(1) / near))
    total, squares = _deviations(x, start, end, tail, spread(x, pivot, LANES))
    away = total * share
    variance = max(squares * share - away * away, np.float64(0))
    mean, inverse = pivot + away, np.float64(1) / np.sqrt(variance + eps)
    moments[0, i], moments[1, i], center = mean, inverse, kind(mean)
    level = kind((center - mean) * inverse)
    return spread(x, center, LANES), spread(x, kind(inverse), LANES), spread(x, level, LANES)


@inner(forceinline=True)
def _normalize(x, i, maps, weight, bias, y):
    """Rows from i on, as many as there are maps, into y."""
    size = len(weight)
    tail, start = size % LANES, i * size
    for c in range(0, size - tail, LANES):
        prefetch(x, start + len(maps) * size + c)
        _scale(x, start + c, LANES, c, maps, weight, bias, y)
    for c in range(size - tail, size, LANES):  # once or never; a branch would have the arrays' references counted
        _scale(x, start + c, tail, c, maps, weight, bias, y)


@inner(forceinline=True)
def _deviations(x, start, end, tail, pivot):
    """The sums of x - pivot and of its square, in two halves beside each other."""
    even = odd = spread(x, 0, LANES), spread(x, 0, LANES)
    for at in range(start, end - LANES, 2 * LANES):
        even = _add_deviations(even, load(x, at, LANES, LANES) - pivot)
        odd = _add_deviations(odd, load(x, at + LANES, LANES, LANES) - pivot)
    for at in range(end - (end - start) % (2 * LANES), end, LANES):
        even = _add_deviations(even, load(x, at, LANES, LANES) - pivot)
    for at in range(end, end + tail, LANES):
        odd = _add_deviations(odd, first(load(x, at, tail, LANES) - pivot, tail))
    return np.float64(lane_sum(even[0] + odd[0])), np.float64(lane_sum(even[1] + odd[1]))


@inner(forceinline=True)
def _add_deviations(sums, deviation):
    return sums[0] + deviation, fma(deviation, deviation, sums[1])


@inner(forceinline=True)
def _scale(x, at, count, c, maps, weight, bias, y):
    slope, shift = load(weight, c, count, LANES), load(bias, c, count, LANES)
    for k in range(len(maps)):
        middle, scale, level = maps[k]
        place = at + k * len(weight)
        z = fma(load(x, place, count, LANES) - middle, scale, level)
        store(y, place, count, fma(z, slope, shift))


@kernel
def layer_norm_backward(x, weight, dy, moments, dx: Out, along: Out, total: Out, step: int, low, high):
    """dx = (g - mean(g) - z mean(g z)) * inverse, with g = dy * weight and z = (x - mean) * inverse.

    along[b] = sum(dy * z) and total[b] = sum(dy) over block b of `step` rows, which are walked in pairs.
    """
    for b in range(low, high):
        along[b], total[b], partial = 0, 0, (along, total)
        start, last = b * step, min(moments.shape[1], (b + 1) * step)
        odd = (last - start) % 2
        for i in range(start, last - odd, 2):
            _differentiate(x, weight, dy, i, _gradient_maps(x, weight, dy, moments, i, i + 1), dx, partial, b)
        for i in range(last - odd, last):
            _differentiate(x, weight, dy, i, _gradient_maps(x, weight, dy, moments, i, i)[:1], dx, partial, b)


@inner(forceinline=True)
def _gradient_maps(x, weight, dy, moments, i, j):
    """The maps of two rows, which share the loads of the weight."""
    kind, size, none = x.dtype.type, len(weight), (spread(x, 0, LANES), spread(x, 0, LANES))
    tail, a, b = size % LANES, i * size, j * size
    left, right = spread(x, kind(moments[0, i]), LANES), spread(x, kind(moments[0, j]), LANES)
    of_left, of_right = none, none
    for c in range(0, size - tail, LANES):
        scale = load(weight, c, LANES, LANES)
        of_left = _add_gradients(of_left, x, dy, a + c, LANES, scale, left)
        of_right = _add_gradients(of_right, x, dy, b + c, LANES, scale, right)
    for c in range(size - tail, size, LANES):
        scale = load(weight, c, tail, LANES)
        of_left = _add_gradients(of_left, x, dy, a + c, tail, scale, left)
        of_right = _add_gradients(of_right, x, dy, b + c, tail, scale, right)
    return _gradient_map(x, moments, i, size, left, of_left), _gradient_map(x, moments, j, size, right, of_right)


@inner(forceinline=True)
def _add_gradients(sums, x, dy, at, count, scale, middle):
    """sums + (g, g (x - center))."""
    g = load(dy, at, count, LANES) * scale
    return sums[0] + g, fma(g, load(x, at, count, LANES) - middle, sums[1])


@inner(forceinline=True)
def _gradient_map(x, moments, i, size, middle, sums):
    """(center, inverse, level, slope, constant) of row i, with z = inverse (x - center) + level and
    dx = inverse g + slope (x - center) + constant.
    """
    kind, mean, inverse, share = x.dtype.type, moments[0, i], moments[1, i], np.float64(1) / size
    gradient, along = np.float64(lane_sum(sums[0])), np.float64(lane_sum(sums[1]))
    remainder = mean - np.float64(kind(mean))
    slope = -(along - remainder * gradient) * inverse * inverse * inverse * share
    return (
        middle,
        spread(x, kind(inverse), LANES),
        spread(x, kind(-remainder * inverse), LANES),
        spread(x, kind(slope), LANES),
        spread(x, kind(-remainder * slope - gradient * share * inverse), LANES),
    )


@inner(forceinline=True)
def _differentiate(x, weight, dy, i, maps, dx, partial, b):
    """Rows from i on, as many as there are maps, into dx and the sums."""
    size = len(weight)
    tail = size % LANES
    for c in range(0, size - tail, LANES):
        prefetch(x, (i + len(maps)) * size + c)
        prefetch(dy, (i + len(maps)) * size + c)
        _differentiate_columns(x, weight, dy, i, LANES, c, maps, dx, partial, b * size + c)
    for c in range(size - tail, size, LANES):
        _differentiate_columns(x, weight, dy, i, tail, c, maps, dx, partial, b * size + c)


@inner(forceinline=True)
def _differentiate_columns(x, weight, dy, i, count, c, maps, dx, partial, out):
    size, scale, (along, total) = len(weight), load(weight, c, count, LANES), partial
    sums = load(along, out, count, LANES), load(total, out, count, LANES)
    for k in range(len(maps)):
        sums = _differentiate_row(sums, x, scale, dy, (i + k) * size + c, count, maps[k], dx)
    store(along, out, count, sums[0])
    store(total, out, count, sums[1])


@inner(forceinline=True)
def _differentiate_row(sums, x, scale, dy, at, count, map_, dx):
    middle, inverse, level, slope, constant = map_
    upstream, deviation = load(dy, at, count, LANES), load(x, at, count, LANES) - middle
    store(dx, at, count, fma(upstream * scale, inverse, fma(deviation, slope, constant)))
    return fma(upstream, fma(deviation, inverse, level), sums[0]), sums[1] + upstream


@kernel
def merge_parts(along, total, dweight: Out, dbias: Out, low, high):
    """dweight and dbias = the sums of the parts, each in order and in float64."""
    size, zero = len(dweight), widen(spread(along, along.dtype.type(0), LANES))
    for c in range(low, high, LANES):
        count, of_weight, of_bias = min(LANES, high - c), zero, zero
        for b in range(len(along)):
            of_weight = of_weight + widen(load(along, b * size + c, count, LANES))
            of_bias = of_bias + widen(load(total, b * size + c, count, LANES))
        store(dweight, c, count, narrow(dweight, of_weight))
        store(dbias, c, count, narrow(dbias, of_bias))
