"""`print(model)` reads as PyTorch's does."""

import pytest

from minidl import nn, ops
from tests.nn.layers import LAYERS


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.main = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8))
        self.shortcut = nn.Identity()


def test_text():
    model = nn.Sequential(nn.Conv2d(1, 8, (3, 5), stride=2), Residual(), nn.Flatten(), nn.Linear(32, 10))
    assert repr(model) == (
        "Sequential(\n"
        "  (0): Conv2d(1, 8, kernel_size=(3, 5), stride=(2, 2))\n"
        "  (1): Residual(\n"
        "    (main): Sequential(\n"
        "      (0): Conv2d(8, 8, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1), bias=False)\n"
        "      (1): BatchNorm2d(8, eps=1e-05, momentum=0.1, affine=True, bias=True, track_running_stats=True)\n"
        "    )\n"
        "    (shortcut): Identity()\n"
        "  )\n"
        "  (2): Flatten(start_dim=1, end_dim=-1)\n"
        "  (3): Linear(in_features=32, out_features=10, bias=True)\n"
        ")"
    )


def test_functions_print_as_their_names():
    assert repr(nn.Sequential(ops.relu, nn.Tanh())) == "Sequential(\n  (0): relu\n  (1): Tanh()\n)"


@pytest.mark.parametrize("make", [row[1] for row in LAYERS], ids=[row[0] for row in LAYERS])
def test_every_layer_prints_as_pytorchs(make):
    torch = pytest.importorskip("torch")
    assert repr(make(nn)) == repr(make(torch.nn))


@pytest.mark.parametrize("name", ["CrossEntropyLoss", "NLLLoss", "MSELoss", "BCEWithLogitsLoss"])
def test_losses_print_as_pytorchs(name):
    assert repr(getattr(nn, name)()) == f"{name}()"


def test_more_than_one_line_of_extra():
    class Odd(nn.Module):
        def extra_repr(self):
            return "first\nsecond"

    assert repr(Odd()) == "Odd(\n  first\n  second\n)"
