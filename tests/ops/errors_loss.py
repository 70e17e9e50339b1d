"""Wrong input to the losses."""

import numpy as np

from minidl import ops, tensor

x, image, wide = np.ones((4, 3), np.float32), np.ones((2, 3, 4, 5), np.float32), np.ones((4, 3))
labels, three = np.array([0, 1, 2, 0]), np.ones(3, np.float32)
nan = np.array([0.0, np.nan, 1.0, 2.0], np.float32)
shares = np.full((4, 3), 1 / 3, np.float32)
lost = shares.copy()
lost[2, 1] = np.nan
lost_image, pixels = np.ones_like(image), np.zeros((2, 4, 5), np.int32)
lost_image[1, 2, 0, 3] = np.nan
pixels[1, 3, 2] = -(1 << 31)
wanting = tensor(three, requires_grad=True)


def cross_entropy(*inputs, **options):
    return lambda: ops.cross_entropy(*inputs, **options)


def nll_loss(*inputs, **options):
    return lambda: ops.nll_loss(*inputs, **options)


def mse_loss(*inputs, **options):
    return lambda: ops.mse_loss(*inputs, **options)


def logits_loss(*inputs, **options):
    return lambda: ops.binary_cross_entropy_with_logits(*inputs, **options)


BCE = "binary_cross_entropy_with_logits"
ERRORS = [
    (
        "ce label too large",
        cross_entropy(x, np.array([0, 1, 3, 0])),
        ValueError,
        ["cross_entropy", "from 0 to 2 (3 classes)", "got 3 at (2,)"],
    ),
    (
        "ce label negative",
        cross_entropy(x, np.array([0, -1, 2, 0])),
        ValueError,
        ["ignore_index -100", "got -1 at (1,)"],
    ),
    ("ce label of a pixel", cross_entropy(image, np.full((2, 4, 5), 7)), ValueError, ["3 classes", "7 at (0, 0, 0)"]),
    ("ce label of a later pixel", cross_entropy(image, pixels), ValueError, ["got -2147483648 at (1, 3, 2)"]),
    ("ce one label", cross_entropy(three, np.array(3)), ValueError, ["3 classes", "got 3 at ()"]),
    ("ce NaN of a pixel", cross_entropy(image, lost_image), ValueError, ["NaN at (1, 2, 0, 3)"]),
    ("ce label shape", cross_entropy(x, labels[:3]), ValueError, ["labels of shape (4,)", "x (4, 3)", "(3,)"]),
    ("ce whole numbers as x's shape", cross_entropy(x, np.ones((4, 3), int)), ValueError, ["shape (4,)", "got (4, 3)"]),
    ("ce NaN labels", cross_entropy(x, nan), ValueError, ["labels of shape (4,)", "float32 of shape (4,), with NaN"]),
    ("ce float labels", cross_entropy(x, nan * 0 + 1), ValueError, ["whole-number labels", "astype('int64')"]),
    ("ce bool labels", cross_entropy(x, labels > 0), TypeError, ["cross_entropy", "whole-number labels", "bool"]),
    ("ce NaN probabilities", cross_entropy(x, lost), ValueError, ["expected probabilities", "NaN at (2, 1)"]),
    ("ce probabilities dtype", cross_entropy(x, wide / 3), TypeError, ["cross_entropy", "x float32, target float64"]),
    ("ce probabilities ignored", cross_entropy(x, shares, ignore_index=0), ValueError, ["no ignore_index", "got 0"]),
    ("ce reduction", cross_entropy(x, labels, reduction="avg"), ValueError, ["'none', 'mean', 'sum'", "'avg'"]),
    ("ce empty batch", cross_entropy(x[:0], labels[:0]), ValueError, ["at least one example", "(0, 3)", "empty batch"]),
    ("ce no classes", cross_entropy(x[:, :0], labels), ValueError, ["one class", "(4, 0)"]),
    ("ce scalar", cross_entropy(np.ones(()), np.array(0)), ValueError, ["(C,), (N, C) or (N, C, d1, ...)", "()"]),
    ("ce class weights", cross_entropy(x, labels, np.ones(4, np.float32)), ValueError, ["shape (3,)", "got (4,)"]),
    ("ce class weights dtype", cross_entropy(x, labels, np.ones(3)), TypeError, ["x float32, weight float64"]),
    ("ce class weights gradient", cross_entropy(x, labels, wanting), ValueError, ["without a gradient", "detach()"]),
    ("ce ignore_index", cross_entropy(x, labels, ignore_index=None), TypeError, ["cross_entropy", "ignore_index"]),
    ("nll ignore_index", nll_loss(x, labels, ignore_index=0.5), TypeError, ["nll_loss", "ignore_index", "0.5"]),
    ("ce smoothing text", cross_entropy(x, labels, label_smoothing="a"), TypeError, ["label_smoothing", "'a'"]),
    ("ce smoothing", cross_entropy(x, labels, label_smoothing=1.5), ValueError, ["label_smoothing from 0 to 1", "1.5"]),
    ("ce whole-number logits", cross_entropy(x.astype(int), labels), TypeError, ["cross_entropy", "int64"]),
    ("nll label too large", nll_loss(x, labels + 1), ValueError, ["nll_loss", "3 classes", "got 3 at (2,)"]),
    ("nll float labels", nll_loss(x, nan), TypeError, ["nll_loss", "whole-number labels", "float32 with NaN"]),
    ("nll probabilities", nll_loss(x, shares), TypeError, ["nll_loss", "labels of shape (4,)", "(4, 3)"]),
    ("nll label shape", nll_loss(image, labels), ValueError, ["labels of shape (2, 4, 5)", "got (4,)"]),
    ("nll reduction", nll_loss(x, labels, reduction=None), ValueError, ["nll_loss", "None"]),
    ("nll empty batch", nll_loss(x[:0], labels[:0]), ValueError, ["nll_loss", "(0, 3)", "empty batch"]),
    ("nll class weights", nll_loss(x, labels, three[:2]), ValueError, ["nll_loss", "shape (3,)", "got (2,)"]),
    ("mse shapes", mse_loss(x, three), ValueError, ["mse_loss", "x's shape (4, 3)", "(3,)"]),
    ("mse dtypes", mse_loss(x, wide), TypeError, ["mse_loss", "x float32, target float64"]),
    ("mse reduction", mse_loss(x, x, reduction="Mean"), ValueError, ["mse_loss", "'Mean'"]),
    ("mse empty batch", mse_loss(x[:0], x[:0]), ValueError, ["mse_loss", "(0, 3)", "empty batch"]),
    ("mse whole numbers", mse_loss(x, labels), TypeError, ["mse_loss", "int64"]),
    ("bce shapes", logits_loss(x, three), ValueError, [BCE, "x's shape (4, 3)", "(3,)"]),
    ("bce whole-number target", logits_loss(x, x.astype(int)), TypeError, [BCE, "float32 or float64 as target"]),
    ("bce reduction", logits_loss(x, x, reduction=""), ValueError, [BCE, "'none', 'mean', 'sum'"]),
    ("bce empty batch", logits_loss(x[:0], x[:0]), ValueError, [BCE, "(0, 3)", "empty batch"]),
    (
        "bce weight shape",
        logits_loss(x, x, np.ones((3, 1), np.float32)),
        ValueError,
        ["weight that broadcasts", "(3, 1)"],
    ),
    (
        "bce pos_weight shape",
        logits_loss(x, x, pos_weight=three[:2]),
        ValueError,
        ["pos_weight that broadcasts", "(2,)"],
    ),
    ("bce weight gradient", logits_loss(x, x, wanting), ValueError, [BCE, "weight without a gradient", "detach()"]),
]
