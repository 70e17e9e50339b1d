"""The losses with all their options against PyTorch's, and their gradients by central differences."""

import itertools

import numpy as np
import pytest

from minidl import nn, tensor
from minidl.testing import check_gradients

RNG = np.random.default_rng(0)
WEIGHT = RNG.uniform(0.5, 2, 4)
LABELS = {
    (6, 4): np.array([0, 3, 1, -100, 2, 2]),
    (3, 4, 2, 5): RNG.integers(0, 4, (3, 2, 5)),
    (4,): np.array(2),
}
SOFT = {shape: RNG.dirichlet(np.ones(4), labels.shape) for shape, labels in LABELS.items()}
SOFT = {shape: np.moveaxis(q, -1, min(1, len(shape) - 1)) for shape, q in SOFT.items()}
REDUCTIONS = ("mean", "sum", "none")


def cases():
    for shape, reduction, smoothing, weighted in itertools.product(LABELS, REDUCTIONS, (0.0, 0.2), (False, True)):
        options = {"reduction": reduction, "label_smoothing": smoothing} | ({"weight": WEIGHT} if weighted else {})
        yield "CrossEntropyLoss", shape, LABELS[shape], options
        yield "CrossEntropyLoss", shape, SOFT[shape], options
    yield "CrossEntropyLoss", (6, 4), LABELS[6, 4], {"ignore_index": 2, "weight": WEIGHT, "reduction": "sum"}
    for shape, reduction in itertools.product(LABELS, REDUCTIONS):
        yield "NLLLoss", shape, LABELS[shape], {"reduction": reduction}
        yield "NLLLoss", shape, LABELS[shape], {"reduction": reduction, "weight": WEIGHT}
    for reduction in REDUCTIONS:
        target = RNG.uniform(0, 1, (5, 4))
        yield "MSELoss", (5, 4), target, {"reduction": reduction}
        yield "BCEWithLogitsLoss", (5, 4), target, {"reduction": reduction}
        both = {"weight": RNG.uniform(0.5, 2, (5, 1)), "pos_weight": WEIGHT}
        yield "BCEWithLogitsLoss", (5, 4), target, {"reduction": reduction} | both


CASES = [case for case in cases() if not (case[2] is LABELS[6, 4] and case[3].get("ignore_index") == 2)]
CASES.append(("CrossEntropyLoss", (6, 4), np.array([0, 3, 1, 1, 2, 2]), {"ignore_index": 2, "weight": WEIGHT}))
CASES.append(("NLLLoss", (6, 4), np.array([0, 3, 1, 1, 2, 2]), {"ignore_index": 2, "reduction": "sum"}))
every_case = pytest.mark.parametrize(("name", "shape", "target", "options"), CASES)


@every_case
def test_as_pytorch(name, shape, target, options):
    torch = pytest.importorskip("torch")
    x = np.random.default_rng(1).standard_normal(shape) * 3
    arrays = {k: torch.from_numpy(v) if isinstance(v, np.ndarray) else v for k, v in options.items()}
    our_x, their_x = tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    ours = getattr(nn, name)(**options)(our_x, target)
    theirs = getattr(torch.nn, name)(**arrays)(their_x, torch.from_numpy(np.asarray(target)))
    np.testing.assert_allclose(ours.numpy(), theirs.detach().numpy(), rtol=1e-10, atol=1e-12)
    dy = np.asarray(np.random.default_rng(2).standard_normal(ours.shape))
    ours.backward(dy)
    theirs.backward(torch.from_numpy(dy))
    np.testing.assert_allclose(our_x.grad, their_x.grad.numpy(), rtol=1e-9, atol=1e-12)


@every_case
def test_gradients(name, shape, target, options):
    loss = getattr(nn, name)(**options)
    check_gradients(lambda x: loss(x, target), np.random.default_rng(3).standard_normal(shape))


def test_weights_are_buffers_and_follow_to():
    loss = nn.BCEWithLogitsLoss(pos_weight=[1.0, 2.0])
    assert list(loss.state_dict()) == ["pos_weight"] and loss.pos_weight.dtype == np.float32
    assert loss.to("float64").pos_weight.dtype == np.float64
    assert list(nn.CrossEntropyLoss(np.ones(3)).state_dict()) == ["weight"]
    assert list(nn.CrossEntropyLoss().state_dict()) == []
