"""Convolution as jobs for the product kernel: which pixels see which places of the window, and where all of that lies.

Along one axis, neighbouring windows that stick out of the image by the same places form a run; a run of rows and a run
of columns are a rectangle of pixels that sum over the same places. The inside of the image is one, each edge and corner
another: no image is padded, nothing is multiplied by padding, and strides and dilations are strides of memory.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np

from ..kernels.product import CHAIN, Grid, Job, table
from ..kernels.simd import ROWS, SINGLE_ROWS
from ..kernels.vectors import REGISTER

BLOCK_BYTES = 1 << 18  # of images that are worked on together: they stay in the second-level cache
BLOCKS = 16  # of images, at least: fewer could not be shared evenly between threads


class Run(NamedTuple):
    """Positions start, start + step, ... of one axis whose windows have the same places inside the other image."""

    start: int
    step: int
    length: int
    places: tuple[int, ...]  # of the window
    sources: tuple[int, ...]  # what the first position sees there; every next one sees what lies `apart` further
    apart: int

    @property
    def between(self) -> int:
        """How far what one place sees lies from what the next one sees, if the places are neighbours; else 0."""
        gaps = {b - a for a, b in zip(self.sources, self.sources[1:], strict=False)}
        neighbours = len(self.places) == self.places[-1] - self.places[0] + 1 if self.places else False
        return gaps.pop() if neighbours and len(gaps) == 1 else 0


class Extents(NamedTuple):
    """Extents of the images of a batch, channels last in memory."""

    height: int
    width: int
    channels: int

    @property
    def image(self) -> int:
        """Elements of an image."""
        return self.height * self.width * self.channels

    def at(self, y: int, x: int) -> int:
        """Where a pixel begins."""
        return (y * self.width + x) * self.channels


class Layout(NamedTuple):
    """How the right operand lies: how far places of the window, source channels, groups and panels are apart."""

    place: int
    channel: int
    group: int
    panel: int
    width: int  # columns of a panel


class Steps(NamedTuple):
    """Terms of a sum: runs of `length` terms with a stride."""

    a: np.ndarray  # where each run begins
    b: np.ndarray
    length: int
    a_step: int
    b_step: int

    @property
    def strides(self) -> dict[str, int]:
        """What a job says of its terms."""
        return {"run": self.length, "a_step": self.a_step, "b_step": self.b_step}

    def cut(self) -> "Steps":
        """The same terms in runs that a chain can hold."""
        parts = next(n for n in range(max(1, -(-self.length // CHAIN)), self.length + 1) if self.length % n == 0)
        begin = np.arange(parts) * (self.length // parts)
        a, b = (np.add.outer(at, begin * by).ravel() for at, by in ((self.a, self.a_step), (self.b, self.b_step)))
        return Steps(a, b, self.length // parts, self.a_step, self.b_step)


class Plan(NamedTuple):
    """What the product kernel needs beside the operands."""

    a_runs: np.ndarray
    b_runs: np.ndarray
    jobs: np.ndarray
    grid: np.ndarray
    items: int
    covered: bool = True  # whether every element of the result is written rather than added to


def runs(seen: np.ndarray, period: int) -> list[Run]:
    """The runs of a table (positions, places) of what is seen, -1 for nothing, by positions `period` apart."""
    found: list[Run] = []
    for residue in range(min(period, len(seen))):
        last: tuple[int, ...] = ()  # what the position before sees
        for position in range(residue, len(seen), period):
            places = tuple(np.flatnonzero(seen[position] >= 0).tolist())
            sources = tuple(seen[position, list(places)].tolist())
            run = found[-1] if found and position > residue else None
            if run is not None and run.places == places:
                apart = sources[0] - last[0] if sources and last else 0
                found[-1] = run._replace(length=run.length + 1, apart=apart)
            else:
                found.append(Run(position, period, 1, places, sources, 0))
            last = sources
    return found


def blocks_of(count: int, size: int) -> tuple[int, int, int]:
    """`count` images in blocks of at most `size`, nearly equal: blocks, images in each but the last, images in that."""
    blocks = -(-count // max(1, size))
    size = -(-count // blocks)
    blocks = -(-count // size)
    return blocks, size, count - (blocks - 1) * size


def plan(steps: list[Steps], jobs: Sequence[list[Job]], grid: Grid, covered: bool = True) -> Plan:
    """The tables; the jobs are those of every block but the last, and of that."""
    a, b = ([step[side] for step in steps] for side in (0, 1))
    a_runs, b_runs = (np.concatenate([np.zeros(0, np.int64), *parts]) for parts in (a, b))
    grid = grid._replace(jobs=len(jobs[0]))
    return Plan(a_runs, b_runs, table([*jobs[0], *jobs[1]]), np.array(grid, np.int64), grid.items, covered)


def _cost(rows: int, single: bool) -> float:
    """Time of so many rows, cut into tiles; one of few rows waits for its own sums."""
    most, wait = (SINGLE_ROWS, 7.0) if single else (ROWS, 3.5)
    tiles = -(-rows // most)
    return sum(max(h, wait + 0.35 * h) for h in (rows * (t + 1) // tiles - rows * t // tiles for t in range(tiles)))


def _loops(axes: list[tuple[int, int, int]], single: bool) -> dict[str, int]:
    """The loops of a job over three axes (length, stride in a, stride in c), innermost last; `single`: of tiles one
    register wide.
    """
    merged: list[tuple[int, int, int]] = []
    for axis in axes:
        length, a, c = axis
        if merged and merged[-1][1:] == (length * a, length * c):  # no gaps: one axis
            merged[-1] = (merged[-1][0] * length, a, c)
        else:
            merged.append(axis)
    best = min(reversed(merged), key=lambda axis: _cost(axis[0], single) / axis[0])
    merged.remove(best)
    outer, inner = [*[(1, 0, 0)] * 2, *merged][-2:]
    loops = {"rows": best[0], "a_row": best[1], "c_row": best[2]}
    loops |= {"outer": outer[0], "a_outer": outer[1], "c_outer": outer[2]}
    return loops | {"inner": inner[0], "a_inner": inner[1], "c_inner": inner[2]}


def _rectangles(axes: Iterable[list[Run]], width: int) -> Iterator[tuple[Run, Run]]:
    """Each run of rows with each of columns, but with all columns at once where the rows see nothing."""
    down, across = axes
    whole = [Run(0, 1, width, (), (), 0)]
    for v in down:
        for h in across if v.places else whole:
            yield v, h


def _terms(v: Run, h: Run, source: Extents, sums: int, window: int, layout: Layout) -> Steps:
    """What the pixels of a rectangle sum over: runs of a place's channels, or of those of all places in a row."""
    beside, by_channel = h.between * source.channels, sums * layout.channel
    if len(h.places) > 1 and beside and (sums == 1 or (beside == sums and layout.place == by_channel)):
        starts = [(y, h.sources[0], ky, h.places[0]) for y, ky in zip(v.sources, v.places, strict=True)]
        step = (beside, layout.place) if sums == 1 else (1, layout.channel)
        length = sums * len(h.places)
    else:
        pairs = product(zip(v.sources, v.places, strict=True), zip(h.sources, h.places, strict=True))
        starts, length, step = [(y, x, ky, kx) for (y, ky), (x, kx) in pairs], sums, (1, layout.channel)
    a = np.array([source.at(y, x) for y, x, _, _ in starts], np.int64)
    b = np.array([(ky * window + kx) * layout.place for _, _, ky, kx in starts], np.int64)
    return Steps(a, b, length, *step).cut()


def sliding(
    axes: Iterable[list[Run]],
    source: Extents,
    target: Extents,
    count: int,
    groups: int,
    window: int,
    layout: Layout,
    itemsize: int,
) -> Plan:
    """The target's pixels from the source's, by windows `window` wide; a rectangle of pixels is a job.

    Every target channel of a group sums over the group's source channels.
    """
    columns = target.channels // groups
    sums = source.channels // groups
    panels = -(-columns // layout.width)
    most = min(ROWS, BLOCK_BYTES // (source.image * itemsize), count * groups * panels // BLOCKS)
    blocks, size, last = blocks_of(count, most)
    steps, jobs, first = [], ([], []), 0
    for v, h in _rectangles(axes, target.width):
        terms = _terms(v, h, source, sums, window, layout)
        at = target.at(v.start, h.start)
        for images, found in zip((size, last), jobs, strict=True):
            loops = _loops(
                [
                    (images, source.image, target.image),
                    (v.length, source.at(v.apart, 0), target.at(v.step, 0)),
                    (h.length, source.at(0, h.apart), target.at(0, h.step)),
                ],
                single=columns * itemsize <= REGISTER,
            )
            found.append(Job(columns=columns, first=first, runs=len(terms.a), c=at, **terms.strides, **loops))
        steps.append(terms)
        first += len(terms.a)
    grid = Grid(
        *(blocks, groups, panels, 1, 0, layout.width, size * source.image, 0, size * target.image),
        *(sums, layout.group, columns, 0, layout.panel),
    )
    return plan(steps, jobs, grid)
