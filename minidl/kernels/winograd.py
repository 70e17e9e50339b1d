"""Convolution with windows of 3 x 3 by fewer multiplications: Winograd's F(2 x 2, 3 x 3).

The four output pixels of a *tile* see 4 x 4 input pixels d, which overlap those of the next tile by two. With

    B^T = (1  0 -1  0)    G = (1    0    0 )    A^T = (1  1  1  0)
          (0  1  1  0)        (1/2  1/2 1/2)          (0  1 -1  1)
          (0 -1  1  0)        (1/2 -1/2 1/2)
          (0 -1  0  1)        (0    0    1 )

y = A^T [(G w G^T) * (B^T d B)] A, the * element by element: 16 multiplications a pair of channels instead of 36. Summed
over input channels they are 16 products of matrices, (tiles, channels) by (channels, outputs), one for each element g
of the 4 x 4. A block of strips, which are rows of tiles, is transformed into scratch memory that stays in the cache,
multiplied, and transformed back. The gradient of w is the same read backwards, G^T [(A dy A^T) * (B^T d B)] G, summed
over tiles.

Source: Lavin, Gray, "Fast algorithms for convolutional neural networks" (2016), 4.1.
"""

from .inner import inner
from .launch import Out, kernel
from .simd import ROWS, VECTORS, make_tile
from .vectors import REGISTER
from .winograd_transforms import LANES, clear, transform_back, transform_gradients, transform_windows

CHAIN = 32  # channels summed in a register before they are added up: what is summed is sums of pixels, which err more
UNIT = ROWS // 3  # the tiles that multiply are of three and of two of these
# Strips of all images and of a block, tiles of a block with what fills up its last one, strips of an image and tiles of
# a strip, padding.
STRIPS, TOGETHER, TILES, DOWN, ACROSS, TOP, LEFT = range(7)
_tile = make_tile((3 * UNIT, 2 * UNIT))


@inner(forceinline=True)
def _product(rows, columns, a, a_at, b, b_at, runs, terms, c, c_at, add):
    """c = a @ b, or c += a @ b, of `rows`, a multiple of UNIT and at least two, by tiles of three UNITs and of two."""
    units = rows // UNIT
    low = (3 - units % 3) % 3
    high = (units - 2 * low) // 3
    for t in range(high + low):
        r = UNIT * (3 * t - max(t - high, 0))
        size, to = (UNIT * (3 if t < high else 2), columns), (c_at[0] + r * c_at[1], c_at[1])
        _tile(size, a, (a_at[0] + r * a_at[1], a_at[1], a_at[2]), b, b_at, runs[0], runs[1], terms, c, to, c, to, add)


@kernel
def winograd(x, weight, order, bias, y: Out, scratch: Out, runs, tiling, low, high):
    """The images y (N, H', W', out) of the images x (N, H, W, C); the range is over rows of `scratch`, for some blocks.

    weight[order[g], p, c, j] = (G w G^T)[g, c, p width + j] in panels p of columns; `runs` are the starts of chains in
    a row of channels and in a panel.
    """
    channels, outputs, panels, wide = x.shape[3], y.shape[3], weight.shape[1], weight.shape[3]
    lanes, padded = REGISTER // x.itemsize, (channels + LANES - 1) // LANES * LANES
    strips, together, tiles = tiling[STRIPS], tiling[TOGETHER], tiling[TILES]
    grid = tiling[DOWN], tiling[ACROSS], tiling[TOP], tiling[LEFT]
    blocks, slots = (strips + together - 1) // together, len(scratch)
    # A cache line apart from whole pages, which would share few places of the first-level cache.
    v_pitch, m_pitch = tiles * padded + LANES, tiles * wide + LANES
    u, start = weight.reshape(weight.size), 16 * v_pitch
    for slot in range(low, high):
        own = scratch[slot]
        for block in range(blocks * slot // slots, blocks * (slot + 1) // slots):
            part = block * together, min(strips, (block + 1) * together)
            transform_windows(x, part, grid, own, v_pitch)
            clear(own, v_pitch, (part[1] - part[0]) * grid[1] * padded, tiles * padded)
            for panel in range(panels):
                columns = min(wide, outputs - panel * wide)
                whole = (columns + lanes - 1) // lanes * lanes
                for g in range(16):
                    a_at, c_at = (g * v_pitch, padded, 1), (start + g * m_pitch, wide)
                    b_at = (order[g] * panels + panel) * channels * wide, wide
                    for i in range((channels + CHAIN - 1) // CHAIN):
                        terms = i, 1, min(CHAIN, channels - i * CHAIN)
                        _product(tiles, whole, own, a_at, u, b_at, runs, terms, own, c_at, i > 0)
                transform_back(own, start, m_pitch, wide, part, grid, panel * wide, columns, bias, y)


@kernel
def winograd_weight(x, dy, sums: Out, scratch: Out, runs, tiling, low, high):
    """sums[s, g, o, c] = sum over tiles of (A dy A^T)[g, o] (B^T d B)[g, c], channels padded with zeros; the range is
    over rows s of `scratch`, for some blocks each.
    """
    outputs, channels, wide = sums.shape[2], sums.shape[3], VECTORS * (REGISTER // x.itemsize)
    strips, together, tiles = tiling[STRIPS], tiling[TOGETHER], tiling[TILES]
    grid = tiling[DOWN], tiling[ACROSS], tiling[TOP], tiling[LEFT]
    blocks, slots = (strips + together - 1) // together, len(scratch)
    v_pitch, d_pitch = tiles * channels + LANES, tiles * outputs + LANES
    out, start = sums.reshape(sums.size), 16 * v_pitch
    for slot in range(low, high):
        own, first = scratch[slot], blocks * slot // slots
        for block in range(first, blocks * (slot + 1) // slots):
            part = block * together, min(strips, (block + 1) * together)
            transform_windows(x, part, grid, own, v_pitch)
            transform_gradients(dy, part, grid, own, start, d_pitch)
            terms = 0, 1, (part[1] - part[0]) * grid[1]
            for g in range(16):
                for left in range(0, channels, wide):
                    a_at, b_at = (start + g * d_pitch, 1, outputs), (g * v_pitch + left, channels)
                    columns, c_at = min(wide, channels - left), ((slot * 16 + g) * outputs * channels + left, channels)
                    _product(outputs, columns, own, a_at, own, b_at, runs, terms, out, c_at, block > first)


def _operations(x, weight, order, bias, y, scratch, runs, tiling) -> int:
    """Of the products alone."""
    return 32 * int(tiling[STRIPS] * tiling[ACROSS]) * x.shape[3] * y.shape[3]


def _weight_operations(x, dy, sums, scratch, runs, tiling) -> int:
    return 32 * int(tiling[STRIPS] * tiling[ACROSS]) * x.shape[3] * dy.shape[3]


winograd.operations, winograd_weight.operations = _operations, _weight_operations
