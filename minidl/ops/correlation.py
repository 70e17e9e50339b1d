"""The gradient of a convolution's weight as jobs for the product kernel: sums over pixels, place by place.

For every rectangle of pixels that see the same places of the window, and every row of those places, a job sums the
products of source and target over the pixels. Sums over blocks of images are apart, and then added in order.
"""

from collections.abc import Iterable, Iterator
from itertools import product

import numpy as np

from ..kernels.product import ADD, CHAIN, WRITE, Grid, Job
from .windows import BLOCKS, Extents, Plan, Run, Steps, blocks_of, plan

BLOCK_PIXELS = 1024  # that a partial sum takes at least: adding them then costs little


def correlating(
    axes: Iterable[list[Run]],
    source: Extents,
    target: Extents,
    count: int,
    groups: int,
    window: tuple[int, int],
    width: int,
    turned: bool,
) -> Plan:
    """Partial sums by blocks of images. Rows are the group's target channels, columns the source's, in the order of the
    weight's memory, as many places of the window as lie side by side at once; `turned`, the other way around.
    """
    sums, outputs = source.channels // groups, target.channels // groups
    most = max(-(-BLOCK_PIXELS // (target.height * target.width)), -(-count // BLOCKS))
    blocks, *sizes = blocks_of(count, most)
    apart = (source.image, target.image) if turned else (target.image, source.image)
    steps, jobs, first, covered = [], ([], []), 0, False
    rectangles = [(v, h) for v, h in product(*axes) if v.places and h.places]
    for v, h in sorted(rectangles, key=lambda r: -len(r[0].places) * len(r[1].places)):
        together = min(sizes[0], max(1, CHAIN // (v.length * h.length)))
        terms = _pixels(v, h, source, target, together, turned)
        places = (_turned if turned else _straight)(v, h, source, sums, outputs, groups, window)
        alike = [Job(first=first, runs=len(terms.a), **terms.strides, **place) for place in places]
        complete = len(v.places) * len(h.places) == window[0] * window[1]
        for images, found in zip(sizes, jobs, strict=True):
            found += _over_images(alike, images, together, apart, WRITE if complete and not covered else ADD)
        covered = covered or complete
        first += len(terms.a)
        steps.append(terms)
    weight = window[0] * window[1] * sums * outputs
    across = (sums, outputs, outputs) if turned else (outputs, sums, weight)
    panels = -(-(outputs if turned else window[1] * sums) // width)
    grid = Grid(blocks, groups, panels, panels if blocks * groups >= BLOCKS else 1, width=width)
    grid = grid._replace(a_block=sizes[0] * apart[0], b_block=sizes[0] * apart[1], c_block=weight * groups)
    grid = grid._replace(**dict(zip(("a_group", "b_group", "c_group"), across, strict=True)))
    # Image by image, so that one is still in the cache when its next job comes; the complete rectangle's writes first.
    in_order = [[job for _, job in sorted(of_block, key=lambda entry: entry[0])] for of_block in jobs]
    return plan(steps, in_order, grid._replace(b_panel=width), covered)


def _over_images(
    jobs: list[Job], images: int, together: int, apart: tuple[int, int], mode: int
) -> Iterator[tuple[int, Job]]:
    """Each job, whose terms are those of `together` images, for so many images, and which image it begins with."""
    for start in range(0, images, together):
        for job in jobs:
            runs = job.runs // together * min(together, images - start)
            a, b = job.a + start * apart[0], job.b + start * apart[1]
            yield start, job._replace(a=a, b=b, runs=runs, mode=ADD if start else mode)


def _pixels(v: Run, h: Run, source: Extents, target: Extents, images: int, turned: bool) -> Steps:
    """Where the pixels of a rectangle lie in the target, and in the source what they see at its first place.

    Runs follow the longer side of the rectangle.
    """
    down = target.at(v.step, 0), source.at(v.apart, 0)
    across = target.at(0, h.step), source.at(0, h.apart)
    first = target.at(v.start, h.start), source.at(v.sources[0], h.sources[0])
    (length, along), (others, between) = (h.length, across), (v.length, down)
    if others > length:
        (length, along), (others, between) = (others, between), (length, along)
    starts = [
        first[side] + np.add.outer(np.arange(images) * extents.image, np.arange(others) * between[side]).ravel()
        for side, extents in enumerate((target, source))
    ]
    a, b = (1, 0) if turned else (0, 1)
    return Steps(starts[a], starts[b], length, along[a], along[b]).cut()


def _straight(
    v: Run, h: Run, source: Extents, sums: int, outputs: int, groups: int, window: tuple[int, int]
) -> Iterator[dict[str, int]]:
    """Rows and columns for each row of the window and, unless they lie side by side, each place in it."""
    beside = len(h.places) == 1 or (groups == 1 and h.between == 1)
    for ky, sy in zip(v.places, v.sources, strict=True):
        for kx, sx in list(zip(h.places, h.sources, strict=True))[: 1 if beside else None]:
            at = source.at(sy - v.sources[0], sx - h.sources[0])
            columns = sums * (len(h.places) if beside else 1)
            rows = {
                "rows": outputs,
                "a_row": 1,
                "c": ky * window[1] * sums,
                "c_row": window[0] * window[1] * sums,
            }
            yield {**rows, "columns": columns, "left": kx * sums, "b": at - kx * sums}


def _turned(
    v: Run, h: Run, source: Extents, sums: int, outputs: int, groups: int, window: tuple[int, int]
) -> Iterator[dict[str, int]]:
    """The same with the places and the source's channels as rows."""
    assert groups == 1
    beside = len(h.places) == 1 or (h.between and (sums == 1 or h.between * source.channels == sums))
    apart = h.between * source.channels if sums == 1 else 1
    for ky, sy in zip(v.places, v.sources, strict=True):
        for kx, sx in list(zip(h.places, h.sources, strict=True))[: 1 if beside else None]:
            at = source.at(sy - v.sources[0], sx - h.sources[0])
            rows = sums * (len(h.places) if beside else 1)
            c = (ky * window[1] + kx) * sums * outputs
            yield {"rows": rows, "a_row": apart, "columns": outputs, "a": at, "c": c, "c_row": outputs}
