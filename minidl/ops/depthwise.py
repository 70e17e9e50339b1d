"""Depthwise convolution: every group of channels is one channel, seen by one output or more."""

from functools import lru_cache
from itertools import product
from typing import NamedTuple

import numpy as np

from ..autograd import Pullback
from ..kernels.depthwise import PIXELS, correlate, slide
from ..kernels.launch import launch
from ..kernels.layout import empty, flat, images, ordered, shaped, stretched
from ..kernels.product import nothing
from ..kernels.reduce import merge
from ..kernels.sums import sum_over
from .geometry import Geometry
from .windows import Run, runs

EXTENTS = 8, 64  # of rectangles at most: threads share those of an image, and sums over their pixels stay short
BLOCKS, BLOCK = 16, 32  # the weight's gradient is summed over so many blocks at least, of so many rectangles at most

Tables = tuple[np.ndarray, ...]  # the rectangles, the places by threes and those alone that the kernels read
Places = tuple[tuple[int, int], ...]  # of the window: how far in the source from a pixel, and where the weight lies


def depthwise(
    g: Geometry, x: np.ndarray, weight: np.ndarray, bias: np.ndarray, needs: list[bool]
) -> tuple[np.ndarray, Pullback]:
    """The output for dense images, and the pullback to the gradients of x and weight."""
    each = g.outputs // g.groups
    n, c, h, w = x.shape
    repeated = flat(x if each == 1 else stretched(images(x)[..., None], (n, h, w, c, each)))
    kernel = flat(weight[:, 0].transpose(1, 2, 0))
    y = empty((g.images, g.outputs, *g.target[:2]), x.dtype)
    _slide(g, _forward_tables(g), repeated, kernel, bias, flat(y))

    def pull(dy: np.ndarray) -> tuple:
        dx = dweight = None
        upstream = flat(dy)
        if needs[0]:
            dx = empty(repeated.shape, x.dtype)
            _slide(g, _input_tables(g), upstream, kernel, nothing(x.dtype), dx)
            dx = shaped(dx if each == 1 else sum_over(dx.reshape(n, h, w, c, each), (4,)), x.shape)
        if needs[1]:
            dweight = _weight_gradient(g, repeated, upstream)
        return dx, dweight

    return y, pull


def _slide(g: Geometry, tables: Tables, x: np.ndarray, kernel: np.ndarray, bias: np.ndarray, y: np.ndarray) -> None:
    extents = len(x) // g.images, len(y) // g.images, g.outputs
    launch(slide, g.images * len(tables[0]), x, kernel, bias, y, *tables, *extents, work=len(x) + len(y))


def _weight_gradient(g: Geometry, x: np.ndarray, dy: np.ndarray) -> np.ndarray:
    """Sums over blocks of the images' rectangles, which are then added in order."""
    tables, size = _forward_tables(g), g.window[0] * g.window[1] * g.outputs
    every = g.images * len(tables[0])
    blocks = max(min(every, BLOCKS), every // BLOCK)
    partial, total = np.empty((blocks, size), x.dtype), np.empty(size, x.dtype)
    extents = len(x) // g.images, len(dy) // g.images, g.outputs, g.images
    launch(correlate, blocks, x, dy, partial, *tables, *extents, work=len(x) + len(dy))
    merge(partial, total)
    return ordered(total.reshape(-1, g.outputs).T).reshape(g.outputs, *g.window, 1).transpose(0, 3, 1, 2)


@lru_cache(512)
def _forward_tables(g: Geometry) -> Tables:
    return _tables(g, [runs(axis.taps, 1) for axis in g.axes], (g.source.width, g.target.width))


@lru_cache(512)
def _input_tables(g: Geometry) -> Tables:
    found = [runs(axis.back, of_axis[2]) for axis, of_axis in zip(g.axes, (g.down, g.across), strict=True)]
    return _tables(g, found, (g.target.width, g.source.width))


def _tables(g: Geometry, found: list[list[Run]], widths: tuple[int, int]) -> Tables:
    """For images so wide, seen and seeing."""
    c, window = g.outputs, g.window[1] * g.outputs
    down = [_Side.of(run, widths[0] * c, widths[1] * c, window) for run in _cut(found[0], EXTENTS[0])]
    across = [_Side.of(run, c, c, c) for run in _cut(found[1], EXTENTS[1])]
    spans: dict[tuple, tuple[int, ...]] = {}  # of the places in their tables, of rectangles that see the same
    rectangles, threes, alone = [], [], []
    for v, h in product(down, across):
        outer, inner = (v, h) if h.length >= min(PIXELS, v.length) else (h, v)
        seen = outer.places, inner.places, inner.x_step
        if seen not in spans:
            begun = len(threes), len(alone)
            _append_places(*seen, threes, alone)
            spans[seen] = begun[0], len(threes), begun[1], len(alone)
        rectangles.append((*outer[:3], *inner[:3], v.x + h.x, v.y + h.y, *spans[seen]))
    return tuple(np.array(table, np.int64) for table in (rectangles, threes, alone))


class _Side(NamedTuple):
    """A rectangle along one axis, counted in elements."""

    length: int
    x_step: int
    y_step: int
    x: int  # where the first pixel lies in the source
    y: int
    places: Places

    @classmethod
    def of(cls, run: Run, source: int, target: int, weight: int) -> "_Side":
        """A pixel, there and here, and a place's weight are so many elements apart."""
        places = sorted(zip(run.sources, run.places, strict=True))
        first = places[0][0] if places else 0
        seen = tuple(((at - first) * source, place * weight) for at, place in places)
        return cls(run.length, run.apart * source, run.step * target, first * source, run.start * target, seen)


def _append_places(outer: Places, inner: Places, step: int, threes: list[int], alone: list[int]) -> None:
    """Each place, by threes where they are as far apart in the source as pixels are."""
    together = len(inner) // 3 * 3 if len(inner) > 1 and inner[1][0] - inner[0][0] == step else 0
    for at, weight in outer:
        for (x, w), (_, following) in zip(inner[:together:3], inner[1:together:3], strict=True):
            threes += [at + x, weight + w, following - w]
        for x, w in inner[together:]:
            alone += [at + x, weight + w]


def _cut(found: list[Run], most: int) -> list[Run]:
    """The same pixels in runs of at most `most`."""
    parts = []
    for run in found:
        for first in range(0, run.length, most):
            start, sources = run.start + first * run.step, tuple(s + first * run.apart for s in run.sources)
            parts.append(run._replace(start=start, length=min(most, run.length - first), sources=sources))
    return parts
