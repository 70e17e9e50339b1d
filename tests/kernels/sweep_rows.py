"""Families of the sweep: batch and layer normalization, softmax, cross-entropy."""

import numpy as np
from hypothesis import strategies as st

from minidl import ops
from tests.kernels.sweep import SHAPES, agree, both_ways, extents, family, leaf, numbers, wide

IMAGE = st.lists(st.integers(1, 9), min_size=0, max_size=2)
OFFSETS = st.sampled_from([0.0, 0.0, 1.0, 100.0])


@family(
    n=extents(70),
    channels=extents(130),
    image=IMAGE,
    offset=OFFSETS,
    training=st.booleans(),
    affine=st.sampled_from(["", "w", "b", "wb"]),
    activation=st.sampled_from([None, "relu"]),
)
def batch_norm(rng, dtype, n, channels, image, offset, training, affine, activation):
    shape = (max(n, 2), channels, *image)
    x = numbers(rng, dtype, *shape) + dtype(offset)
    weight = numbers(rng, dtype, channels) if "w" in affine else None
    bias = numbers(rng, dtype, channels) if "b" in affine else None
    running = numbers(rng, dtype, channels), numbers(rng, dtype, channels, positive=True) + dtype(0.5)
    moved = [value.copy() for value in running]
    function = lambda *leaves: ops.batch_norm(  # noqa: E731
        *leaves, running_mean=moved[0], running_var=moved[1], training=training, activation=activation
    )
    got = both_ways(function, leaf(x), leaf(weight), leaf(bias), rng=rng)
    axes = (0, *range(2, len(shape)))
    values = np.moveaxis(wide(x), 1, -1).reshape(-1, channels)
    mean, var = (values.mean(0), values.var(0)) if training else (wide(running[0]), wide(running[1]))
    size = np.abs(values).mean(0) if training else np.abs(mean)
    if training:
        unbiased = var * len(values) / (len(values) - 1)
        for now, then, of_batch in zip(moved, running, (mean, unbiased), strict=True):
            expected = 0.9 * wide(then) + 0.1 * of_batch
            agree(now, expected, np.abs(wide(then)) + np.abs(of_batch), 2)
    moments = [np.asarray(v).reshape(1, -1, *(1,) * len(image)) for v in (mean, var, size)]
    check_norm(x, weight, bias, moments, axes, training, activation, got)


@family(n=extents(140), size=extents(300), affine=st.sampled_from(["", "w", "b", "wb"]), offset=OFFSETS)
def layer_norm(rng, dtype, n, size, affine, offset):
    x = numbers(rng, dtype, n, max(size, 2)) + dtype(offset)
    weight = numbers(rng, dtype, x.shape[1]) if "w" in affine else None
    bias = numbers(rng, dtype, x.shape[1]) if "b" in affine else None
    function = lambda *leaves: ops.layer_norm(*leaves, normalized_shape=x.shape[1])  # noqa: E731
    got = both_ways(function, leaf(x), leaf(weight), leaf(bias), rng=rng)
    values = wide(x)
    moments = [f(v, axis=1, keepdims=True) for f, v in ((np.mean, values), (np.var, values), (np.mean, np.abs(values)))]
    check_norm(x, weight, bias, moments, (1,), True, None, got)


def check_norm(x, weight, bias, moments, axes, through, activation, got):
    """y = (x - mean) / deviation * weight + bias; `through`: gradients flow through mean and deviation as well.

    `moments`: mean, variance, and the mean of |x|, by which the rounding of the mean is measured.
    """
    y, dy, dx, dw, db = got
    per = (1, -1, *(1,) * (x.ndim - 2))
    w = wide(np.ones(x.shape[1], x.dtype) if weight is None else weight).reshape(per)
    b = wide(np.zeros(x.shape[1], x.dtype) if bias is None else bias).reshape(per)
    mean, deviation, size = moments[0], np.sqrt(moments[1] + 1e-5), moments[2]
    normed = (wide(x) - mean) / deviation
    lost = np.abs(w) * (np.abs(wide(x)) + size) / deviation  # by subtracting what is nearly equal
    expected = normed * w + b
    scale = lost + np.abs(normed * w) + np.abs(b)
    upstream = wide(dy)
    if activation:
        near = np.abs(expected) <= 8 * np.finfo(x.dtype).eps * scale  # either side of 0
        upstream = np.where((y > 0) if near.any() else expected > 0, upstream, 0)
        expected = np.maximum(expected, 0)
    agree(y, expected, scale, 2)
    other = tuple(d for d in range(x.ndim) if d != 1)
    shaken = 1 + size / deviation  # of a normalised value, by the rounding of its mean
    if weight is not None:
        size = (np.abs(upstream * normed) + np.abs(upstream) * shaken).sum(other)
        agree(dw, (upstream * normed).sum(other), size, 2)
    if bias is not None:
        agree(db, upstream.sum(other), np.abs(upstream).sum(other), 2)
    pulled = upstream * w
    sums = [pulled.mean(axes, keepdims=True), (pulled * normed).mean(axes, keepdims=True)]
    sizes = [
        np.abs(pulled).mean(axes, keepdims=True),
        (np.abs(pulled) * (np.abs(normed) + shaken)).mean(axes, keepdims=True),
    ]
    gradient = (pulled - through * (sums[0] + normed * sums[1])) / deviation
    size = (np.abs(pulled) + through * (sizes[0] + (np.abs(normed) + shaken) * sizes[1])) / deviation
    agree(dx, gradient, size, 4)


@family(shape=SHAPES | st.tuples(extents(70), extents(300)), place=st.integers(0, 2), large=st.booleans())
def softmax(rng, dtype, shape, place, large):
    dim, x = place % len(shape), numbers(rng, dtype, *shape) * dtype(20 if large else 1)
    away = wide(x) - wide(x).max(dim, keepdims=True)
    powers = np.exp(away)
    total = powers.sum(dim, keepdims=True)
    share = powers / total
    y, dy, dx = both_ways(lambda x: ops.softmax(x, dim=dim), leaf(x), rng=rng)
    loose = np.abs(away).max(dim, keepdims=True) + 1  # what rounding x - max does to a power
    agree(y, share, share * loose, 3)
    sums = (share * wide(dy)).sum(dim, keepdims=True)
    sizes = (share * np.abs(wide(dy))).sum(dim, keepdims=True)
    agree(dx, share * (wide(dy) - sums), share * (np.abs(wide(dy)) + sizes) * loose, 3)
    y, dy, dx = both_ways(lambda x: ops.log_softmax(x, dim=dim), leaf(x), rng=rng)
    agree(y, away - np.log(total), np.abs(away) + 1 + np.log(total), 4)
    total = wide(dy).sum(dim, keepdims=True)
    sizes = np.abs(wide(dy)).sum(dim, keepdims=True)
    agree(dx, wide(dy) - share * total, np.abs(wide(dy)) + share * sizes * loose, 3)


@family(
    n=extents(140),
    classes=extents(300),
    smoothing=st.sampled_from([0.0, 0.1, 1.0]),
    weighted=st.booleans(),
    ignored=st.booleans(),
    reduction=st.sampled_from(["mean", "sum", "none"]),
)
def cross_entropy(rng, dtype, n, classes, smoothing, weighted, ignored, reduction):
    x, labels = numbers(rng, dtype, n, classes) * dtype(3), rng.integers(0, classes, n)
    kept = np.ones(n, bool)
    if ignored and n > 1:
        kept[1:] = rng.random(n - 1) < 0.7
    weight = numbers(rng, dtype, classes, positive=True) + dtype(0.1) if weighted else None
    target = np.where(kept, labels, -100)
    options = {"reduction": reduction, "label_smoothing": smoothing}
    y, dy, dx = both_ways(lambda x: ops.cross_entropy(x, target, weight, **options), leaf(x), rng=rng)
    w = wide(np.ones(classes, dtype) if weight is None else weight)
    mixed = np.full((n, classes), smoothing / classes, w.dtype) * w
    mixed[np.arange(n), labels] += (1 - smoothing) * w[labels]
    mixed *= kept[:, None]
    values = wide(x)
    logs = values - values.max(1, keepdims=True)
    logs -= np.log(np.exp(logs).sum(1, keepdims=True))
    losses, divisor = -(mixed * logs).sum(1), (w[labels] * kept).sum() if reduction == "mean" else 1
    sizes = (mixed * (np.abs(logs) + 1)).sum(1)
    if reduction == "none":
        agree(y, losses, sizes, 8)
    else:
        agree(y, losses.sum() / divisor, sizes.sum() / divisor, 8)
    upstream = (wide(dy)[:, None] if reduction == "none" else wide(dy)) / divisor
    total, share = mixed.sum(1, keepdims=True), np.exp(logs)
    size = np.abs(upstream) * (share * total * (np.abs(logs) + 1) + mixed)
    agree(dx, (share * total - mixed) * upstream, size + np.abs(upstream) * share * np.abs(values).max(), 6)
