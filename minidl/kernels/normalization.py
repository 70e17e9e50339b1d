"""Batch and layer normalization over a matrix of rows, forward and backward.

Batch normalization's moments are taken down columns, in blocks of rows that fit the first-level cache: a block's mean
first, then the deviations from it, whose own sum repairs the mean's rounding. The blocks merge in float64, in order, by
Chan's formula. So bits depend neither on chunks nor on threads, and mean 1e4 with deviation 1 survives in float32.

A mean is kept as a number of the arrays' dtype, `center`, and a small float64 `remainder`: x - center is then exact
where it matters, and the remainder goes into the constant that is added last.

Where the channels are few, several rows side by side are walked as one wide row of `lanes * channels` columns; a
channel's lanes merge at the end.

Source: Chan, Golub & LeVeque, "Algorithms for computing the sample variance" (1983), equation 2.1 and section 3.
"""

import numpy as np
from numba import njit

from .launch import kernel
from .reduce import dot, total

WIDE = 64  # columns from which the inner loop fills vector registers
BLOCK = 4096  # elements of a block: 16 KiB in float32, so that its second pass finds it in the first-level cache


def lanes_of(rows: int, channels: int) -> int:
    """How many rows are walked as one wide row: a function of the shape alone."""
    lanes = 1
    while 0 < lanes * channels < WIDE and rows % (2 * lanes) == 0:
        lanes *= 2
    return lanes


def block_rows(width: int) -> int:
    """How many rows of this width make a block."""
    return max(16, min(256, BLOCK // max(width, 1)))


@kernel
def batch_moments(x, pivot, rest, squares, step: int, low, high):
    """For block b of `step` rows: pivot = its mean, rounded, rest = sum(x - pivot), squares = sum((x - pivot)^2)."""
    for b in range(low, high):
        block = x[b * step : min(len(x), (b + 1) * step)]
        p, r, q = pivot[b], rest[b], squares[b]
        for c in range(len(p)):
            p[c] = r[c] = q[c] = 0
        for i in range(len(block)):
            row = block[i]
            for c in range(len(p)):
                p[c] += row[c]
        share = x.dtype.type(1) / x.dtype.type(max(len(block), 1))
        for c in range(len(p)):
            p[c] *= share
        for i in range(len(block)):
            row = block[i]
            for c in range(len(p)):
                deviation = row[c] - p[c]
                r[c] += deviation
                q[c] += deviation * deviation


@kernel
def merge_moments(pivot, rest, squares, mean, deviation, rows: int, step: int, low, high):
    """Each column's mean and sum of squared deviations, in float64, from those of its blocks."""
    mean, deviation = mean[low:high], deviation[low:high]
    for c in range(len(mean)):
        mean[c] = deviation[c] = 0
    seen = np.float64(0)
    for b in range(len(pivot)):
        count = np.float64(min(step, rows - b * step))
        share, weight = np.float64(1) / count, count / (seen + count)
        p, r, q = pivot[b, low:high], rest[b, low:high], squares[b, low:high]
        for c in range(len(mean)):
            lacking = np.float64(r[c]) * share
            apart = p[c] + lacking - mean[c]
            mean[c] += apart * weight
            deviation[c] += q[c] - r[c] * lacking + apart * apart * (seen * weight)
        seen += count


@njit
def _set_affine(affine, saved, c, mean, inverse, weight, bias):
    """y = (x - center) * scale + shift for channel c, in each of its lanes; what backward needs is saved."""
    center = affine.dtype.type(mean)
    remainder = mean - np.float64(center)
    scale = weight * inverse
    saved[0, c], saved[1, c] = inverse, remainder
    for lane in range(c, affine.shape[1], saved.shape[1]):
        affine[0, lane], affine[1, lane], affine[2, lane] = center, scale, bias - remainder * scale


@kernel
def batch_statistics(
    mean,
    deviation,
    weight,
    bias,
    running_mean,
    running_var,
    saved,
    affine,
    rows: int,
    momentum: float,
    eps: float,
    low,
    high,
):
    """Merge each channel's lanes of `rows` rows, fill `affine` and `saved`, and move the running statistics."""
    momentum, count = np.float64(momentum), np.float64(rows)
    for c in range(low, high):
        m, s, seen = mean[c], deviation[c], count
        for lane in range(c + len(weight), len(mean), len(weight)):
            apart, share = mean[lane] - m, count / (seen + count)
            m += apart * share
            s += deviation[lane] + apart * apart * (seen * share)
            seen += count
        inverse = np.float64(1) / np.sqrt(s / seen + eps)
        _set_affine(affine, saved, c, m, inverse, np.float64(weight[c]), np.float64(bias[c]))
        running_mean[c] += momentum * (m - running_mean[c])
        running_var[c] += momentum * (s / (seen - np.float64(1)) - running_var[c])


@kernel
def fixed_statistics(running_mean, running_var, weight, bias, saved, affine, eps: float, low, high):
    """Fill `affine` and `saved` from given statistics."""
    for c in range(low, high):
        inverse = np.float64(1) / np.sqrt(np.float64(running_var[c]) + eps)
        mean = np.float64(running_mean[c])
        _set_affine(affine, saved, c, mean, inverse, np.float64(weight[c]), np.float64(bias[c]))


@kernel
def normalize(x, affine, y, low, high):
    """y = (x - center) * scale + shift, where x * scale + shift would cancel."""
    x, y, center, scale, shift = x[low:high], y[low:high], affine[0], affine[1], affine[2]
    for i in range(len(x)):
        row, out = x[i], y[i]
        for c in range(len(out)):
            out[c] = (row[c] - center[c]) * scale[c] + shift[c]


@kernel
def batch_gradient_sums(x, dy, affine, sums, dots, step: int, low, high):
    """For block b of `step` rows: sums = sum(dy), dots = sum(dy * (x - center))."""
    center = affine[0]
    for b in range(low, high):
        block, gradient = x[b * step : min(len(x), (b + 1) * step)], dy[b * step : min(len(x), (b + 1) * step)]
        s, d = sums[b], dots[b]
        for c in range(len(s)):
            s[c] = d[c] = 0
        for i in range(len(block)):
            row, g = block[i], gradient[i]
            for c in range(len(s)):
                s[c] += g[c]
                d[c] += g[c] * (row[c] - center[c])


@kernel
def batch_gradients(sums, weight, saved, dweight, dbias, slopes, rows: int, training: int, low, high):
    """The parameters' gradients and `slopes`, from sums[0] = sum(dy) and sums[1] = sum(dy * (x - center)).

    In training dx = slopes[1] dy + slopes[0] (x - center) + slopes[2]; with fixed statistics slopes[0] and slopes[2]
    are 0, so that `normalize` makes dx of dy.
    """
    for c in range(low, high):
        s, d, count = np.float64(0), np.float64(0), np.float64(0)
        for lane in range(c, sums.shape[1], len(weight)):
            s += sums[0, lane]
            d += sums[1, lane]
            count += rows
        inverse, remainder = saved[0, c], saved[1, c]
        d -= remainder * s
        dbias[c], dweight[c] = s, d * inverse
        scale = weight[c] * inverse
        slope, constant = np.float64(0), np.float64(0)
        if training:
            slope = -scale * inverse * inverse * d / count
            constant = -scale * s / count - slope * remainder
        for lane in range(c, sums.shape[1], len(weight)):
            slopes[0, lane], slopes[1, lane], slopes[2, lane] = slope, scale, constant


@kernel
def batch_input_gradient(x, dy, affine, slopes, dx, low, high):
    """dx = slopes[1] dy + slopes[0] (x - center) + slopes[2]."""
    x, dy, dx = x[low:high], dy[low:high], dx[low:high]
    center, slope, scale, constant = affine[0], slopes[0], slopes[1], slopes[2]
    for i in range(len(x)):
        row, g, out = x[i], dy[i], dx[i]
        for c in range(len(out)):
            out[c] = scale[c] * g[c] + (slope[c] * (row[c] - center[c]) + constant[c])


@kernel
def layer_norm_forward(x, weight, bias, y, mean, inverse, eps: float, low, high):
    """y = (x - mean) * inverse * weight + bias along each row; mean and inverse deviation are kept in float64."""
    for i in range(low, high):
        row, out, count = x[i], y[i], np.float64(x.shape[1])
        center = x.dtype.type(total(row) / count)
        for c in range(len(out)):
            out[c] = row[c] - center
        remainder = np.float64(total(out)) / count
        variance = max(np.float64(dot(out, out)) / count - remainder * remainder, np.float64(0))
        scale = np.float64(1) / np.sqrt(variance + eps)
        mean[i], inverse[i] = np.float64(center) + remainder, scale
        rest, factor = x.dtype.type(remainder), x.dtype.type(scale)
        for c in range(len(out)):
            out[c] = (out[c] - rest) * factor * weight[c] + bias[c]


@njit
def centered_dot(x, center, y):
    """Sum of (x - center) * y over two 1-D arrays of one length, over sixteen interleaved partial sums."""
    zero = x.dtype.type(0)
    a = b = c = d = e = f = g = h = i = j = k = m = n = o = p = q = zero
    whole = len(x) // 16
    for t in range(whole):
        r, s = x[16 * t : 16 * t + 16], y[16 * t : 16 * t + 16]
        a, b = a + (r[0] - center) * s[0], b + (r[1] - center) * s[1]
        c, d = c + (r[2] - center) * s[2], d + (r[3] - center) * s[3]
        e, f = e + (r[4] - center) * s[4], f + (r[5] - center) * s[5]
        g, h = g + (r[6] - center) * s[6], h + (r[7] - center) * s[7]
        i, j = i + (r[8] - center) * s[8], j + (r[9] - center) * s[9]
        k, m = k + (r[10] - center) * s[10], m + (r[11] - center) * s[11]
        n, o = n + (r[12] - center) * s[12], o + (r[13] - center) * s[13]
        p, q = p + (r[14] - center) * s[14], q + (r[15] - center) * s[15]
    tail = zero
    for t in range(16 * whole, len(x)):
        tail += (x[t] - center) * y[t]
    return (((a + b) + (c + d)) + ((e + f) + (g + h))) + (((i + j) + (k + m)) + ((n + o) + (p + q))) + tail


@kernel
def layer_norm_backward(x, weight, dy, mean, inverse, dx, low, high):
    """dx = (g - mean(g) - z mean(g z)) * inverse, with g = dy * weight and z = (x - mean) * inverse."""
    for i in range(low, high):
        row, g, out, count = x[i], dy[i], dx[i], np.float64(x.shape[1])
        center = x.dtype.type(mean[i])
        remainder = mean[i] - np.float64(center)
        for c in range(len(out)):
            out[c] = g[c] * weight[c]
        gradient = np.float64(total(out))
        along = np.float64(centered_dot(row, center, out)) - remainder * gradient
        average, rest = x.dtype.type(gradient / count), x.dtype.type(remainder)
        slope, factor = x.dtype.type(along * inverse[i] * inverse[i] / count), x.dtype.type(inverse[i])
        for c in range(len(out)):
            out[c] = (out[c] - average - ((row[c] - center) - rest) * slope) * factor


@kernel
def layer_norm_gradient_sums(x, dy, mean, inverse, dots, sums, step: int, low, high):
    """For block b of `step` rows: dots = sum(dy * z), sums = sum(dy), with z = (x - mean) * inverse."""
    for b in range(low, high):
        s, d = sums[b], dots[b]
        for c in range(len(s)):
            s[c] = d[c] = 0
        for i in range(b * step, min(len(x), (b + 1) * step)):
            row, g, center = x[i], dy[i], x.dtype.type(mean[i])
            rest, factor = x.dtype.type(mean[i] - np.float64(center)), x.dtype.type(inverse[i])
            for c in range(len(s)):
                s[c] += g[c]
                d[c] += g[c] * (((row[c] - center) - rest) * factor)
