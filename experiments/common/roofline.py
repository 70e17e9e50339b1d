"""The roofline figure: how many operations a second a primitive does, against how many it does for each byte."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from minidl import plot

from .limits import Limits
from .primitives import BOTH, FAMILIES, STEP
from .speed_table import Measured

MARKERS = dict(zip(FAMILIES, "os^Dv", strict=True))
COLORS = dict(zip(FAMILIES, plot.COLORS, strict=False))
WIDTH, HEIGHT = 14.0, 9.0  # inches
LINE = 0.0195  # of the key's height


def draw(rows: Sequence[Measured], limits: Limits, path: Path) -> None:
    """A point for each primitive's kernels, forward and backward together, numbered as in the key; a dash: PyTorch."""
    rows = [row for row in rows if row.form in (BOTH, STEP)]
    figure = plot.new_figure(WIDTH, HEIGHT)
    axes, key = figure.subplots(1, 2, width_ratios=(3, 1.05))
    intensities = np.array([row.work.flops / (row.work.reads + row.work.writes) for row in rows])
    rates = np.array([row.work.flops / row.kernel_seconds for row in rows]) / 1e9
    span = intensities.min() / 2, max(intensities.max(), 20) * 2
    top = max(limits.peak / 1e9 * 1.6, rates.max() * 1.3)  # Winograd's convolutions do with fewer operations
    theirs = [row.work.flops / min(row.torch_seconds.values()) / 1e9 for row in rows if row.torch]
    axes.set(xscale="log", yscale="log", xlim=span, ylim=(min([*rates, *theirs]) / 2, top))
    _draw_limits(axes, limits, span)
    for row, x, y in zip(rows, intensities, rates, strict=True):
        color = COLORS[row.primitive.family]
        axes.plot(x, y, MARKERS[row.primitive.family], color=color, markersize=5)
        if row.torch:
            theirs = row.work.flops / min(row.torch_seconds.values()) / 1e9
            axes.plot([x, x], [y, theirs], color=color, linewidth=0.6, alpha=0.5)
            axes.plot(x, theirs, "_", color=color, markersize=7)
    _number(axes, intensities, rates, [COLORS[row.primitive.family] for row in rows])
    torch = ", and PyTorch's better layout (dash)" if any(row.torch for row in rows) else ""
    axes.set_title(f"Forward and backward on {limits.threads} threads, float32: minidl's kernels (point){torch}")
    axes.set(xlabel="operations for each byte (FLOP/B)", ylabel="operations a second (GFLOP/s)")
    axes.grid(alpha=0.2, which="major")
    _draw_key(key, rows)
    plot.save(figure, path)


def _draw_limits(axes: Any, limits: Limits, span: tuple[float, float]) -> None:
    """The peaks as level lines, the bandwidths as slopes up to the peak."""
    peak = limits.peak / 1e9
    for value, text in ((peak, f"{limits.threads} threads"), (limits.one_thread / 1e9, "1 thread")):
        axes.axhline(value, color="black", linewidth=1, linestyle="-" if value == peak else ":")
        axes.annotate(f"{value:.0f} GFLOP/s, {text}", (span[0], value), (4, 3), textcoords="offset points", fontsize=8)
    for level, name, style in ((limits.levels[0], "level 2 cache", "--"), (limits.levels[-1], "DRAM", "-.")):
        for bandwidth in (level.read, level.copy):
            ends = np.array([span[0], limits.peak / bandwidth])
            axes.plot(ends, ends * bandwidth / 1e9, color="black", linewidth=1, linestyle=style, alpha=0.6)
        slope = 1.3 * max(level.read, level.copy) / 1e9  # of the text, above the line
        at = max(span[0], axes.get_ylim()[0] / slope) * 1.15
        axes.text(
            at,
            at * slope,
            f"{name}: {level.read / 1e9:.0f} GB/s read, {level.copy / 1e9:.0f} copied",
            fontsize=8,
            rotation=math.degrees(math.atan(slope)),
            rotation_mode="anchor",
            transform_rotates_text=True,
            clip_on=True,
        )


def _number(axes: Any, x: np.ndarray, y: np.ndarray, colors: Sequence[str]) -> None:
    """A number beside each point, where no other point or number is, as far as there is such a place."""
    extent = np.array([(WIDTH * 0.7, HEIGHT * 0.85)]) * 72  # of the axes, about, in points
    spans = np.log([axes.get_xlim(), axes.get_ylim()])
    points = (np.log(np.column_stack([x, y])) - spans[:, 0]) / (spans[:, 1] - spans[:, 0]) * extent
    angles = np.arange(0, 2 * np.pi, np.pi / 6)
    circle = np.column_stack([np.cos(angles), np.sin(angles)])
    offsets = np.concatenate([radius * circle for radius in (10, 15, 21, 28)])
    taken = list(points)
    for i, point in enumerate(points):
        clear = [np.linalg.norm(np.array(taken) - point - offset, axis=1).min() for offset in offsets]
        place = next((k for k, gap in enumerate(clear) if gap > 9.5), int(np.argmax(clear)))
        taken.append(point + offsets[place])
        line = (
            {"arrowstyle": "-", "linewidth": 0.4, "color": colors[i]} if np.linalg.norm(offsets[place]) > 12 else None
        )
        axes.annotate(
            str(i + 1),
            (x[i], y[i]),
            offsets[place],
            textcoords="offset points",
            ha="center",
            va="center",
            fontsize=7.5,
            color=colors[i],
            arrowprops=line,
        )


def _draw_key(axes: Any, rows: Sequence[Measured]) -> None:
    """What each number stands for, by family."""
    axes.axis("off")
    line, family = 0, ""
    for i, row in enumerate(rows):
        color = COLORS[row.primitive.family]
        if row.primitive.family != family:
            family = row.primitive.family
            line += bool(line)
            axes.plot(0.03, 1 - line * LINE, MARKERS[family], color=color, markersize=6, clip_on=False)
            axes.text(0.08, 1 - line * LINE, family, color=color, fontsize=9, va="center", weight="bold")
            line += 1
        ratio = f", {row.ratio:.2f}" if row.torch else ""
        text = f"{i + 1:>2}  {row.primitive.layer} {row.primitive.label}{ratio}"
        axes.text(0.02, 1 - line * LINE, text, color=color, fontsize=7.5, va="center")
        line += 1
    if any(row.torch for row in rows):
        note = "last figure: a call's time against PyTorch's"
        axes.text(0.02, 1 - (line + 1) * LINE, note, fontsize=7.5, va="center")
    axes.set(xlim=(0, 1), ylim=(0, 1 + LINE))
