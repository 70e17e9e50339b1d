"""Cases for batch normalization, layer normalization and dropout."""

import math

import numpy as np

from minidl import ops
from minidl.random import Generator
from tests.ops.case import Case

CASES = []


def batch_norm(x, weight=None, bias=None, *, statistics=None, eps=1e-5, activation=None):
    """One channel at a time: mean and variance over everything else, or the given ones."""
    y = np.empty_like(x)
    for c in range(x.shape[1]):
        values = x[:, c].ravel()
        if statistics is None:
            mean = math.fsum(values) / values.size
            variance = math.fsum((v - mean) ** 2 for v in values) / values.size
        else:
            mean, variance = statistics[0][c], statistics[1][c]
        scaled = (x[:, c] - mean) / math.sqrt(variance + eps)
        y[:, c] = scaled * (1 if weight is None else weight[c]) + (0 if bias is None else bias[c])
    return np.maximum(y, 0) if activation else y


def evaluated(x, *parameters, statistics, **options):
    """Batch normalization in evaluation mode, with running statistics in the dtype of the input."""
    mean, variance = (np.asarray(s, x.dtype) for s in statistics)
    return ops.batch_norm(x, *parameters, running_mean=mean, running_var=variance, training=False, **options)


def counted(x, *parameters):
    """Batch normalization in training, with running statistics that are the mean over all batches."""
    channels, count = x.shape[1], np.array(3)
    running = {"running_mean": np.zeros(channels, x.dtype), "running_var": np.ones(channels, x.dtype)}
    return ops.batch_norm(x, *parameters, **running, num_batches_tracked=count, momentum=None)


def statistics_of(channels):
    rng = np.random.default_rng(channels)
    return rng.standard_normal(channels), rng.uniform(0.5, 2, channels)


# few channels (several rows side by side), odd counts, several blocks of rows, images, sequences
TRAINED = [
    (7, 5),
    (3, 4, 11),
    (4, 3, 5, 7),
    (8, 1, 4, 4),
    (601, 13),
    (64, 2, 8, 8),
    (5, 1),
    (37, 1, 3, 7),
    (3, 4, 1, 1),
]
for shape in TRAINED:
    channels = shape[1:2]
    CASES.append(Case("batch_norm", (shape, channels, channels), batch_norm))
for shape in [*TRAINED, (1, 3), (1, 3, 4, 5), (0, 3), (0, 3, 4, 5)]:
    channels = shape[1:2]
    options = {"statistics": statistics_of(shape[1])}
    CASES.append(Case("batch_norm", (shape, channels, channels), batch_norm, options, evaluated))
for shape in TRAINED[:6]:
    channels = shape[1:2]
    CASES.append(Case("batch_norm", (shape, channels, channels), batch_norm, {"activation": "relu"}))
CASES += [
    Case("batch_norm", ((9, 4), (4,), (4,)), batch_norm, call=counted),
    Case("batch_norm", ((9, 4),), batch_norm, {"eps": 0.1}),
    Case("batch_norm", ((9, 4), (4,), None), batch_norm, {"eps": 0}),
    Case("batch_norm", ((2, 3, 4, 5), None, (3,)), batch_norm),
    Case("batch_norm", ((9, 4),), batch_norm, {"eps": 0.1, "statistics": statistics_of(4)}, evaluated),
    Case("batch_norm", ((9, 4),), batch_norm, {"activation": "relu", "statistics": statistics_of(4)}, evaluated),
]


def layer_norm(x, weight=None, bias=None, *, normalized_shape, eps=1e-5):
    """One example at a time."""
    kept = x.ndim - len(np.atleast_1d(normalized_shape))
    y = np.empty(x.shape)
    for place in np.ndindex(x.shape[:kept]):
        values = x[place].ravel()
        mean = math.fsum(values) / values.size
        variance = math.fsum((v - mean) ** 2 for v in values) / values.size
        scaled = (x[place] - mean) / math.sqrt(variance + eps)
        y[place] = scaled * (1 if weight is None else weight) + (0 if bias is None else bias)
    return y


NORMALIZED = [
    ((7, 5), (5,)),
    ((13,), (13,)),
    ((3, 4, 11), (4, 11)),
    ((2, 3, 5, 7), (3, 5, 7)),
    ((2, 3, 5, 7), (7,)),
    ((2, 3, 4, 5, 6), (3, 4, 5, 6)),
    ((601, 17), (17,)),
    ((0, 3), (3,)),
    ((4, 1), (1,)),
]
for shape, extents in NORMALIZED:
    CASES.append(Case("layer_norm", (shape, extents, extents), layer_norm, {"normalized_shape": extents}))
CASES += [
    Case("layer_norm", ((5, 6),), layer_norm, {"normalized_shape": 6, "eps": 0.1}),
    Case("layer_norm", ((5, 6), (6,), None), layer_norm, {"normalized_shape": 6, "eps": 0}),
    Case("layer_norm", ((5, 6), None, (6,)), layer_norm, {"normalized_shape": 6}),
]


def dropout(x, *, p, training=True, rng=None):
    """The generator's words, one an element in the order of memory (channels last), against 1 - p."""
    if not training:
        return x
    kept = Generator(rng).bits(x.size) < (1 - p) * 2**32
    if x.ndim == 4:
        n, c, h, w = x.shape
        kept = kept.reshape(n, h, w, c).transpose(0, 3, 1, 2)
    return np.where(kept.reshape(x.shape), x / (1 - p) if p < 1 else 0.0, 0.0)


for shape in [(), (1,), (13,), (7, 11), (0, 3), (2, 3, 5, 7), (3, 4, 5), (3, 5003)]:
    CASES.append(Case("dropout", (shape,), dropout, {"p": 0.25, "rng": 2}))  # the first is kept
CASES += [
    Case("dropout", ((5, 7),), dropout, {"p": 0.9, "rng": 3}),
    Case("dropout", ((5, 7),), dropout, {"p": 0.0, "rng": 3}),
    Case("dropout", ((5, 7),), dropout, {"p": 0.5, "training": False}),
    Case("dropout", ((2, 3, 5, 7),), dropout, {"p": 1.0, "rng": 3}, smooth=False),
]
