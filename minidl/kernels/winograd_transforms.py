"""Winograd's transforms, of a register of channels at a time: what stands before and after the products.

The 4 x 4 elements of a transform lie `pitch` apart, one matrix (tiles, channels) or (outputs, channels) each. For the
matrices A, B and G see `winograd.py`.
"""

from .inner import inner
from .launch import Out, kernel
from .register_arithmetic import spread
from .registers import load, store

LANES = 16  # channels that are transformed at once; scratch memory holds multiples of so many, zeros beyond the last


@inner
def _load4(x, at, apart, n):
    """Four registers `apart` from each other, of n[0], ..., n[3] numbers, zeros beyond them."""
    first, second = load(x, at, n[0], LANES), load(x, at + apart, n[1], LANES)
    return first, second, load(x, at + 2 * apart, n[2], LANES), load(x, at + 3 * apart, n[3], LANES)


@inner
def _store4(v, at, pitch, n, values):
    """The first n numbers of each of four registers, as elements g, ..., g + 3 of the 4 x 4."""
    store(v, at, n, values[0])
    store(v, at + pitch, n, values[1])
    store(v, at + 2 * pitch, n, values[2])
    store(v, at + 3 * pitch, n, values[3])


@inner
def _b(x):
    """B^T x."""
    return x[0] - x[2], x[1] + x[2], x[2] - x[1], x[3] - x[1]


@inner
def _a(x, y):
    """A (x, y)."""
    return x, x + y, x - y, y


@inner
def _a_back(x):
    """A^T x."""
    return x[0] + x[1] + x[2], x[1] - x[2] + x[3]


@inner
def _g(x, y, z, half):
    """G (x, y, z)."""
    ends, middle = half * (x + z), half * y
    return x, ends + middle, ends - middle, z


@inner
def _g_back(x, half):
    """G^T x."""
    both = half * (x[1] + x[2])
    return x[0] + both, half * (x[1] - x[2]), both + x[3]


@inner
def transform_windows(x, strips, grid, v, pitch):
    """v[g, t, c] = (B^T d B)[g] of the tiles t of some strips, which are rows of tiles of an image; 0 outside of it."""
    height, width, channels = x.shape[1], x.shape[2], x.shape[3]
    down, across, top, left = grid
    row, padded, nothing = width * channels, (channels + LANES - 1) // LANES * LANES, (0, 0, 0, 0)
    for strip in range(strips[0], strips[1]):
        iy, tile = 2 * (strip % down) - top, (strip - strips[0]) * across
        for c in range(0, channels, LANES):
            n, at = channels - c, ((strip // down * height + iy) * width - left) * channels + c
            above, middle = (n if 0 <= iy < height else 0), (n if 0 <= iy + 1 < height else 0)
            inside = above, middle, n if 0 <= iy + 2 < height else 0, n if 0 <= iy + 3 < height else 0
            first = _b(_load4(x, at, row, inside if left == 0 else nothing))
            second = _b(_load4(x, at + channels, row, inside if 0 <= 1 - left < width else nothing))
            for t in range(across):
                ix, to = 2 * t + 2 - left, (tile + t) * padded + c
                at += 2 * channels
                third = _b(_load4(x, at, row, inside if 0 <= ix < width else nothing))
                fourth = _b(_load4(x, at + channels, row, inside if 0 <= ix + 1 < width else nothing))
                _store4(v, to, pitch, LANES, _b((first[0], second[0], third[0], fourth[0])))
                _store4(v, to + 4 * pitch, pitch, LANES, _b((first[1], second[1], third[1], fourth[1])))
                _store4(v, to + 8 * pitch, pitch, LANES, _b((first[2], second[2], third[2], fourth[2])))
                _store4(v, to + 12 * pitch, pitch, LANES, _b((first[3], second[3], third[3], fourth[3])))
                first, second = third, fourth


@inner
def clear(v, pitch, low, high):
    """v[g, i] = 0 from low to high, both multiples of LANES."""
    zero = spread(v, 0, LANES)
    for g in range(16):
        for i in range(low, high, LANES):
            store(v, g * pitch + i, LANES, zero)


@inner
def transform_gradients(dy, strips, grid, d, start, pitch):
    """d[g, t, o] = (A dy A^T)[g] of the tiles t of some strips; d begins at `start`."""
    height, width, outputs = dy.shape[1], dy.shape[2], dy.shape[3]
    down, across, _, _ = grid
    row, padded = width * outputs, (outputs + LANES - 1) // LANES * LANES
    for strip in range(strips[0], strips[1]):
        oy, tile = 2 * (strip % down), (strip - strips[0]) * across
        image = (strip // down * height + oy) * width
        for t in range(across):
            below, beside = oy + 1 < height, 2 * t + 1 < width
            for o in range(0, outputs, LANES):
                at, to, n = (image + 2 * t) * outputs + o, start + (tile + t) * padded + o, outputs - o
                left = _a(load(dy, at, n, LANES), load(dy, at + row, n if below else 0, LANES))
                at, n = at + outputs, n if beside else 0
                right = _a(load(dy, at, n, LANES), load(dy, at + row, n if below else 0, LANES))
                _store4(d, to, pitch, LANES, _a(left[0], right[0]))
                _store4(d, to + 4 * pitch, pitch, LANES, _a(left[1], right[1]))
                _store4(d, to + 8 * pitch, pitch, LANES, _a(left[2], right[2]))
                _store4(d, to + 12 * pitch, pitch, LANES, _a(left[3], right[3]))


@inner
def _square(m, at, pitch):
    """The 4 x 4 elements at a place, in four columns."""
    down, counts = 4 * pitch, (LANES, LANES, LANES, LANES)
    first, second = _load4(m, at, down, counts), _load4(m, at + pitch, down, counts)
    return first, second, _load4(m, at + 2 * pitch, down, counts), _load4(m, at + 3 * pitch, down, counts)


@inner
def transform_back(m, start, pitch, wide, strips, grid, left, columns, bias, y):
    """y = A^T m A + bias for some output channels from `left` on; m[g, t, o] begins at `start`, its rows are `wide`."""
    height, width, outputs = y.shape[1], y.shape[2], y.shape[3]
    down, across, _, _ = grid
    for strip in range(strips[0], strips[1]):
        oy, tile = 2 * (strip % down), (strip - strips[0]) * across
        image = (strip // down * height + oy) * width
        for t in range(across):
            below, beside = oy + 1 < height, 2 * t + 1 < width
            for o in range(0, columns, LANES):
                p, q, r, s = _square(m, start + (tile + t) * wide + o, pitch)
                p, q, r, s = _a_back(p), _a_back(q), _a_back(r), _a_back(s)
                upper, lower = _a_back((p[0], q[0], r[0], s[0])), _a_back((p[1], q[1], r[1], s[1]))
                at, n = (image + 2 * t) * outputs + left + o, columns - o
                added = load(bias, left + o, n if len(bias) > 0 else 0, LANES)
                store(y, at, n, upper[0] + added)
                store(y, at + outputs, n if beside else 0, upper[1] + added)
                at, n = at + width * outputs, n if below else 0
                store(y, at, n, lower[0] + added)
                store(y, at + outputs, n if beside else 0, lower[1] + added)


@inner
def _place(weight, at, row, n, half):
    """G of three places below each other."""
    x, y, z = load(weight, at, n, LANES), load(weight, at + row, n, LANES), load(weight, at + 2 * row, n, LANES)
    return _g(x, y, z, half)


@kernel
def transform_weight(weight, u: Out, low, high):
    """u[g, o, c] = (G w G^T)[g] of the weight (out, 3, 3, C); the range is over o."""
    outputs, channels = weight.shape[0], weight.shape[3]
    half, row, pitch = spread(weight, 0.5, LANES), 3 * channels, outputs * channels
    for o in range(low, high):
        for c in range(0, channels, LANES):
            at, to, n = o * 3 * row + c, o * channels + c, channels - c
            x = _place(weight, at, row, n, half)
            y, z = _place(weight, at + channels, row, n, half), _place(weight, at + 2 * channels, row, n, half)
            _store4(u, to, pitch, n, _g(x[0], y[0], z[0], half))
            _store4(u, to + 4 * pitch, pitch, n, _g(x[1], y[1], z[1], half))
            _store4(u, to + 8 * pitch, pitch, n, _g(x[2], y[2], z[2], half))
            _store4(u, to + 12 * pitch, pitch, n, _g(x[3], y[3], z[3], half))


@inner
def _store_row(dweight, at, channels, n, values):
    store(dweight, at, n, values[0])
    store(dweight, at + channels, n, values[1])
    store(dweight, at + 2 * channels, n, values[2])


@kernel
def transform_weight_back(u, dweight: Out, low, high):
    """dweight[o, :, :, c] = (G^T u G)[o, c] of u (16, outputs, channels), both padded; the range is over o."""
    channels, padded = dweight.shape[3], u.shape[2]
    half, pitch = spread(u, 0.5, LANES), u.shape[1] * padded
    for o in range(low, high):
        for c in range(0, channels, LANES):
            w, x, y, z = _square(u, o * padded + c, pitch)
            w, x, y, z = _g_back(w, half), _g_back(x, half), _g_back(y, half), _g_back(z, half)
            at, n = o * 9 * channels + c, channels - c
            _store_row(dweight, at, channels, n, _g_back((w[0], x[0], y[0], z[0]), half))
            _store_row(dweight, at + 3 * channels, channels, n, _g_back((w[1], x[1], y[1], z[1]), half))
            _store_row(dweight, at + 6 * channels, channels, n, _g_back((w[2], x[2], y[2], z[2]), half))
