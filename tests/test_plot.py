"""Figures of training runs."""

import subprocess
import sys

import numpy as np
import pytest
from matplotlib.image import imread

from minidl import plot
from minidl.train import History


def runs(seeds=3, steps=200):
    rng = np.random.default_rng(0)
    return [History(loss=list(np.exp(-np.arange(steps) / 50) + 0.1 * rng.random(steps))) for _ in range(seeds)]


@pytest.mark.parametrize("histories", [runs(1)[0], runs(), {"plain": runs(), "batch norm": runs(2, 150)}])
def test_loss_curves_writes_a_picture(tmp_path, histories):
    plot.loss_curves(histories, tmp_path / "curves.png", title="two arms")
    picture = imread(tmp_path / "curves.png")
    assert picture.shape == (675, 1050, 4)
    assert 0.02 < (picture[..., :3].min(axis=2) < 0.95).mean() < 0.5, "neither blank nor full"
    assert [path.name for path in tmp_path.iterdir()] == ["curves.png"]


def test_a_diverged_run_is_drawn_as_far_as_it_went(tmp_path):
    history = History(loss=[1.0, 2.0, 50.0, np.inf, np.nan, np.nan])
    plot.loss_curves([history, history], tmp_path / "curves.svg")
    assert (tmp_path / "curves.svg").read_text().startswith("<?xml")


def test_smooth_is_the_mean_of_the_neighbours():
    values = np.random.default_rng(0).standard_normal((2, 11))
    expected = [[row[max(0, i - 2) : i + 3].mean() for i in range(11)] for row in values]
    np.testing.assert_allclose(plot.smooth(values, 5), expected, rtol=1e-12)
    np.testing.assert_allclose(plot.smooth(values, 1), values, rtol=1e-12)


@pytest.mark.parametrize("spike", [1e20, np.inf, np.nan])
def test_a_spike_is_smoothed_away_after_half_a_window(spike):
    values = np.array([[1.0, 1.0, spike, 3.0, 3.0, 3.0, 3.0]])
    np.testing.assert_array_equal(plot.smooth(values, 3)[0, [0, 4, 5, 6]], [1, 3, 3, 3])


def test_matplotlib_is_imported_when_first_used_and_without_a_window():
    code = (
        "import sys, minidl.plot; assert 'matplotlib' not in sys.modules; "
        "minidl.plot.new_figure(1, 1); assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
