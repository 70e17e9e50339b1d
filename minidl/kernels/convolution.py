"""Convolution over channels-last images: images to columns and back, and the depthwise case without columns.

Where a window lies, `down` and `across` say: tables made in `minidl.ops.geometry`. down[o, k] is the input row that
output row o sees at place k of the kernel, or -1 in the padding; the inverse tables name the output row that
sees input row i at place k, or -1. Each item of a range writes what it alone owns, so no two chunks meet.
"""

from .launch import kernel


@kernel
def add_bias(y, bias, low, high):
    """y[r, c] += bias[c]."""
    for r in range(low, high):
        row = y[r]
        for c in range(len(row)):
            row[c] += bias[c]


@kernel
def gather_columns(x, down, across, columns, low, high):
    """columns[n, oy, ox, ky, (kx, c)] = x[n, iy, (ix, c)], 0 in the padding; the range is over (n, oy)."""
    width = across.shape[1]
    channels, zero = columns.shape[3] // width, x.dtype.type(0)
    for i in range(low, high):
        image, rows = x[i // len(down)], down[i % len(down)]
        for ox in range(len(across)):
            places = across[ox]
            left = places[0]
            unbroken = left >= 0 and places[width - 1] == left + width - 1
            for ky in range(len(rows)):
                out = columns[i, ox, ky]
                if rows[ky] < 0:
                    for c in range(len(out)):
                        out[c] = zero
                elif unbroken:  # the pixels of a row lie side by side: one copy
                    pixels = image[rows[ky], left * channels : (left + width) * channels]
                    for c in range(len(out)):
                        out[c] = pixels[c]
                else:
                    for kx in range(width):
                        part, ix = out[kx * channels : (kx + 1) * channels], places[kx]
                        if ix < 0:
                            for c in range(len(part)):
                                part[c] = zero
                        else:
                            pixel = image[rows[ky], ix * channels : (ix + 1) * channels]
                            for c in range(len(part)):
                                part[c] = pixel[c]


@kernel
def sum_columns(columns, down, across, dx, low, high):
    """dx[n, iy, ix, c] = sum over ky, kx of columns[n, oy, ox, ky, (kx, c)]; the range is over (n, iy)."""
    zero = dx.dtype.type(0)
    for i in range(low, high):
        n, rows = i // len(down), down[i % len(down)]
        for ix in range(len(across)):
            out, places = dx[n, i % len(down), ix], across[ix]
            channels = len(out)
            for c in range(channels):
                out[c] = zero
            for ky in range(len(rows)):
                if rows[ky] >= 0:
                    for kx in range(len(places)):
                        if places[kx] >= 0:
                            row = columns[n, rows[ky], places[kx], ky]
                            part = row[kx * channels : (kx + 1) * channels]
                            for c in range(channels):
                                out[c] += part[c]


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
