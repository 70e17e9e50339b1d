"""Wrong input to batch_norm, layer_norm, softmax, log_softmax and dropout."""

import numpy as np

from minidl import ops, tensor

x, wide, whole = np.ones((4, 3), np.float32), np.ones((4, 3)), np.ones((4, 3), np.int64)
three, four = np.ones(3, np.float32), np.ones(4, np.float32)
locked = np.ones(3, np.float32)
locked.flags.writeable = False


def running(mean, variance, **options):
    return lambda: ops.batch_norm(x, running_mean=mean, running_var=variance, **options)


def batch_norm(*inputs, **options):
    return lambda: ops.batch_norm(*inputs, **options)


def layer_norm(*inputs, shape, **options):
    return lambda: ops.layer_norm(*inputs, normalized_shape=shape, **options)


ERRORS = [
    (
        "bn one row",
        batch_norm(x[:1]),
        ValueError,
        ["batch_norm", "more than one value", "(1, 3)", "drop_last", "eval()"],
    ),
    ("bn one row of a layer", batch_norm(x[:1], name="BatchNorm1d"), ValueError, ["BatchNorm1d", "(1, 3)"]),
    ("bn one pixel", batch_norm(np.ones((1, 3, 1, 1))), ValueError, ["more than one value", "(1, 3, 1, 1)"]),
    ("bn activation", batch_norm(x, activation="tanh"), ValueError, ["batch_norm", "activation", "'relu'", "'tanh'"]),
    ("bn empty batch", batch_norm(x[:0]), ValueError, ["more than one value", "(0, 3)"]),
    ("bn vector", batch_norm(three), ValueError, ["(N, C), (N, C, L) or (N, C, H, W)", "(3,)"]),
    ("bn five dimensions", batch_norm(np.ones((2, 3, 1, 1, 1))), ValueError, ["(N, C, H, W)", "(2, 3, 1, 1, 1)"]),
    ("bn whole numbers", batch_norm(whole), TypeError, ["batch_norm", "float32 or float64", "int64"]),
    ("bn weight shape", batch_norm(x, four), ValueError, ["weight of shape (3,)", "x (4, 3)", "(4,)"]),
    ("bn bias shape", batch_norm(x, three, four), ValueError, ["bias of shape (3,)", "(4,)"]),
    ("bn weight dtype", batch_norm(wide, three), TypeError, ["batch_norm", "x float64, weight float32"]),
    ("bn running mean shape", running(four, three), ValueError, ["running_mean of shape (3,)", "(4,)"]),
    ("bn running var shape", running(three, four), ValueError, ["running_var of shape (3,)", "(4,)"]),
    ("bn running dtype", running(three, np.ones(3)), TypeError, ["running_var of dtype float32", "float64"]),
    ("bn running mean alone", running(three, None), ValueError, ["running_mean and running_var together"]),
    ("bn running read-only", running(locked, three), ValueError, ["running_mean", "in place", "read-only"]),
    ("bn eval without statistics", batch_norm(x, training=False), ValueError, ["batch_norm", "running_mean", "None"]),
    ("bn eps", batch_norm(x, eps=-1e-5), ValueError, ["batch_norm", "eps of at least 0", "-1e-05"]),
    ("bn eps NaN", batch_norm(x, eps=float("nan")), ValueError, ["eps of at least 0", "nan"]),
    ("bn momentum", running(three, three, momentum=1.5), ValueError, ["momentum from 0 to 1", "1.5"]),
    ("ln shape", layer_norm(x, shape=4), ValueError, ["layer_norm", "end in normalized_shape (4,)", "(4, 3)"]),
    ("ln more dimensions than x", layer_norm(x, shape=(1, 4, 3)), ValueError, ["(1, 4, 3)", "got shape (4, 3)"]),
    ("bn running tensors", running(tensor(three), tensor(three)), TypeError, ["running_mean", "ndarray", "Tensor"]),
    ("bn momentum None", running(three, three, momentum=None), TypeError, ["batch_norm", "momentum", "None"]),
    (
        "bn count dtype",
        running(three, three, num_batches_tracked=three[:1]),
        TypeError,
        ["num_batches_tracked", "float"],
    ),
    ("bn counts", running(three, three, num_batches_tracked=np.zeros(3, int)), ValueError, ["one writable", "(3,)"]),
    ("ln shape text", layer_norm(x, shape="3"), TypeError, ["layer_norm", "whole numbers", "'3'"]),
    ("ln no dimensions", layer_norm(x, shape=()), ValueError, ["layer_norm", "at least one size", "()"]),
    ("ln size zero", layer_norm(x[:, :0], shape=0), ValueError, ["layer_norm", "sizes of at least 1", "0"]),
    ("ln weight shape", layer_norm(x, four, shape=3), ValueError, ["weight of shape (3,)", "(4,)"]),
    ("ln bias shape", layer_norm(x, None, x, shape=3), ValueError, ["bias of shape (3,)", "(4, 3)"]),
    ("ln dtype", layer_norm(wide, three, shape=3), TypeError, ["layer_norm", "x float64, weight float32"]),
    ("ln whole numbers", layer_norm(whole, shape=3), TypeError, ["layer_norm", "int64"]),
    ("ln eps", layer_norm(x, shape=3, eps=-1.0), ValueError, ["layer_norm", "eps of at least 0", "-1.0"]),
    ("softmax dim", lambda: ops.softmax(x, dim=2), ValueError, ["softmax", "from -2 to 1", "2"]),
    ("softmax dim text", lambda: ops.softmax(x, dim="1"), TypeError, ["softmax", "whole number as dim", "'1'"]),
    ("softmax whole numbers", lambda: ops.softmax(whole, dim=1), TypeError, ["softmax", "int64"]),
    ("log_softmax dim", lambda: ops.log_softmax(x, dim=-3), ValueError, ["log_softmax", "-3"]),
    ("log_softmax whole numbers", lambda: ops.log_softmax(whole, dim=1), TypeError, ["log_softmax", "int64"]),
    ("dropout p above 1", lambda: ops.dropout(x, p=1.1), ValueError, ["dropout", "from 0 to 1", "1.1"]),
    ("dropout p text", lambda: ops.dropout(x, p="half"), TypeError, ["dropout", "'half'"]),
    ("dropout p negative", lambda: ops.dropout(x, p=-0.1), ValueError, ["dropout", "from 0 to 1", "-0.1"]),
    ("dropout whole numbers", lambda: ops.dropout(whole), TypeError, ["dropout", "int64"]),
    ("dropout rng", lambda: ops.dropout(x, rng="seed"), TypeError, ["'seed'"]),
]
