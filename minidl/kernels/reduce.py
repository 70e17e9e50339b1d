"""Sums along a row, in an order fixed in the source, so that they have the same bits on every machine.

A plain loop over one accumulator cannot be vectorised without changing the order of the sum; sixteen accumulators
written out can, on any register width, and err less.
"""

from numba import njit

from .launch import kernel

BLOCK_ROWS = 256  # rows summed in the arrays' own dtype before float64 takes over


@njit
def total(x):
    """Sum of a 1-D array, over sixteen interleaved partial sums."""
    zero = x.dtype.type(0)
    a = b = c = d = e = f = g = h = i = j = k = m = n = o = p = q = zero
    whole = len(x) // 16
    for t in range(whole):
        r = x[16 * t : 16 * t + 16]
        a, b, c, d = a + r[0], b + r[1], c + r[2], d + r[3]
        e, f, g, h = e + r[4], f + r[5], g + r[6], h + r[7]
        i, j, k, m = i + r[8], j + r[9], k + r[10], m + r[11]
        n, o, p, q = n + r[12], o + r[13], p + r[14], q + r[15]
    tail = zero
    for t in range(16 * whole, len(x)):
        tail += x[t]
    return (((a + b) + (c + d)) + ((e + f) + (g + h))) + (((i + j) + (k + m)) + ((n + o) + (p + q))) + tail


@njit
def dot(x, y):
    """Sum of products of two 1-D arrays of one length, over sixteen interleaved partial sums."""
    zero = x.dtype.type(0)
    a = b = c = d = e = f = g = h = i = j = k = m = n = o = p = q = zero
    whole = len(x) // 16
    for t in range(whole):
        r, s = x[16 * t : 16 * t + 16], y[16 * t : 16 * t + 16]
        a, b, c, d = a + r[0] * s[0], b + r[1] * s[1], c + r[2] * s[2], d + r[3] * s[3]
        e, f, g, h = e + r[4] * s[4], f + r[5] * s[5], g + r[6] * s[6], h + r[7] * s[7]
        i, j, k, m = i + r[8] * s[8], j + r[9] * s[9], k + r[10] * s[10], m + r[11] * s[11]
        n, o, p, q = n + r[12] * s[12], o + r[13] * s[13], p + r[14] * s[14], q + r[15] * s[15]
    tail = zero
    for t in range(16 * whole, len(x)):
        tail += x[t] * y[t]
    return (((a + b) + (c + d)) + ((e + f) + (g + h))) + (((i + j) + (k + m)) + ((n + o) + (p + q))) + tail


@kernel
def column_sums(x, partial, low, high):
    """partial[b, c] = sum over the rows of block b of x[row, c]."""
    for b in range(low, high):
        block, sums = x[b * BLOCK_ROWS : min(len(x), (b + 1) * BLOCK_ROWS)], partial[b]
        for c in range(len(sums)):
            sums[c] = 0
        for r in range(len(block)):
            row = block[r]
            for c in range(len(sums)):
                sums[c] += row[c]


@kernel
def merge_columns(partial, sums, out, low, high):
    """out[c] = sum over blocks b of partial[b, c], in order, in the float64 of `sums`, which may be `out` itself."""
    sums, out = sums[low:high], out[low:high]
    for c in range(len(sums)):
        sums[c] = 0
    for b in range(len(partial)):
        row = partial[b, low:high]
        for c in range(len(sums)):
            sums[c] += row[c]
    for c in range(len(sums)):
        out[c] = sums[c]
