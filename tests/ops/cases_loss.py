"""Cases for softmax and the losses."""

import math

import numpy as np

from minidl import ops
from tests.ops.case import Case

CASES = []


def along(function):
    """A reference that calls a function of a list of numbers along `dim`."""

    def reference(x, *, dim):
        return np.apply_along_axis(lambda row: np.array(function(row.tolist())), dim, x) if x.size else x

    return reference


def softmax(row):
    top = max(row)
    size = math.fsum(math.exp(v - top) for v in row)
    return [math.exp(v - top) / size for v in row]


def log_softmax(row):
    top = max(row)
    level = top + math.log(math.fsum(math.exp(v - top) for v in row))
    return [v - level for v in row]


for shape, dim in [
    ((7, 5), 1),
    ((7, 5), 0),
    ((13,), -1),
    ((2, 3, 5, 7), 1),
    ((2, 3, 5, 7), -1),
    ((2, 3, 4), 1),
    ((601, 17), 1),
    ((0, 3), 1),
    ((3, 0), 1),
]:
    CASES.append(Case("softmax", (shape,), along(softmax), {"dim": dim}))
    CASES.append(Case("log_softmax", (shape,), along(log_softmax), {"dim": dim}))
CASES.append(Case("softmax", ((5, 1),), along(softmax), {"dim": 1}, smooth=False))  # constant: there is no slope
CASES.append(Case("log_softmax", ((5, 1),), along(log_softmax), {"dim": 1}, smooth=False))


def labels(classes, *shape, ignored=None):
    """Random labels; with `ignored`, one in three is that."""

    def make(rng):
        out = rng.integers(0, classes, shape)
        return out if ignored is None else np.where(rng.random(shape) < 1 / 3, ignored, out)

    return make


def shares(*shape):
    """Probabilities along dimension 1 (or 0 of a vector)."""

    def make(rng):
        raw = rng.uniform(0.1, 1, shape)
        return raw / raw.sum(axis=min(len(shape) - 1, 1), keepdims=True)

    return make


def reduced(losses, reduction, divisor):
    if reduction == "none":
        return losses
    return np.asarray(math.fsum(losses.ravel()) / (divisor if reduction == "mean" else 1))


def class_losses(log_probability, target, weight, ignore_index, reduction, smoothing):
    """Row by row, from log-probabilities with the classes in dimension 1 (0 of a vector)."""
    x = np.moveaxis(log_probability, min(log_probability.ndim - 1, 1), -1)
    soft = np.asarray(target).dtype.kind == "f"
    wanted = np.moveaxis(target, min(target.ndim - 1, 1), -1) if soft else np.asarray(target)
    classes = x.shape[-1]
    weight = np.ones(classes) if weight is None else np.asarray(weight, float)
    losses, divisor = np.zeros(x.shape[:-1]), 0.0
    for place in np.ndindex(x.shape[:-1]):
        if not soft and wanted[place] == ignore_index:
            continue
        share = wanted[place] if soft else np.eye(classes)[wanted[place]]
        divisor += 1 if soft else weight[wanted[place]]
        mixed = (1 - smoothing) * share + smoothing / classes
        losses[place] = -sum(mixed[c] * weight[c] * x[place][c] for c in range(classes) if mixed[c] != 0)
    return reduced(losses, reduction, divisor)


def cross_entropy(x, target, *, weight=None, ignore_index=-100, reduction="mean", label_smoothing=0.0):
    logs = along(log_softmax)(x, dim=min(x.ndim - 1, 1))
    return class_losses(logs, target, weight, ignore_index, reduction, label_smoothing)


def nll_loss(x, target, *, weight=None, ignore_index=-100, reduction="mean"):
    return class_losses(x, target, weight, ignore_index, reduction, 0.0)


def weighted(function):
    """Class weights are no input with a gradient: passed in the dtype of x."""
    return lambda x, target, *, weight, **options: function(x, target, np.asarray(weight, x.dtype), **options)


WEIGHT = {"weight": (0.5, 2.0, 1.25, 0.75, 3.0)}
SOME = [((7, 5), (7,)), ((5,), ()), ((3, 5, 4), (3, 4)), ((2, 5, 3, 7), (2, 3, 7)), ((2, 5, 3, 2, 2), (2, 3, 2, 2))]
for op, reference in {"cross_entropy": cross_entropy, "nll_loss": nll_loss}.items():
    function = getattr(ops, op)
    for shape, places in SOME:
        CASES.append(Case(op, (shape, labels(5, *places)), reference))
    for reduction in ("none", "sum", "mean"):
        options = {"reduction": reduction, "ignore_index": 2}
        CASES.append(Case(op, ((11, 5), labels(5, 11, ignored=2)), reference, options))
        CASES.append(Case(op, ((2, 5, 3, 7), labels(5, 2, 3, 7)), reference, options | WEIGHT, weighted(function)))
    CASES.append(Case(op, ((4099, 3), labels(3, 4099)), reference))
    CASES.append(Case(op, ((11, 5), labels(5, 11, ignored=-100)), reference, WEIGHT, weighted(function)))
CASES.append(Case("cross_entropy", ((5, 1), labels(1, 5)), cross_entropy, smooth=False))  # one class: 0 everywhere
for smoothing in (0.1, 1.0):
    options = {"label_smoothing": smoothing, "ignore_index": 1}
    CASES.append(Case("cross_entropy", ((7, 5), labels(5, 7)), cross_entropy, options))
    CASES.append(
        Case("cross_entropy", ((7, 5), labels(5, 7)), cross_entropy, options | WEIGHT, weighted(ops.cross_entropy))
    )
for reduction in ("none", "sum", "mean"):
    for shape in [(7, 5), (5,), (3, 5, 4), (2, 5, 3, 7)]:
        options = {"reduction": reduction}
        CASES.append(Case("cross_entropy", (shape, shares(*shape)), cross_entropy, options))
        options = options | {"label_smoothing": 0.2} | WEIGHT
        CASES.append(
            Case("cross_entropy", (shape, shares(*shape)), cross_entropy, options, weighted(ops.cross_entropy))
        )


def mse_loss(x, target, *, reduction="mean"):
    return reduced((x - target) ** 2, reduction, x.size)


def logits_loss(x, target, *, weight=1.0, pos_weight=1.0, reduction="mean"):
    p = 1 / (1 + np.exp(-x))
    losses = -np.asarray(weight) * (np.asarray(pos_weight) * target * np.log(p) + (1 - target) * np.log(1 - p))
    return reduced(losses, reduction, x.size)


def logits_loss_weighted(x, target, *, weight=None, pos_weight=None, **options):
    w, p = (None if v is None else np.asarray(v, x.dtype) for v in (weight, pos_weight))
    return ops.binary_cross_entropy_with_logits(x, target, w, pos_weight=p, **options)


def between(*shape):
    return lambda rng: rng.uniform(0.1, 0.9, shape)


for reduction in ("none", "sum", "mean"):
    options = {"reduction": reduction}
    for shape in [(), (13,), (7, 11), (2, 3, 5, 7), (3, 5003)]:
        CASES.append(Case("mse_loss", (shape, shape), mse_loss, options))
        CASES.append(Case("binary_cross_entropy_with_logits", (shape, between(*shape)), logits_loss, options))
    for more in (
        {"weight": (0.5, 2.0, 3.0)},
        {"pos_weight": (0.5, 2.0, 3.0)},
        {"weight": ((2.0,), (3.0,)), "pos_weight": 4.0},
    ):
        arguments = ((2, 3), between(2, 3))
        CASES.append(
            Case("binary_cross_entropy_with_logits", arguments, logits_loss, options | more, logits_loss_weighted)
        )
