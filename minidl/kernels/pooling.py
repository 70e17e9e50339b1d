"""Pooling over channels-last images, channels as the inner loop.

Where a window lies, the tables made in `minidl.ops.geometry` say. The backward kernels run over the input's rows and
gather from the windows that saw them, so each item of a range writes what it alone owns.
"""

import numpy as np

from .launch import kernel


@kernel
def max_forward(x, down, across, y, low, high):
    """y[n, oy, ox, c] = the largest x[n, iy, ix, c] of its window, NaN above all; the range is over (n, oy)."""
    for i in range(low, high):
        image, rows, row = x[i // len(down)], down[i % len(down)], y[i // len(down), i % len(down)]
        for ox in range(len(across)):
            out, places = row[ox], across[ox]
            first = True
            for ky in range(len(rows)):
                if rows[ky] >= 0:
                    for kx in range(len(places)):
                        if places[kx] >= 0:
                            pixel = image[rows[ky], places[kx]]
                            for c in range(len(out)):
                                v, best = pixel[c], out[c]
                                out[c] = v if first | (v > best) | (v != v) else best
                            first = False
            if first:  # a dilated window can step over a small image
                for c in range(len(out)):
                    out[c] = -np.inf


@kernel
def max_forward_with_places(x, down, across, y, places_seen, low, high):
    """As `max_forward`, and places_seen[n, oy, ox, c] = ky kw + kx of the largest: the first of equal ones."""
    for i in range(low, high):
        image, rows, n, oy = x[i // len(down)], down[i % len(down)], i // len(down), i % len(down)
        for ox in range(len(across)):
            out, seen, places = y[n, oy, ox], places_seen[n, oy, ox], across[ox]
            first = True
            for ky in range(len(rows)):
                if rows[ky] >= 0:
                    for kx in range(len(places)):
                        if places[kx] >= 0:
                            pixel, place = image[rows[ky], places[kx]], seen.dtype.type(ky * len(places) + kx)
                            for c in range(len(out)):
                                v, best = pixel[c], out[c]
                                larger = first | (v > best) | (v != v)
                                out[c] = v if larger else best
                                seen[c] = place if larger else seen[c]
                            first = False
            if first:
                for c in range(len(out)):
                    out[c], seen[c] = -np.inf, seen.dtype.type(0)


@kernel
def max_backward(dy, places_seen, down, across, dx, low, high):
    """dx[n, iy, ix, c] = sum of dy over the windows whose largest it was; the range is over (n, iy)."""
    zero = dx.dtype.type(0)
    for i in range(low, high):
        n, iy, rows = i // len(down), i % len(down), down[i % len(down)]
        for ix in range(len(across)):
            out, places = dx[n, iy, ix], across[ix]
            for c in range(len(out)):
                out[c] = zero
            for ky in range(len(rows)):
                if rows[ky] >= 0:
                    for kx in range(len(places)):
                        if places[kx] >= 0:
                            upstream, seen = dy[n, rows[ky], places[kx]], places_seen[n, rows[ky], places[kx]]
                            place = places_seen.dtype.type(ky * len(places) + kx)
                            for c in range(len(out)):
                                out[c] += upstream[c] if seen[c] == place else zero


@kernel
def average_forward(x, down, across, heights, widths, y, low, high):
    """y[n, oy, ox, c] = sum of its window / (heights[oy] widths[ox]); the range is over (n, oy)."""
    zero = y.dtype.type(0)
    for i in range(low, high):
        n, oy = i // len(down), i % len(down)
        for ox in range(len(across)):
            out, divisor = y[n, oy, ox], y.dtype.type(heights[oy] * widths[ox])
            for c in range(len(out)):
                out[c] = zero
            for iy in range(down[oy, 0], down[oy, 1]):
                for ix in range(across[ox, 0], across[ox, 1]):
                    pixel = x[n, iy, ix]
                    for c in range(len(out)):
                        out[c] += pixel[c]
            if down[oy, 0] < down[oy, 1] and across[ox, 0] < across[ox, 1]:  # else all padding: its count may be 0
                for c in range(len(out)):
                    out[c] /= divisor


@kernel
def average_backward(dy, down, across, heights, widths, dx, low, high):
    """dx[n, iy, ix, c] = sum of dy / (heights[oy] widths[ox]) over the windows that saw it; the range: (n, iy)."""
    zero = dx.dtype.type(0)
    for i in range(low, high):
        n, iy = i // len(down), i % len(down)
        for ix in range(len(across)):
            out = dx[n, iy, ix]
            for c in range(len(out)):
                out[c] = zero
            for oy in range(down[iy, 0], down[iy, 1]):
                for ox in range(across[ix, 0], across[ix, 1]):
                    upstream, divisor = dy[n, oy, ox], dy.dtype.type(heights[oy] * widths[ox])
                    for c in range(len(out)):
                        out[c] += upstream[c] / divisor
