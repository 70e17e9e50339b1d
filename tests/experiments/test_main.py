"""The command line: what is listed, what is refused."""

import sys

import numpy as np
import pytest

from experiments.__main__ import discover, main
from tests.data.fakes import write_mnist


def test_without_arguments_each_experiment_is_listed_in_one_line(capsys):
    assert main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    found = discover()
    assert "loss_curves" in found
    assert lines[0] == "Experiments:" and len(lines) == len(found) + 3
    assert [line.split()[0] for line in lines[1 : 1 + len(found)]] == sorted(found)


def test_every_experiment_has_what_one_needs():
    for module in discover().values():
        assert "\n" not in module.SUMMARY and len(module.SUMMARY) < 110
        assert module.__doc__ and callable(module.add_arguments) and callable(module.run)


def test_help_names_every_option(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["loss_curves", "--help"])
    assert caught.value.code == 0
    shown = capsys.readouterr().out
    for option in ("--data", "--out", "--seeds", "--epochs", "--norm", "--activation", "--rate", "--quick"):
        assert option in shown
    assert "MLP" in shown and "default: 5" in shown


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--seeds", "0"], ["--seeds", "whole number of at least 1", "'0'"]),
        (["--seeds", "two"], ["--seeds", "whole number of at least 1", "'two'"]),
        (["--epochs", "-3"], ["--epochs", "at least 1", "'-3'"]),
        (["--epochs", "1.5"], ["--epochs", "whole number", "'1.5'"]),
        (["--rate", "0"], ["--rate", "above 0", "'0'"]),
        (["--rate", "-0.1"], ["--rate", "above 0", "'-0.1'"]),
        (["--rate", "nan"], ["--rate", "above 0", "'nan'"]),
        (["--rate", "fast"], ["--rate", "above 0", "'fast'"]),
        (["--activation", "swish"], ["--activation", "'swish'", "sigmoid", "relu"]),
        (["--norm", "none", "group"], ["--norm", "'group'", "none", "batch", "layer"]),
        (["--speed"], ["--speed"]),
    ],
)
def test_wrong_options_are_refused(capsys, arguments, words):
    with pytest.raises(SystemExit) as caught:
        main(["loss_curves", *arguments])
    assert caught.value.code == 2
    shown = capsys.readouterr().err
    for word in words:
        assert word in shown


def test_an_unknown_experiment_is_refused(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["loss_surface"])
    assert caught.value.code == 2
    assert "'loss_surface'" in capsys.readouterr().err


def test_a_folder_without_data_is_refused(tmp_path, capsys):
    assert main(["loss_curves", "--data", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    shown = capsys.readouterr().err
    assert shown.startswith("python -m experiments loss_curves: error: --data: ")
    assert str(tmp_path) in shown and "train-images-idx3-ubyte" in shown


def test_a_wrong_file_is_refused(tmp_path, capsys):
    for name in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        (tmp_path / f"{name}-ubyte").write_bytes(np.zeros(20, np.uint8).tobytes())
    assert main(["loss_curves", "--data", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    assert "train-images-idx3-ubyte" in capsys.readouterr().err


def test_too_few_images_to_hold_some_out_are_refused(tmp_path, capsys):
    write_mnist(tmp_path / "few")
    assert main(["loss_curves", "--data", str(tmp_path / "few"), "--out", str(tmp_path / "out")]) == 2
    assert "--data: expected more than the 2000 training images held out, got 20" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_an_output_that_is_no_folder_is_refused_before_training(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(["loss_curves", "--out", str(tmp_path / "file")]) == 2
    assert "--out: expected a folder to write to" in capsys.readouterr().err


def test_an_interrupt_ends_it_without_a_traceback(tmp_path, capsys, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(sys.modules["experiments.loss_curves"], "work", interrupt)
    assert main(["loss_curves", "--quick", "--out", str(tmp_path)]) == 130
    assert "interrupted" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
