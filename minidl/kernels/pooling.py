"""Pooling over channels-last images, a window's channels in registers.

Where a window lies, the tables made in `minidl.ops.geometry` say. The backward kernels run over the input's rows and
gather from the windows that saw them, so each item of a range writes what it alone owns; where windows lie side by
side, each writes the gradients of its own pixels.
"""

import numpy as np

from .inner import inner
from .launch import Out, kernel
from .register_arithmetic import equal, exceeds, select, spread
from .registers import load, store

LANES = 16


@kernel
def max_forward(x, down, across, y: Out, low, high):
    """y[n, oy, ox, c] = the largest x[n, iy, ix, c] of its window, NaN above all; the range is over (n, oy)."""
    height, width, channels = x.shape[1], x.shape[2], x.shape[3]
    for i in range(low, high):
        image, rows = i // len(down) * height, down[i % len(down)]
        for ox in range(len(across)):
            columns = across[ox]
            for c in range(0, channels, LANES):
                best = spread(x, -np.inf, LANES)  # stays, where a dilated window steps over a small image
                for ky in range(len(rows)):
                    for kx in range(len(columns)):
                        if rows[ky] >= 0 and columns[kx] >= 0:
                            at = ((image + rows[ky]) * width + columns[kx]) * channels + c
                            value = load(x, at, channels - c, LANES)
                            best = select(exceeds(value, best), value, best)
                store(y, (i * len(across) + ox) * channels + c, channels - c, best)


@inner
def _first(taps):
    """The first place inside the image, or 0."""
    for k in range(len(taps)):
        if taps[k] >= 0:
            return k
    return 0


@kernel
def max_forward_with_places(x, down, across, y: Out, places_seen: Out, low, high):
    """As `max_forward`, and places_seen[n, oy, ox, c] = ky kw + kx of the largest: the first of equal ones."""
    height, width, channels = x.shape[1], x.shape[2], x.shape[3]
    for i in range(low, high):
        image, rows = i // len(down) * height, down[i % len(down)]
        for ox in range(len(across)):
            columns = across[ox]
            first = _first(rows) * len(columns) + _first(columns)
            for c in range(0, channels, LANES):
                best, seen = spread(x, -np.inf, LANES), spread(places_seen, first, LANES)
                for ky in range(len(rows)):
                    for kx in range(len(columns)):
                        if rows[ky] >= 0 and columns[kx] >= 0:
                            at = ((image + rows[ky]) * width + columns[kx]) * channels + c
                            value = load(x, at, channels - c, LANES)
                            larger = exceeds(value, best)
                            best = select(larger, value, best)
                            seen = select(larger, spread(places_seen, ky * len(columns) + kx, LANES), seen)
                at = (i * len(across) + ox) * channels + c
                store(y, at, channels - c, best)
                store(places_seen, at, channels - c, seen)


@kernel
def max_forward_by_twos(x, y: Out, places_seen: Out, low, high):
    """As `max_forward_with_places` for windows of 2 x 2 side by side without padding."""
    height, width, channels = x.shape[1], x.shape[2], x.shape[3]
    zero, one = spread(places_seen, 0, LANES), spread(places_seen, 1, LANES)
    two, three = spread(places_seen, 2, LANES), spread(places_seen, 3, LANES)
    for i in range(low, high):
        image, oy = i // y.shape[1], i % y.shape[1]
        above, at = (image * height + 2 * oy) * width * channels, i * y.shape[2] * channels
        below = above + width * channels
        for ox in range(y.shape[2]):
            left, out = 2 * ox * channels, at + ox * channels
            right = left + channels
            for c in range(0, channels, LANES):
                count = channels - c
                best, other = load(x, above + left + c, count, LANES), load(x, above + right + c, count, LANES)
                larger = exceeds(other, best)
                best, seen = select(larger, other, best), select(larger, one, zero)
                other = load(x, below + left + c, count, LANES)
                larger = exceeds(other, best)
                best, seen = select(larger, other, best), select(larger, two, seen)
                other = load(x, below + right + c, count, LANES)
                larger = exceeds(other, best)
                store(y, out + c, count, select(larger, other, best))
                store(places_seen, out + c, count, select(larger, three, seen))


@kernel
def max_backward(dy, places_seen, down, across, dx: Out, low, high):
    """dx[n, iy, ix, c] = sum of dy over the windows whose largest it was; the range is over (n, iy)."""
    height, width, channels = dy.shape[1], dy.shape[2], dy.shape[3]
    zero = spread(dy, 0, LANES)
    for i in range(low, high):
        image, rows = i // len(down) * height, down[i % len(down)]
        for ix in range(len(across)):
            columns = across[ix]
            for c in range(0, channels, LANES):
                total, count = zero, channels - c
                for ky in range(len(rows)):
                    for kx in range(len(columns)):
                        if rows[ky] >= 0 and columns[kx] >= 0:
                            at = ((image + rows[ky]) * width + columns[kx]) * channels + c
                            place = spread(places_seen, ky * len(columns) + kx, LANES)
                            here = equal(load(places_seen, at, count, LANES), place)
                            total = total + select(here, load(dy, at, count, LANES), zero)
                store(dx, (i * len(across) + ix) * channels + c, count, total)


@kernel
def max_backward_apart(dy, places_seen, rows: int, columns: int, dx: Out, low, high):
    """As `max_backward` for windows of rows x columns side by side without padding, that cover the image.

    The range is over (n, oy): each window writes dy to the pixel that was its largest, and 0 to its others.
    """
    width, channels = dx.shape[2], dx.shape[3]
    zero = spread(dy, 0, LANES)
    for i in range(low, high):
        for ox in range(dy.shape[2]):
            window, at = (i * rows * width + ox * columns) * channels, (i * dy.shape[2] + ox) * channels
            for c in range(0, channels, LANES):
                count = channels - c
                upstream, seen = load(dy, at + c, count, LANES), load(places_seen, at + c, count, LANES)
                for ky in range(rows):
                    for kx in range(columns):
                        here = equal(seen, spread(places_seen, ky * columns + kx, LANES))
                        store(dx, window + (ky * width + kx) * channels + c, count, select(here, upstream, zero))


@kernel
def average_forward(x, down, across, heights, widths, y: Out, low, high):
    """y[n, oy, ox, c] = sum of its window / (heights[oy] widths[ox]); the range is over (n, oy)."""
    height, width, channels = x.shape[1], x.shape[2], x.shape[3]
    for i in range(low, high):
        image, oy = i // len(down) * height, i % len(down)
        for ox in range(len(across)):
            divisor = heights[oy] * widths[ox]
            share = 1 / divisor if divisor != 0 else 0.0  # 0 where a window lies all in padding that does not count
            for c in range(0, channels, LANES):
                total, count = spread(x, 0, LANES), channels - c
                for iy in range(down[oy, 0], down[oy, 1]):
                    for ix in range(across[ox, 0], across[ox, 1]):
                        total = total + load(x, ((image + iy) * width + ix) * channels + c, count, LANES)
                at = (i * len(across) + ox) * channels + c
                store(y, at, count, total * spread(x, share, LANES))


@kernel
def average_backward(dy, down, across, heights, widths, dx: Out, low, high):
    """dx[n, iy, ix, c] = sum of dy / (heights[oy] widths[ox]) over the windows that saw it; the range: (n, iy)."""
    height, width, channels = dy.shape[1], dy.shape[2], dy.shape[3]
    for i in range(low, high):
        image, iy = i // len(down) * height, i % len(down)
        for ix in range(len(across)):
            for c in range(0, channels, LANES):
                total, count = spread(dy, 0, LANES), channels - c
                for oy in range(down[iy, 0], down[iy, 1]):
                    for ox in range(across[ix, 0], across[ix, 1]):
                        upstream = load(dy, ((image + oy) * width + ox) * channels + c, count, LANES)
                        total = total + upstream * spread(dy, 1 / (heights[oy] * widths[ox]), LANES)
                store(dx, (i * len(across) + ix) * channels + c, count, total)


@kernel
def average_backward_apart(dy, rows: int, columns: int, share: float, dx: Out, low, high):
    """As `average_backward` for windows side by side that cover the image: dx = share * dy of the pixel's window.

    The range is over (n, oy); each window has rows x columns pixels.
    """
    width, channels = dx.shape[2], dx.shape[3]
    factor = spread(dy, share, LANES)
    for i in range(low, high):
        for ox in range(dy.shape[2]):
            window, at = (i * rows * width + ox * columns) * channels, (i * dy.shape[2] + ox) * channels
            for c in range(0, channels, LANES):
                upstream = factor * load(dy, at + c, channels - c, LANES)
                for ky in range(rows):
                    for kx in range(columns):
                        store(dx, window + (ky * width + kx) * channels + c, channels - c, upstream)
