"""The measurements of speed: what is measured, written and refused; no times are asserted."""

import json
import math

import numpy as np
import pytest
from matplotlib.image import imread
from numba import config

import minidl
from experiments.__main__ import main
from experiments.common import speed_table
from experiments.common.kernels import Kernels
from experiments.common.limits import Level, Limits
from experiments.common.primitives import BOTH, FAMILIES, FORWARD, PRIMITIVES, Work
from experiments.common.programs import Program
from experiments.common.speed_table import Measured, judge, peaks_text, summary, table
from experiments.common.torch_peer import is_installed
from experiments.speed import QUICK

LIMITS = Limits(2, 1e9, 2e9, [Level(1 << 10, 8e9, 4e9), Level(1 << 20, 2e9, 1e9)])
needs_jit = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="without the JIT there is nothing to measure")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("speed")
    assert main(["speed", "--quick", "--out", str(folder)]) == 0
    return folder


@needs_jit
def test_record(folder):
    record = json.loads((folder / "speed.json").read_text())
    assert {"python", "numpy", "numba", "minidl"} <= record["versions"].keys()
    assert [complaint for complaint in record["configuration"]["complaints"] if "results" in complaint] == []
    limits = record["limits"]
    assert limits["peak"] >= limits["one_thread"] / 2 > 0 and len(limits["levels"]) == 6
    peaks = []
    assert {row["family"] for row in record["measured"]} == set(FAMILIES)
    assert {row["label"] for row in record["measured"]} == set(QUICK)
    for row in record["measured"]:
        assert len(row["rounds"]) == 2 and row["seconds"] == pytest.approx(np.mean(row["rounds"]))
        assert row["kernel_seconds"] == pytest.approx(np.mean(row["kernel_rounds"]))
        shares = [row["flops"] / s / p for s, p in zip(row["kernel_rounds"], row["peaks"], strict=True)]
        peaks += row["peaks"]
        assert len(shares) == 2 and row["share_of_peak"] == pytest.approx(np.mean(shares))
        assert 0 < row["share_of_limit"] < math.inf
        layouts = (["nchw", "nhwc"] if row["primitive"] == "Conv2d" else ["nchw"]) if is_installed() else []
        assert list(row["torch_seconds"]) == list(row["torch_rounds"]) == layouts
        assert (float(row["ratio_to_torch"]) > 0) == is_installed()
    assert limits["peak"] == np.median(peaks)
    forms = [row["form"] for row in record["measured"] if row["primitive"] == "Conv2d"]
    assert forms == ["forward", "input gradient", "weight gradient", "forward+backward"]


@needs_jit
def test_figure(folder):
    assert sorted(path.name for path in folder.iterdir()) == ["speed.json", "speed.png"]
    assert imread(folder / "speed.png").shape == (1350, 2100, 4)


@needs_jit
def test_without_torch_one_family_alone(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("experiments.speed.is_installed", lambda: False)
    assert main(["speed", "--quick", "--only", "norms", "--rounds", "1", "--out", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "torch us" not in shown and "PyTorch" not in shown
    assert "multiply-adds in registers, in turn with the primitives: " in shown
    assert [line.split()[0] for line in shown.splitlines() if " 60x100 " in line] == ["BatchNorm1d"] * 3 + [
        "LayerNorm"
    ] * 3
    record = json.loads((tmp_path / "speed.json").read_text())
    assert {row["family"] for row in record["measured"]} == {"norms"} and record["aims"] == []
    assert {row["ratio_to_torch"] for row in record["measured"]} == {"nan"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--only", "poems"], ["--only", "'poems'", "products", "norms"]),
        (["--seconds", "0"], ["--seconds", "number of seconds above 0", "'0'"]),
        (["--rounds", "0"], ["--rounds", "at least 1"]),
    ],
)
def test_wrong_options_are_refused(capsys, arguments, words):
    with pytest.raises(SystemExit):
        main(["speed", *arguments])
    shown = capsys.readouterr().err
    assert all(word in shown for word in words)


@needs_jit
def test_too_many_threads_are_refused(tmp_path, capsys):
    assert main(["speed", "--threads", "4096", "--out", str(tmp_path)]) == 2
    assert "--threads: set_num_threads: expected" in capsys.readouterr().err


def test_work_is_counted_by_the_shapes():
    found = {(p.layer, p.label): p for p in PRIMITIVES}
    assert len(found) == len(PRIMITIVES)
    product = found["Linear", "60x784x100"].work
    assert product[FORWARD].flops == 2 * 60 * 784 * 100 and product[BOTH].flops == 3 * product[FORWARD].flops
    assert product[FORWARD].reads == 4 * (60 * 784 + 784 * 100) and product[FORWARD].writes == 4 * 60 * 100
    strided = found["Conv2d", "64x16x32x32 to 32, 3x3 /2"].work[FORWARD]
    assert strided.flops == 2 * (64 * 16 * 16) * 32 * (16 * 9) and strided.writes == 4 * 64 * 16 * 16 * 32
    assert found["Conv2d", "64x64x16x16 to 64, 3x3 depthwise"].work[FORWARD].flops == 2 * 64 * 256 * 64 * 9
    assert found["ReLU", "64x128"].work[BOTH][1:] == (3 * 64 * 128 * 4, 2 * 64 * 128 * 4, 3 * 64 * 128 * 4)


def test_limits():
    assert LIMITS.seconds(Work(4e9, 0, 0, 1), 4e9) == 1 and LIMITS.seconds(Work(4e9, 8e9, 0, 1), 8e9) == 1
    assert LIMITS.memory_seconds(Work(0, 8e9, 0, 1 << 10)) == pytest.approx(1)
    assert LIMITS.memory_seconds(Work(0, 3e9, 1e9, 1 << 20)) == pytest.approx(2e9 / 2e9 + 2e9 / 1e9)
    assert LIMITS.bandwidths(1 << 15) == pytest.approx((5e9, 2.5e9))  # halfway between the levels, in the logarithm
    assert LIMITS.bandwidths(1 << 30) == (2e9, 1e9) and LIMITS.bandwidths(1) == (8e9, 4e9)


def test_aims_are_judged_by_geometric_mean_and_worst():
    first, second = [p for p in PRIMITIVES if p.family == "norms"][:2]
    rows = [
        _measured(first, BOTH, [1.0, 2.0, 9.0], {"nchw": [4.0, 8.0, 36.0], "nhwc": [5.0, 9.0, 37.0]}),
        _measured(second, BOTH, [3.0, 3.0, 3.0], {"nchw": [9.0, 9.0, 9.0], "nhwc": [3.0, 4.0, 5.0]}),
        _measured(second, FORWARD, [3.0], {"nchw": [1.0]}),
    ]
    assert [row.ratio for row in rows] == [0.25, 0.75, 3]
    (found,) = judge(rows)
    assert found.worst == 0.75 and found.worst_name == "BatchNorm2d 64x32x32x32" and not found.reached
    assert found.mean == pytest.approx(math.sqrt(0.25 * 0.75)) and found.beyond == ["BatchNorm2d 64x32x32x32"]
    shown = summary([found])
    assert "geometric mean 0.43 (aim: at most 0.40)" in shown and "worst 0.75 at BatchNorm2d 64x32x32x32" in shown
    assert "1 beyond it" in shown
    lines = table(rows, LIMITS).splitlines()
    assert lines[0].split()[-5:] == ["torch", "us", "nhwc", "us", "ratio"]
    assert lines[2].split()[-3:] == ["8000000.0", "9000000.0", "0.25"]


def _measured(primitive, form, rounds, torch):
    return Measured(primitive, form, rounds, rounds, [LIMITS.peak] * len(rounds), torch)


def test_kernels_are_held_against_the_peak_of_their_round():
    product = next(p for p in PRIMITIVES if p.label == "60x784x100")
    peaks = [1e9, 2e9, 4e9]
    kernels = [product.work[FORWARD].flops / peak / share for peak, share in zip(peaks, (0.5, 0.8, 0.9), strict=True)]
    row = Measured(product, FORWARD, [1.0, 2.0, 3.0], kernels, peaks)
    assert row.share_of_peak == pytest.approx(0.8) == row.share_of_limit(LIMITS)
    assert peaks_text(peaks).endswith(": 2 GFLOP/s (from 1 to 4)")
    cells = table([row], LIMITS).splitlines()[2].split()
    assert cells[-6:] == ["2000000.0", f"{kernels[1] * 1e6:.1f}", *cells[-4:-2], "80", "arithmetic"]


@needs_jit
def test_replayed_kernels_compute_anew():
    rng = np.random.default_rng(0)
    x, dy = (minidl.tensor(rng.standard_normal((5, n), np.float32)) for n in (4, 3))
    layer, out = minidl.nn.Linear(4, 3, bias=False), []

    def prepare():
        layer.weight.grad = None
        out[:] = [layer(x)]

    kernels = Kernels(Program(prepare, lambda: out[0].backward(dy), list))
    assert kernels.computes
    np.multiply(x._array, 3, out=x._array)
    assert kernels.seconds(1e-4) > 0
    np.testing.assert_allclose(layer.weight.grad, dy.numpy().T @ x.numpy(), rtol=1e-5)


@needs_jit
def test_replayed_kernels_that_leave_out_what_the_call_does_are_told():
    x, relu = minidl.tensor(np.ones((3, 4), np.float32)), minidl.nn.ReLU()

    def doubled():
        y = relu(x)
        y._array[...] *= 2
        return y

    assert Kernels(Program(lambda: None, lambda: relu(x), list)).computes
    assert not Kernels(Program(lambda: None, doubled, list)).computes


def test_shares_of_the_peak_count_wide_products_alone():
    rows = [
        _measured(p, form, [work.flops / LIMITS.peak / 0.9], {}) for p in PRIMITIVES for form, work in p.work.items()
    ]
    wide = [row for row in rows if speed_table.AIMS[0].applies(row)]
    assert len(wide) == 3 * (6 + 8)  # all but one product, and convolutions but of 1 and 3 channels and the depthwise
    (found,) = judge(rows)
    assert found.worst == pytest.approx(0.9) and found.reached
    assert "geometric mean 90% (aim: at least 80%)" in summary([found])
