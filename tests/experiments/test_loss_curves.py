"""The main job from end to end, on a few hundred images."""

import dataclasses
import json

import numpy as np
import pytest
from matplotlib.image import imread

from experiments import loss_curves
from experiments.__main__ import main
from experiments.common.compiling import announced
from experiments.common.curves import summarise
from experiments.common.runs import Arm, Run
from minidl import kernel, launch
from minidl.train import History


@pytest.fixture
def small(monkeypatch):
    """`--quick`, smaller still."""
    plan_of = loss_curves.plan_of
    monkeypatch.setattr(
        loss_curves, "plan_of", lambda options: dataclasses.replace(plan_of(options), limit=300, held_out=100)
    )


def run(folder, *options):
    assert main(["loss_curves", "--quick", "--seeds", "2", "--out", str(folder), *options]) == 0
    return json.loads((folder / "loss_curves.json").read_text())


def without_seconds(value):
    if isinstance(value, dict):
        return {key: without_seconds(item) for key, item in value.items() if "seconds" not in key}
    return [without_seconds(item) for item in value] if isinstance(value, list) else value


def test_table_figure_and_record(small, tmp_path, capsys):
    record = run(tmp_path, "--epochs", "2")
    shown, bars = capsys.readouterr()
    rows = [line.split() for line in shown.splitlines() if line.startswith(("MLP  ", "CNN  "))]
    assert [row[:2] for row in rows] == [["MLP", "none"], ["MLP", "batch"], ["CNN", "none"], ["CNN", "batch"]]
    assert "300 training and 300 test images; 2 seeds" in shown and "rehearsal" in shown
    assert bars.count("100%") >= 4 and "MLP, batch norm" in bars

    assert sorted(path.name for path in tmp_path.iterdir()) == ["loss_curves.json", "loss_curves.png"]
    assert imread(tmp_path / "loss_curves.png").shape == (1170, 1500, 4)

    assert [record["data"][part] for part in ("train", "search", "validation", "test")] == [300, 200, 100, 300]
    assert len(record["data"]["sha256"]) == 64
    assert {"python", "numpy", "numba", "minidl"} <= record["versions"].keys()
    assert record["configuration"]["rates"] == [0.03, 0.1]
    for row, arm in zip(rows, record["arms"], strict=True):
        assert [arm["network"], arm["norm"], f"{arm['rate']:g}"] == row[:3]
        best = max(found["validation_accuracy"] for found in arm["search"])
        assert [f["rate"] for f in arm["search"]] == [0.03, 0.1]
        assert best in [f["validation_accuracy"] for f in arm["search"] if f["rate"] == arm["rate"]]
        assert [run["seed"] for run in arm["runs"]] == [0, 1]
        for run_ in arm["runs"]:
            assert len(run_["history"]["loss"]) == 2 * 5 == run_["steps"][-1]
            assert len(run_["steps"]) == len(run_["test_accuracy"]) == len(run_["test_loss"])
        finals = [run_["test_accuracy"][-1] for run_ in arm["runs"]]
        assert arm["summary"]["test_accuracy"] == pytest.approx(np.mean(finals))
        assert row[3] == f"{np.mean([run_['history']['epochs'][-1]['loss'] for run_ in arm['runs']]):.4f}"


def test_the_same_command_gives_the_same_numbers(small, tmp_path):
    options = ("--epochs", "1", "--norm", "batch", "layer", "--activation", "tanh", "--rate", "0.05")
    first, second = run(tmp_path / "1", *options), run(tmp_path / "2", *options)
    assert without_seconds(first) == without_seconds(second)
    assert [arm["norm"] for arm in first["arms"]] == ["batch", "layer"] * 2
    assert all(arm["rate"] == 0.05 and arm["search"] == [] for arm in first["arms"])
    assert {network["activation"] for network in first["configuration"]["networks"]} == {"tanh"}
    losses = [arm["runs"][0]["history"]["loss"] for arm in first["arms"][:2]]
    assert losses[0] != losses[1]


def test_a_rate_that_is_far_too_high_is_shown_as_it_is(small, tmp_path, capsys):
    record = run(tmp_path, "--epochs", "3", "--rate", "1e18", "--norm", "none")
    assert record["arms"][1]["runs"][0]["history"]["loss"][-1] == "nan"
    assert "nan" in capsys.readouterr().out


def test_a_rate_that_diverges_is_not_chosen(small, tmp_path, monkeypatch):
    monkeypatch.setattr(loss_curves, "QUICK_RATES", (0.03, 1e18))
    record = run(tmp_path, "--epochs", "2", "--norm", "none")
    cnn = record["arms"][1]
    assert cnn["search"][1] == {"rate": 1e18, "validation_accuracy": 0.0, "validation_loss": "inf"}
    assert cnn["rate"] == 0.03


def test_the_summary_says_when_the_plain_accuracy_is_reached():
    def arm(norm, *curves):
        runs = [Run(i, History(epochs=[{"loss": 0.5}]), [1, 2, 3, 4], list(c), []) for i, c in enumerate(curves)]
        return Arm(loss_curves.MLP, norm, 0.1, [], runs)

    plain = arm("none", [0.1, 0.4, 0.5, 0.6], [0.1, 0.3, 0.5, 0.7], [0.1, 0.3, 0.5, 0.9])
    other = arm("batch", [0.7, 0.8, 0.8, 0.8], [0.1, 0.7, 0.7, 0.8], [0.1, 0.2, 0.3, 0.8])
    rows = summarise([plain, other])
    assert [row["steps_to_plain_accuracy"] for row in rows] == [4, 3]
    assert [row["plain_accuracy"] for row in rows] == [0.7, 0.7]
    assert rows[1]["test_accuracy_median"] == 0.8
    assert rows[0]["test_accuracy_half_width"] == pytest.approx(4.30265 * np.std([0.6, 0.7, 0.9], ddof=1) / 3**0.5)


def test_compiling_is_announced_once_and_loading_is_not(capsys):
    x = np.ones(3)

    with announced() as compilation:
        for factor in (2.0, 3.0):  # two kernels, made here, so that they are not in the cache
            space = {}
            exec(f"def scale(x, y, low, high):\n    for i in range(low, high):\n        y[i] = {factor} * x[i]", space)
            out = np.empty(3)
            launch(kernel(space["scale"]), 3, x, out)
            assert (out == factor).all()
        compilation.report()
    assert compilation.kernels >= 2 and compilation.seconds > 0
    shown = capsys.readouterr().out
    assert shown.count("Compiling kernels") == 1 and "... compiled" in shown
    with announced() as compilation:
        launch(kernel(space["scale"]), 0, x, x)
        compilation.report()
    assert compilation.kernels == 0 and capsys.readouterr().out == ""
