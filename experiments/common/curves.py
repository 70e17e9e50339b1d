"""The table and the figure of a set of arms."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from minidl import plot

from .networks import NORMS
from .runs import Arm
from .statistics import first_reached, half_width

COLORS = dict(zip(NORMS, plot.COLORS, strict=False))
HEADERS = (
    "network",
    "norm",
    "rate",
    "final training loss",
    "test accuracy, %",
    "median, %",
    "steps to plain's",
    "seconds",
)
SHOWN_POINTS = 35  # of accuracy, below the best
NOTES = """\
final training loss: mean over the last epoch. mean ± half its 95% t interval, over seeds.
steps to plain's: the first tested step at which the median of three successive test accuracies is at least the median
final one of the network without normalization; median over seeds, and as a part of all steps. For the network without
normalization itself that is all its steps, by definition."""


def summarise(arms: Sequence[Arm]) -> list[dict[str, Any]]:
    """The numbers of the table: means with half widths of their 95% intervals, medians, steps to plain's accuracy."""
    finals = {arm.network.name: _median_accuracy(arm) for arm in arms if arm.norm == "none"}
    rows = []
    for arm in arms:
        losses = [run.final_loss for run in arm.runs]
        accuracies = [run.test_accuracy[-1] for run in arm.runs]
        target = finals.get(arm.network.name, math.nan)
        reached = [first_reached(run.steps, run.test_accuracy, target) for run in arm.runs]
        if arm.norm == "none":  # by definition
            reached = [run.steps[-1] for run in arm.runs]
        rows.append(
            {
                "final_training_loss": float(np.mean(losses)),
                "final_training_loss_half_width": half_width(losses),
                "test_accuracy": float(np.mean(accuracies)),
                "test_accuracy_half_width": half_width(accuracies),
                "test_accuracy_median": float(np.median(accuracies)),
                "plain_accuracy": target,
                "steps": arm.runs[0].steps[-1],
                "steps_to_plain_accuracy": float(np.median(reached)),
                "seconds": arm.seconds,
            }
        )
    return rows


def _median_accuracy(arm: Arm) -> float:
    return float(np.median([run.test_accuracy[-1] for run in arm.runs]))


def table(arms: Sequence[Arm], summaries: Sequence[dict[str, Any]]) -> str:
    """The table as text."""
    rows = [HEADERS, *(_cells(arm, row) for arm, row in zip(arms, summaries, strict=True))]
    widths = [max(len(row[i]) for row in rows) for i in range(len(HEADERS))]
    lines = [
        "  ".join(c.ljust(w) if i < 2 else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True)))
        for row in rows
    ]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:], "", NOTES])


def _cells(arm: Arm, row: dict[str, Any]) -> tuple[str, ...]:
    reached, steps = row["steps_to_plain_accuracy"], row["steps"]
    if math.isnan(row["plain_accuracy"]):
        shown = "-"
    else:
        shown = "not reached" if reached == math.inf else f"{reached:,.0f} ({reached / steps:.0%})"
    return (
        arm.network.name,
        arm.norm,
        f"{arm.rate:g}",
        _interval(row["final_training_loss"], row["final_training_loss_half_width"], 4),
        _interval(100 * row["test_accuracy"], 100 * row["test_accuracy_half_width"], 2),
        f"{100 * row['test_accuracy_median']:.2f}",
        shown,
        f"{row['seconds']:.1f}",
    )


def _interval(value: float, half: float, digits: int) -> str:
    return f"{value:.{digits}f}" + ("" if math.isnan(half) else f" ± {half:.{digits}f}")


def draw(arms: Sequence[Arm], title: str, path: Path) -> None:
    """Training loss and test accuracy against steps, a row of panels for each network."""
    names = list(dict.fromkeys(arm.network.name for arm in arms))
    seeds = len(arms[0].runs)
    explained = f"lines: median of {seeds} seeds; bands: lowest to highest; " if seeds > 1 else ""
    figure = plot.new_figure(10, 0.8 + 3.5 * len(names))
    figure.suptitle(f"{title}\n{explained}losses smoothed, in the background the raw loss of seed 0", fontsize=11)
    panels = figure.subplots(len(names), 2, squeeze=False)
    for name, (left, right) in zip(names, panels, strict=True):
        group = [arm for arm in arms if arm.network.name == name]
        _draw_group(group, left, right)
    plot.save(figure, path)


def _draw_group(group: Sequence[Arm], left: Any, right: Any) -> None:
    """The arms of one network: losses on the left, accuracies on the right."""
    for arm in group:
        color, label = COLORS[arm.norm], f"{NORMS[arm.norm]}, rate {arm.rate:g}"
        plot.draw_losses(left, np.array([run.history.loss for run in arm.runs]), label, color)
        accuracies = 100 * np.array([run.test_accuracy for run in arm.runs])
        plot.draw_band(right, np.array(arm.runs[0].steps), accuracies, label, color, marker="o")
    network = group[0].network
    plot.log_scale(left)
    left.set(title=f"{network.title}, {network.activation}: training loss", ylabel="mini-batch cross-entropy (nats)")
    right.set(title=f"{network.title}, {network.activation}: test accuracy", ylabel="test accuracy (%)")
    best = max(run.test_accuracy[-1] for arm in group for run in arm.runs)
    right.set_ylim(bottom=max(0, 100 * best - SHOWN_POINTS))  # the early steps, at 10%, would flatten all the rest
    for axes, corner in ((left, "upper right"), (right, "lower right")):
        axes.set_xlabel(f"training step (mini-batches of {network.batch_size})")
        axes.legend(frameon=False, loc=corner)
        axes.grid(alpha=0.2)
