"""Depthwise convolution over channels-last images: no sums over channels, so no products of matrices.

Where a window lies, `down` and `across` say: tables made in `minidl.ops.geometry`. down[o, k] is the input row that
output row o sees at place k of the kernel, or -1 in the padding; the inverse tables name the output row that
sees input row i at place k, or -1. Each item of a range writes what it alone owns, so no two chunks meet.
"""

from .launch import kernel


@kernel
def depthwise(x, weight, down, across, y, low, high):
    """y[n, oy, ox, c] = sum over ky, kx of weight[ky, kx, c] x[n, iy, ix, c]; the range is over (n, oy).

    With the inverse tables the same loop is the gradient: x from y.
    """
    zero = x.dtype.type(0)
    for i in range(low, high):
        image, rows, row = x[i // len(down)], down[i % len(down)], y[i // len(down), i % len(down)]
        for ox in range(len(across)):
            out, places = row[ox], across[ox]
            for c in range(len(out)):
                out[c] = zero
            for ky in range(len(rows)):
                if rows[ky] >= 0:
                    for kx in range(len(places)):
                        if places[kx] >= 0:
                            pixel, factor = image[rows[ky], places[kx]], weight[ky, kx]
                            for c in range(len(out)):
                                out[c] += factor[c] * pixel[c]


@kernel
def depthwise_weight(x, dy, down, across, partial, low, high):
    """partial[(n, oy), ky, kx, c] = sum over ox of dy[n, oy, ox, c] x[n, iy, ix, c]; the range is over (n, oy)."""
    zero = x.dtype.type(0)
    for i in range(low, high):
        n, rows, upstreams = i // len(down), down[i % len(down)], dy[i // len(down), i % len(down)]
        for ky in range(len(rows)):
            for kx in range(across.shape[1]):
                out = partial[i, ky, kx]
                for c in range(len(out)):
                    out[c] = zero
                if rows[ky] >= 0:
                    for ox in range(len(across)):
                        if across[ox, kx] >= 0:
                            pixel, upstream = x[n, rows[ky], across[ox, kx]], upstreams[ox]
                            for c in range(len(out)):
                                out[c] += upstream[c] * pixel[c]
