"""Intervals over seeds, and when a target is reached."""

import math

import pytest

from experiments.common.statistics import first_reached, half_width, t_quantile


@pytest.mark.parametrize(
    ("degrees", "t"), [(1, 12.7062), (2, 4.30265), (3, 3.18245), (4, 2.77645), (9, 2.26216), (30, 2.04227)]
)
def test_t_quantile_is_that_of_the_tables(degrees, t):
    assert t_quantile(degrees) == pytest.approx(t, rel=2e-6)


def test_half_width():
    assert half_width([1.0, 2.0, 3.0]) == pytest.approx(4.30265 * 1 / math.sqrt(3), rel=2e-6)
    assert math.isnan(half_width([1.0]))


def test_first_reached_is_where_the_median_of_three_is_there():
    steps, values = [10, 20, 30, 40, 50, 60], [0.1, 0.9, 0.2, 0.5, 0.6, 0.7]
    assert first_reached(steps, values, 0.5) == 40, "one lucky test at step 20 does not count"
    assert first_reached(steps, values, 0.6) == 60
    assert first_reached(steps, values, 0.7) == math.inf
