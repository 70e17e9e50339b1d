"""Medians, intervals and the like, over seeds."""

import math
from collections.abc import Sequence

import numpy as np


def half_width(values: Sequence[float]) -> float:
    """Half the 95% t interval of the mean: t(n - 1) s / sqrt(n); NaN for a single value."""
    if len(values) < 2:
        return math.nan
    return t_quantile(len(values) - 1) * float(np.std(values, ddof=1)) / math.sqrt(len(values))


def t_quantile(degrees: int) -> float:
    """The t that a Student variable stays within, on either side, with probability 95%, by bisection."""
    low, high = 0.0, 20.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _within(middle, degrees) < 0.95 else (low, middle)
    return (low + high) / 2


def _within(t: float, degrees: int) -> float:
    """P(|T| <= t): Abramowitz & Stegun, "Handbook of mathematical functions" (1964), 26.7.3 and 26.7.4."""
    angle = math.atan(t / math.sqrt(degrees))
    odd = degrees % 2
    term = total = math.cos(angle) if odd else 1.0
    for k in range(2 + odd, degrees - 1, 2):
        term *= math.cos(angle) ** 2 * (k - 1) / k
        total += term
    if not odd:
        return math.sin(angle) * total
    return 2 / math.pi * (angle + (math.sin(angle) * total if degrees > 1 else 0.0))


def first_reached(steps: Sequence[int], values: Sequence[float], target: float) -> float:
    """The first step at which the median of three successive values is at least `target`; infinity if none is."""
    for i in range(2, len(values)):
        if np.median(values[i - 2 : i + 1]) >= target:
            return steps[i]
    return math.inf
