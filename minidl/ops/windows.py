"""Convolution as jobs for the product kernel: which pixels see which places of the window, and where all of that lies.

Along one axis, neighbouring windows that stick out of the image by the same places form a run; a run of rows and a run
of columns are a rectangle of pixels that sum over the same places. The inside of the image is one, each edge and corner
another: no image is padded, nothing is multiplied by padding, and strides and dilations are strides of memory.
"""

from collections.abc import Iterator
from itertools import product
from typing import NamedTuple

import numpy as np

from ..kernels.product import ADD, CHAIN, SUM_OUTER, Grid, Job, table
from ..kernels.simd import ROWS

BLOCK_BYTES = 1 << 18  # of images that are worked on together: they stay in the second-level cache
BLOCKS = 16  # of images, at least: fewer could not be shared evenly between threads
BLOCK_PIXELS = 1024  # that a partial sum of the weight's gradient takes at least: merging them then costs little
MOST_PARTIAL = 16  # partial sums of the weight's gradient


_NO_STEPS = np.zeros(0, np.int64)


class Run(NamedTuple):
    """Positions start, start + step, ... of one axis whose windows have the same places inside the other image."""

    start: int
    step: int
    length: int
    places: tuple[int, ...]  # of the window
    sources: tuple[int, ...]  # what the first position sees there; every next one sees what lies `apart` further
    apart: int


class Extents(NamedTuple):
    """Extents of a batch of images in memory, channels last."""

    height: int
    width: int
    channels: int

    @property
    def image(self) -> int:
        """Elements of an image."""
        return self.height * self.width * self.channels


class Plan(NamedTuple):
    """What the product kernel needs beside the operands."""

    a_steps: np.ndarray
    b_steps: np.ndarray
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


def _cost(rows: int) -> float:
    """Time of so many rows, cut into tiles: a tile of fewer than six waits for its own sums."""
    tiles = -(-rows // ROWS)
    return sum(max(h, 3.5 + 0.35 * h) for h in (rows * (t + 1) // tiles - rows * t // tiles for t in range(tiles)))


def _grid_of_rows(axes: list[tuple[int, int, int]]) -> dict[str, int]:
    """The loops of a job over three axes (count, stride in a, stride in c), innermost last."""
    merged: list[tuple[int, int, int]] = []
    for axis in axes:
        count, a, c = axis
        if merged and merged[-1][1:] == (count * a, count * c):  # no gaps: one axis
            merged[-1] = (merged[-1][0] * count, a, c)
        else:
            merged.append(axis)
    best = min(reversed(merged), key=lambda axis: _cost(axis[0]) / axis[0])
    merged.remove(best)
    outer, inner = [*[(1, 0, 0)] * 2, *merged][-2:]
    loops = {"rows": best[0], "a_row": best[1], "c_row": best[2]}
    loops |= {"outer": outer[0], "a_outer": outer[1], "c_outer": outer[2]}
    return loops | {"inner": inner[0], "a_inner": inner[1], "c_inner": inner[2]}


def _blocks(count: int, size: int) -> tuple[int, int]:
    """`count` images in blocks of at most `size`, nearly equal: how many blocks, and images in each but the last."""
    blocks = -(-count // size)
    size = -(-count // blocks)
    return -(-count // size), size


def sliding(
    down: list[Run],
    across: list[Run],
    source: Extents,
    target: Extents,
    count: int,
    groups: int,
    window: int,
    strides: tuple[int, int, int, int],
    width: int,
    itemsize: int,
) -> Plan:
    """The target's pixels from the source's, by windows `window` wide; a rectangle of them is a job.

    `strides` of the right operand: of places of the window, of source channels, of groups and of panels.
    """
    by_place, by_channel, by_group, by_panel = strides
    sums, columns = source.channels // groups, target.channels // groups
    panels = groups * -(-columns // width)
    most = min(ROWS, BLOCK_BYTES // (source.image * itemsize), count * panels // BLOCKS)
    blocks, size = _blocks(count, max(1, most))
    a_steps, b_steps, jobs = [], [], ([], [])  # jobs of every block but the last, and of that
    first, channel = 0, np.arange(sums)
    for v, h in product(down, across):
        seen = [(y * source.width + x) * source.channels for y, x in product(v.sources, h.sources)]
        places = [(ky * window + kx) * by_place for ky, kx in product(v.places, h.places)]
        a_steps += [at + channel for at in seen]
        b_steps += [at + channel * by_channel for at in places]
        start = (v.start * target.width + h.start) * target.channels
        for images, found in zip((size, count - (blocks - 1) * size), jobs, strict=True):
            loops = _grid_of_rows(
                [
                    (images, source.image, target.image),
                    (v.length, v.apart * source.width * source.channels, v.step * target.width * target.channels),
                    (h.length, h.apart * source.channels, h.step * target.channels),
                ]
            )
            found.append(Job(columns=columns, first=first, terms=len(seen) * sums, c=start, **loops))
        first += len(seen) * sums
    grid = Grid(
        *(blocks, groups, panels // groups, len(jobs[0]), width),
        *(size * source.image, 0, size * target.image),
        *(sums, by_group, columns, by_panel),
    )
    return _plan(a_steps, b_steps, jobs, grid)


def _plan(
    a_steps: list[np.ndarray],
    b_steps: list[np.ndarray],
    jobs: tuple[list[Job], list[Job]],
    grid: Grid,
    covered: bool = True,
) -> Plan:
    a, b = (np.concatenate([_NO_STEPS, *parts]) for parts in (a_steps, b_steps))
    items = grid.blocks * grid.groups * grid.panels
    return Plan(a, b, table([*jobs[0], *jobs[1]]), np.array(grid, np.int64), items, covered)


def correlating(
    down: list[Run],
    across: list[Run],
    source: Extents,
    target: Extents,
    count: int,
    groups: int,
    window: tuple[int, int],
    width: int,
) -> Plan:
    """The weight's gradient, partial sums by blocks of images: rows are the target's channels, terms its pixels.

    Columns are the source's channels, and as many places of the window as lie side by side in memory.
    """
    sums, outputs = source.channels // groups, target.channels // groups
    pixels = target.height * target.width
    blocks, size = _blocks(count, max(-(-BLOCK_PIXELS // pixels), -(-count // MOST_PARTIAL)))
    a_steps, b_steps, jobs = [], [], ([], [])  # jobs of every block but the last, and of that
    first, covered = 0, False
    rectangles = [(v, h) for v, h in product(down, across) if v.places and h.places]
    rectangles.sort(key=lambda r: -len(r[0].places) * len(r[1].places))
    for v, h in rectangles:
        together = max(1, CHAIN // (v.length * h.length))
        a, b = _pixels(v, h, source, target, min(together, size))
        complete = len(v.places) * len(h.places) == window[0] * window[1]
        for images, found in zip((size, count - (blocks - 1) * size), jobs, strict=True):
            mode = SUM_OUTER if complete and not covered else ADD
            for part in _parts(images, together):
                for job in _weight_jobs(v, h, source, sums, groups, window):
                    steps = {"first": first, "terms": part[1] * v.length * h.length, "outer": part[2], "mode": mode}
                    spans = {"a_outer": part[1] * target.image, "b_outer": part[1] * source.image}
                    starts = {"a": part[0] * target.image, "b": part[0] * source.image + job["b"]}
                    rows = {"rows": outputs, "a_row": 1, "c_row": window[0] * window[1] * sums}
                    found.append(Job(**{**job, **steps, **spans, **starts, **rows}))
                mode = ADD
        covered = covered or complete
        first += len(a)
        a_steps.append(a)
        b_steps.append(b)
    weight = target.channels * window[0] * window[1] * sums
    panels = -(-window[1] * sums // width)
    grid = Grid(
        *(blocks, groups, panels, len(jobs[0]), width),
        *(size * target.image, size * source.image, weight),
        *(outputs, sums, outputs * window[0] * window[1] * sums, width),
    )
    return _plan(a_steps, b_steps, jobs, grid, covered)


def _parts(images: int, together: int) -> Iterator[tuple[int, int, int]]:
    """Images in groups whose pixels are summed in one go: (first image, images in a group, groups)."""
    together = min(together, images)
    if images // together:
        yield 0, together, images // together
    if images % together:
        yield images - images % together, images % together, 1


def _pixels(v: Run, h: Run, source: Extents, target: Extents, images: int) -> tuple[np.ndarray, np.ndarray]:
    """Where the pixels of a rectangle lie in the target, and in the source what they see at its first place."""
    n, y, x = (np.arange(count)[:, None, None] for count in (images, v.length, h.length))
    y, x = y.reshape(1, -1, 1), x.reshape(1, 1, -1)
    to = ((v.start + v.step * y) * target.width + h.start + h.step * x) * target.channels
    from_ = ((v.sources[0] + v.apart * y) * source.width + h.sources[0] + h.apart * x) * source.channels
    return (n * target.image + to).ravel(), (n * source.image + from_).ravel()


def _weight_jobs(v: Run, h: Run, source: Extents, sums: int, groups: int, window: tuple[int, int]) -> Iterator[dict]:
    """Where the columns begin, for each row of the window and, unless they lie side by side, each place in it."""
    beside = groups == 1 and all(b - a == 1 for a, b in zip(h.sources, h.sources[1:], strict=False))
    for ky, sy in zip(v.places, v.sources, strict=True):
        for kx, sx in list(zip(h.places, h.sources, strict=True))[: 1 if beside else None]:
            at = (sy - v.sources[0]) * source.width + sx - h.sources[0]
            columns = sums * (len(h.places) if beside else 1)
            yield {
                "columns": columns,
                "left": kx * sums,
                "b": at * source.channels - kx * sums,
                "c": ky * window[1] * sums,
            }
