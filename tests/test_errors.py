"""Wrong input is refused by a ValueError or TypeError that names the op, what was expected and what came."""

import importlib
from pathlib import Path

import pytest

from minidl import OPS, data, nn, optim

ROOT = Path(__file__).parent
MODULES = sorted(".".join(p.relative_to(ROOT.parent).with_suffix("").parts) for p in ROOT.rglob("errors_*.py"))
ERRORS = [(name, *row) for name in MODULES for row in importlib.import_module(name).ERRORS]


@pytest.mark.parametrize(("module", "name", "call", "kind", "words"), ERRORS, ids=[f"{r[0]}:{r[1]}" for r in ERRORS])
def test_error(module, name, call, kind, words):
    assert issubclass(kind, ValueError | TypeError)
    with pytest.raises(kind) as caught:
        call()
    assert caught.type is kind
    message = str(caught.value)
    for word in [words] if isinstance(words, str) else words:
        assert word in message, f"{word!r} is not in {message!r}"


def test_there_are_at_least_a_hundred():
    assert len({(r[0], r[1]) for r in ERRORS}) == len(ERRORS) >= 100


def test_every_public_op_layer_dataset_and_optimizer_refuses_something():
    named = {word for row in ERRORS for word in ([row[4]] if isinstance(row[4], str) else row[4])}
    text = " ".join(named) + " " + " ".join(row[1] for row in ERRORS)
    ops = {name for name, op in OPS.items() if op.__module__.startswith("minidl.")}
    classes = {name for module in (nn, optim, data) for name in module.__all__ if name[0].isupper()}
    others = {"Identity", "BatchTransform", "Dataset", "Optimizer", "Schedule"}  # takes anything; bases for subclasses
    assert {name for name in ops | classes - others if name not in text} == set()
