"""Figures of training runs. Matplotlib is imported when a figure is first drawn, and no global state of it is used."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .files import writing
from .train.history import History

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLORS = ("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")  # Okabe & Ito's: told apart by everyone
Runs = History | Sequence[History]


def loss_curves(
    histories: Runs | Mapping[str, Runs], path: str | os.PathLike[str], title: str = "Training loss"
) -> None:
    """Draw the loss against the steps: of one run, of several seeds, or of each name's runs in a dict.

    The raw loss of a name's first run is faint; before it stand the median of the smoothed losses and a band from the
    lowest to the highest. Runs of unequal length are drawn as far as the shortest goes.

    >>> loss_curves({"plain": plain_runs, "batch norm": bn_runs}, "curves.png")

    Raises:
        TypeError: something given is no History.
        ValueError: there is nothing to draw, or the ending of `path` is not that of a format.
    """
    named = histories if isinstance(histories, Mapping) else {"": histories}
    losses = {name: _losses(name, runs) for name, runs in named.items()}
    if not losses:
        raise ValueError("loss_curves: expected at least one History, got an empty dict")
    figure = new_figure(7, 4.5)
    axes = figure.add_subplot(title=title, xlabel="step", ylabel="loss")
    for i, (name, runs) in enumerate(losses.items()):
        draw_losses(axes, runs, name, COLORS[i % len(COLORS)])
    if any(losses):
        axes.legend(frameon=False)
    axes.grid(alpha=0.2)
    save(figure, path)


def _losses(name: str, runs: Any) -> np.ndarray:
    """The losses of several runs, (S, T)."""
    runs = [runs] if isinstance(runs, History) else list(runs) if isinstance(runs, list | tuple) else runs
    if not isinstance(runs, list) or not all(isinstance(run, History) for run in runs):
        kind = [type(run).__name__ for run in runs] if isinstance(runs, list) else type(runs).__name__
        raise TypeError(f"loss_curves: expected a History or a list of them, got {kind}")
    shortest = min((len(run.loss) for run in runs), default=0)
    if not shortest:
        raise ValueError(f"loss_curves: expected runs with at least one step, got {len(runs)} with none ({name!r})")
    return np.array([run.loss[:shortest] for run in runs])


def new_figure(width: float, height: float) -> "Figure":
    """An empty figure of this size in inches, without a window."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=150, layout="constrained")


def save(figure: "Figure", path: str | os.PathLike[str]) -> None:
    """Write a figure, all at once; the name's ending decides the format.

    Raises:
        ValueError: it is not that of a format.
    """
    formats = figure.canvas.get_supported_filetypes()
    if Path(path).suffix[1:].lower() not in formats:
        raise ValueError(
            f"plot: expected a file name that ends in .{', .'.join(sorted(formats))}, got {os.fspath(path)!r}"
        )
    with writing(path) as temporary:
        figure.savefig(temporary)


def smooth(values: np.ndarray, window: int) -> np.ndarray:
    """The mean of the `window` values around each one (an odd number, at most T; at both ends, of those there are).

    Shape:
        (S, T) to the same.
    """
    weights = np.ones(window)
    finite = np.where(np.isfinite(values), values, np.nan)
    # each window by itself: a running sum would carry NaN, and the rounding of a spike, on to the end
    sums = np.array([np.convolve(row, weights, "same") for row in finite])
    return sums / np.convolve(np.ones(values.shape[-1]), weights, "same")


def log_scale(axes: "Axes") -> None:
    """A logarithmic vertical axis with plain numbers at 1, 2 and 5 of each decade."""
    from matplotlib.ticker import LogLocator, NullFormatter

    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter(NullFormatter())


def draw_losses(axes: "Axes", losses: np.ndarray, label: str, color: str) -> None:
    """The losses of several runs, (S, T): the first one's raw, faint, behind the band of all, smoothed."""
    count = losses.shape[1]
    steps = np.arange(1, count + 1)
    axes.plot(steps, losses[0], color=color, alpha=0.18, linewidth=0.5)
    draw_band(axes, steps, smooth(losses, window=2 * (count // 100) + 1), label, color)


def draw_band(axes: "Axes", x: np.ndarray, curves: np.ndarray, label: str, color: str, marker: str = "") -> None:
    """The median of several curves, (S, T), as a line, and the band from the lowest to the highest."""
    axes.fill_between(x, curves.min(axis=0), curves.max(axis=0), color=color, alpha=0.2, linewidth=0)
    axes.plot(x, np.median(curves, axis=0), color=color, linewidth=1.5, label=label, marker=marker, markersize=3)
