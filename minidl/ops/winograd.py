"""Convolution with windows of 3 x 3 by fewer multiplications: where that pays, and how images are cut into tiles."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from ..kernels.launch import launch
from ..kernels.layout import empty, images
from ..kernels.product import nothing, panels_of_columns, panels_of_rows
from ..kernels.reduce import merge
from ..kernels.vectors import REGISTER
from ..kernels.winograd import CHAIN, winograd, winograd_weight
from ..kernels.winograd_transforms import LANES, transform_weight, transform_weight_back
from .geometry import Geometry

SAVED = 1.4  # times fewer multiplications, counting those by padding, from which the transforms pay
SLOTS = 16  # of scratch memory: the most threads that can work at once
SUMS = 8  # the same for the gradient of the weight, which has a sum of all tiles' products in each
SUMS_BYTES = 8 << 20  # that these take at most ...
TILES_A_SUM = 128  # ... and tiles, at least, that each is of: adding the sums up then costs little
BLOCK_BYTES = 1 << 18  # of scratch memory: it stays in the second-level cache beside the weight
BLOCK_TILES = 32, 192  # at least, so that the weight is not read for few of them; at most, a chain of terms
HEIGHT = 4  # tiles of a block are a multiple of the unit of the widest registers', and at least two of these
STRAIGHT = np.arange(16)
TURNED = np.array([4 * i + j for i in (3, 1, 2, 0) for j in (3, 1, 2, 0)])  # G of what is read from the other end


class Tiling(NamedTuple):
    """What the kernels need beside the operands."""

    slots: int
    words: int  # of each
    runs: np.ndarray
    table: np.ndarray


def _padded(channels: int) -> int:
    return -(-channels // LANES) * LANES


def _tiles(size: tuple[int, ...]) -> tuple[int, int]:
    """Tiles down and across an image."""
    return -(-size[0] // 2), -(-size[1] // 2)


@lru_cache(512)
def multiplies_less(g: Geometry) -> bool:
    """Whether the tiles of a convolution want so much fewer multiplications that transforming them pays.

    This does not depend on how many images there are: one alone has the same bits as in a batch. With more padding a
    pixel sees few places, and its rounding errors, which are those of the tile, are large beside what it is a sum of.
    """
    axes = g.down, g.across
    if g.groups > 1 or min(g.channels, g.outputs) < LANES:
        return False
    if any((kernel, stride, dilation) != (3, 1, 1) or before > 1 for _, kernel, stride, before, dilation, _ in axes):
        return False
    down, across = _tiles(g.target[:2])
    if across > BLOCK_TILES[1]:
        return False
    direct = np.prod([(table.taps >= 0).sum() for table in g.axes]) * g.channels * g.outputs
    return direct >= SAVED * 16 * down * across * _padded(g.channels) * _padded(g.outputs)


@lru_cache(512)
def _slots(g: Geometry) -> int:
    """Of the gradient of the weight."""
    down, across = _tiles(g.target[:2])
    most = SUMS_BYTES // (16 * _padded(g.channels) * _padded(g.outputs) * g.itemsize)
    return min(SUMS, most, g.images * down * across // TILES_A_SUM)


def sums_pay(g: Geometry) -> bool:
    """Whether each half of the slots has enough tiles for its sum."""
    return 2 * _slots(g) >= SUMS


@lru_cache(512)
def _tiling(
    count: int, size: tuple[int, ...], padding: tuple[int, int], channels: tuple[int, int], itemsize: int, slots: int
) -> Tiling:
    """Blocks of `count` images of `size`, and scratch memory for so many channels before the products and beside them,
    which are the columns of a panel or, where there is but one chain, the other factor's channels.
    """
    (down, across), (before, beside) = _tiles(size), channels
    strips, words = count * down, 16 * (_padded(before) + beside)
    fit = BLOCK_BYTES // (words * itemsize)
    most = max(min(fit, strips * across // slots), BLOCK_TILES[0]) // across
    most = max(1, min(most, BLOCK_TILES[1] // across, strips))
    # Heights of whole units waste nothing; larger blocks read the weight less often.
    together = min(range(1, most + 1), key=lambda n: (-(-n * across // HEIGHT) * HEIGHT + HEIGHT) / (n * across))
    tiles = max(2, -(-together * across // HEIGHT)) * HEIGHT
    chains = np.arange(-(-before // CHAIN), dtype=np.int64) * CHAIN
    table = np.array([strips, together, tiles, down, across, *padding], np.int64)
    slots = min(slots, -(-strips // together))
    return Tiling(slots, words * tiles + 32 * LANES, np.stack([chains, chains * beside]), table)


def transformed(weight: np.ndarray) -> np.ndarray:
    """(G w G^T)[g, o, c] of the weight (out, C, 3, 3)."""
    u = empty((16, *weight.shape[:2]), weight.dtype)
    launch(transform_weight, len(weight), images(weight), u, work=u.size)
    return u


def convolved(g: Geometry, x: np.ndarray, u: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """The convolution of x with the weight that u is made of."""
    panels = empty((16 * -(-g.outputs // g.width), g.channels, g.width), x.dtype)
    matrix, lanes = u.reshape(-1, g.channels), REGISTER // x.itemsize
    launch(panels_of_columns, 16 * -(-g.outputs // lanes), matrix, panels, g.outputs, lanes, work=u.size)
    y = empty((g.images, g.outputs, *g.target[:2]), x.dtype)
    _launch(x, panels, STRAIGHT, bias, y, (g.down[3], g.across[3]), g.work)
    return y


def input_gradient(g: Geometry, dy: np.ndarray, u: np.ndarray) -> np.ndarray:
    """A convolution of dy with the weight turned around: what pads one end of it pads the other end of x."""
    each = -(-g.channels // g.width)
    panels = empty((16 * each, g.outputs, g.width), dy.dtype)
    launch(panels_of_rows, u.size // g.channels, u.reshape(-1, 1, g.channels), panels, each, work=u.size)
    dx = empty((g.images, g.channels, *g.source[:2]), dy.dtype)
    _launch(dy, panels, TURNED, nothing(dy.dtype), dx, (2 - g.down[3], 2 - g.across[3]), g.work)
    return dx


def _launch(
    x: np.ndarray,
    panels: np.ndarray,
    order: np.ndarray,
    bias: np.ndarray,
    y: np.ndarray,
    padding: tuple[int, int],
    work: int,
) -> None:
    wide = panels.shape[2]
    tiling = _tiling(len(x), y.shape[2:], padding, (x.shape[1], wide), x.itemsize, SLOTS)
    scratch, by_element = empty((tiling.slots, tiling.words), x.dtype), panels.reshape(16, -1, x.shape[1], wide)
    tables = tiling.runs, tiling.table
    launch(winograd, tiling.slots, images(x), by_element, order, bias, images(y), scratch, *tables, work=work)


def weight_gradient(g: Geometry, x: np.ndarray, dy: np.ndarray) -> np.ndarray:
    """Sums over the tiles of each slot, which are then added in order, and transformed."""
    channels, outputs = _padded(g.channels), _padded(g.outputs)
    padding = g.down[3], g.across[3]
    tiling = _tiling(g.images, g.target[:2], padding, (g.channels, outputs), g.itemsize, _slots(g))
    scratch = empty((tiling.slots, tiling.words), x.dtype)
    sums = empty((tiling.slots * 16 * outputs, channels), x.dtype).reshape(-1, 16, outputs, channels)
    launch(winograd_weight, len(sums), images(x), images(dy), sums, scratch, tiling.runs, tiling.table, work=g.work)
    total = sums[0]
    if len(sums) > 1:
        total = empty((16, outputs, channels), x.dtype)
        merge(sums.reshape(len(sums), -1), total.reshape(-1))
    dweight = empty((g.outputs, g.channels, 3, 3), x.dtype)
    launch(transform_weight_back, g.outputs, total, images(dweight), work=total.size)
    return dweight
