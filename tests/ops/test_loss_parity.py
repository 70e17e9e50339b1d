"""The losses and their gradients against PyTorch, on random shapes and options."""

import math

import numpy as np
import pytest

from minidl import ops, tensor

torch = pytest.importorskip("torch")
functional = torch.nn.functional
REDUCTIONS = ("none", "mean", "sum")


def compare(name, inputs, constants, options, rng):
    """Output and gradients of the same call: `inputs` have gradients, `constants` are passed by name."""
    leaves = [tensor(a, requires_grad=True) if a.dtype.kind == "f" else a for a in inputs]
    others = [torch.tensor(a, requires_grad=a.dtype.kind == "f") for a in inputs]
    got = getattr(ops, name)(*leaves, **constants, **options)
    expected = getattr(functional, name)(*others, **{k: torch.tensor(v) for k, v in constants.items()}, **options)
    upstream = rng.standard_normal(got.shape)
    got.backward(upstream)
    expected.backward(torch.tensor(upstream))
    np.testing.assert_allclose(got.numpy(), expected.detach().numpy(), rtol=1e-10, atol=1e-12)
    for leaf, other in zip(leaves, others, strict=True):
        if not isinstance(leaf, np.ndarray):
            np.testing.assert_allclose(leaf.grad, other.grad.numpy(), rtol=1e-9, atol=1e-12)


def logits(rng):
    """Random logits (C,), (N, C) or (N, C, d1, ...), the number of classes, and the shape of labels."""
    shape = tuple(int(s) for s in rng.integers(1, 7, rng.integers(1, 6)))
    dim = min(len(shape) - 1, 1)
    return 3 * rng.standard_normal(shape), shape[dim], shape[:dim] + shape[dim + 1 :]


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("name", ["cross_entropy", "nll_loss"])
def test_losses_of_labels(name, seed):
    rng = np.random.default_rng(seed)
    x, classes, places = logits(rng)
    options = {"reduction": REDUCTIONS[seed % 3]}
    labels = np.asarray(rng.integers(0, classes, places))
    if rng.random() < 0.5:
        options["ignore_index"] = int(rng.choice([-1, 0, 255]))
        labels = np.where(rng.random(places) < 0.4, options["ignore_index"], labels)
    if name == "cross_entropy" and rng.random() < 0.5:
        options["label_smoothing"] = float(rng.uniform(0, 1))
    constants = {"weight": rng.uniform(0.5, 2, classes)} if rng.random() < 0.5 else {}
    compare(name, [x, labels], constants, options, rng)


@pytest.mark.parametrize("seed", range(30))
def test_cross_entropy_of_probabilities(seed):
    rng = np.random.default_rng(seed)
    x, classes, _ = logits(rng)
    target = rng.uniform(0, 1, x.shape)
    constants = {"weight": rng.uniform(0.5, 2, classes)} if rng.random() < 0.5 else {}
    options = {"reduction": REDUCTIONS[seed % 3], "label_smoothing": float(rng.choice([0.0, 0.1, 0.7]))}
    compare("cross_entropy", [x, target], constants, options, rng)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("name", ["cross_entropy", "nll_loss"])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_all_labels_ignored(name, reduction, smoothing):
    x, labels = np.random.default_rng(0).standard_normal((4, 3)), np.full(4, -100)
    options = {"reduction": reduction} | ({"label_smoothing": smoothing} if name == "cross_entropy" else {})
    leaf, other = tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    got = getattr(ops, name)(leaf, labels, **options)
    expected = getattr(functional, name)(other, torch.tensor(labels), **options)
    np.testing.assert_array_equal(got.numpy(), expected.detach().numpy())
    assert reduction != "mean" or math.isnan(got.item())
    got.backward(np.ones(got.shape))
    expected.backward(torch.ones_like(expected))
    np.testing.assert_array_equal(leaf.grad, other.grad.numpy())


@pytest.mark.parametrize("kind", [np.int8, np.uint8, np.int32, np.uint64])
def test_labels_of_any_whole_number(kind):
    x, labels = np.random.default_rng(0).standard_normal((6, 5)), np.array([0, 4, 2, 2, 1, 3])
    expected = ops.cross_entropy(x, labels).numpy()
    assert np.array_equal(ops.cross_entropy(x, labels.astype(kind)).numpy(), expected)


@pytest.mark.parametrize("seed", range(20))
def test_losses_of_elements(seed):
    rng = np.random.default_rng(seed)
    shape = tuple(int(s) for s in rng.integers(1, 7, rng.integers(0, 5)))
    x, target, options = 3 * rng.standard_normal(shape), rng.uniform(0, 1, shape), {"reduction": REDUCTIONS[seed % 3]}
    compare("mse_loss", [x, target], {}, options, rng)
    last = shape[-1:]
    constants = {"weight": rng.uniform(0.5, 2, shape)} if rng.random() < 0.5 else {}
    if rng.random() < 0.5:
        constants["pos_weight"] = rng.uniform(0.5, 2, last)
    compare("binary_cross_entropy_with_logits", [x, target], constants, options, rng)


def test_large_logits_keep_the_loss_in_float32():
    x = np.array([[1e4, 1e4 + 1, 1e4 - 1], [-3e38, 0, 3e38], [0, 100, -100]], np.float32)
    labels = np.array([0, 2, 0])
    got = ops.cross_entropy(x, labels, reduction="none").numpy()
    expected = functional.cross_entropy(torch.tensor(x, dtype=torch.float64), torch.tensor(labels), reduction="none")
    np.testing.assert_allclose(got, expected.numpy(), rtol=1e-6, atol=1e-30)
