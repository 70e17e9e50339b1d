"""The families of the sweep: products, convolutions, norms, softmax and losses, elementwise functions, pools, sums."""

from typing import Any

import numpy as np
from hypothesis import strategies as st

from minidl import Tensor, nn, ops, optim, tensor
from minidl.kernels.matmul import matmul
from tests.kernels.sweep import agree, agree_as_product, extents, family, wide
from tests.ops.cases_pooling import windows


def numbers(rng: np.random.Generator, dtype: Any, *shape: int, positive: bool = False) -> np.ndarray:
    """Random numbers; positive ones add up, and their rounding errors with them."""
    values = rng.random(shape, dtype) if positive else rng.standard_normal(shape, dtype)
    return values.astype(dtype)


def leaf(array: np.ndarray | None, needed: bool = True) -> Tensor | None:
    return None if array is None else tensor(array, requires_grad=needed)


def both_ways(function: Any, *leaves: Tensor | None, dy: np.ndarray | None = None, rng: Any = None) -> Any:
    """The output, the gradient it was given, and the gradient of each leaf."""
    y = function(*leaves)
    assert y.dtype == next(x for x in leaves if x is not None).dtype
    dy = numbers(rng, y.dtype, *y.shape) if dy is None else dy
    y.backward(dy)
    return y._array, dy, *(None if x is None else x.grad for x in leaves)


EDGES = {"m": extents(140), "k": extents(70) | st.integers(1, 3000), "n": extents(140)}
ORDERS = st.sampled_from(["C", "F"])


@family(**EDGES, left=ORDERS, right=ORDERS, positive=st.booleans(), bias=st.booleans(), given=st.booleans())
def products(rng, dtype, m, k, n, left, right, positive, bias, given):
    x = np.asarray(numbers(rng, dtype, m, k, positive=positive), order=left)
    y = np.asarray(numbers(rng, dtype, k, n, positive=positive), order=right)
    bias = bias and left == "C"  # which a transpose on the left has none of
    added = numbers(rng, dtype, n) if bias else None
    out = np.empty((m, n), dtype) if given else None
    got = matmul(x, y, out, added)
    assert out is None or got is out
    if bias:
        x, y = np.hstack([x, np.ones((m, 1), dtype)]), np.vstack([y, added])
    agree_as_product(got, x, y)


@family(
    n=extents(300),
    inputs=extents(400) | st.integers(1, 3000),
    outputs=extents(300),
    order=ORDERS,
    bias=st.booleans(),
    first=st.booleans(),
)
def linear(rng, dtype, n, inputs, outputs, order, bias, first):
    x, w = numbers(rng, dtype, n, inputs), numbers(rng, dtype, outputs, inputs)
    b = numbers(rng, dtype, outputs) if bias else None
    if order == "C":
        y, dy, dx, dw, db = both_ways(ops.linear, leaf(x, not first), leaf(w), leaf(b), rng=rng)
    else:
        turned = lambda x, *others: ops.linear(x.T, *others)  # noqa: E731
        y, dy, dx, dw, db = both_ways(turned, leaf(np.ascontiguousarray(x.T), not first), leaf(w), leaf(b), rng=rng)
        dx = None if dx is None else dx.T
    left, right = (x, w.T) if b is None else (np.hstack([x, np.ones((n, 1), dtype)]), np.vstack([w.T, b]))
    agree_as_product(y, left, right)
    agree_as_product(dw, dy.T, x)
    if first:
        assert dx is None
    else:
        agree_as_product(dx, dy, w)
    if bias:
        agree(db, wide(dy).sum(0), np.abs(wide(dy)).sum(0), 4)


def taps(size: int, kernel: int, stride: int, padding: int, dilation: int) -> np.ndarray:
    """The pixel that each window sees at each place, or -1 outside."""
    count = (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
    seen = np.arange(count)[:, None] * stride - padding + np.arange(kernel) * dilation
    return np.where((seen >= 0) & (seen < size), seen, -1)


def inverse(seen: np.ndarray, size: int) -> np.ndarray:
    """The window that sees each pixel at each place, or -1."""
    out = np.full((size, seen.shape[1]), -1)
    for window, place in zip(*np.nonzero(seen >= 0), strict=True):
        out[seen[window, place], place] = window
    return out


def gathered(x: np.ndarray, down: np.ndarray, across: np.ndarray) -> np.ndarray:
    """x (N, C, H, W) as (N, rows, columns, C, kh, kw), zero outside."""
    x = np.pad(x, ((0, 0), (0, 0), (0, 1), (0, 1)))  # what -1 stands for
    return x[:, :, down[:, None, :, None], across[None, :, None, :]].transpose(0, 2, 3, 1, 4, 5)


AXIS = st.tuples(extents(34), st.integers(1, 5), st.integers(1, 3), st.integers(0, 3), st.integers(1, 3))
GEOMETRY = {"n": st.integers(1, 5), "down": AXIS, "across": AXIS}
PARTS = st.tuples(st.integers(2, 4), extents(20), extents(20))
GROUPS = st.tuples(st.just(1), extents(70), extents(70)) | PARTS  # how many, and the channels of each on both sides
DEPTHWISE = st.tuples(extents(70), st.just(1), st.integers(1, 2))
FREE = {"bias": st.booleans(), "first": st.booleans()}


@family(**GEOMETRY, groups=GROUPS, **FREE)
def convolutions(rng, dtype, n, down, across, groups, bias, first):
    check_convolution(rng, dtype, n, (down, across), groups, bias, first)


@family(**GEOMETRY, groups=DEPTHWISE, **FREE)
def depthwise(rng, dtype, n, down, across, groups, bias, first):
    check_convolution(rng, dtype, n, (down, across), groups, bias, first)


@family(
    n=st.integers(1, 70),
    side=st.integers(1, 8),
    kernel=st.sampled_from([1, 2, 3, 3, 5]),
    groups=st.tuples(st.just(1), st.sampled_from([3, 16, 32, 33, 64]), st.sampled_from([16, 17, 32, 64, 65])),
    **FREE,
)
def convolutions_of_layers(rng, dtype, n, side, kernel, groups, bias, first):
    """As networks have them: small kernels that keep the size, many channels, many images."""
    axis = side, kernel, 1, kernel // 2, 1
    check_convolution(rng, dtype, n, (axis, axis), groups, bias, first)


def fitting(axis: tuple[int, ...]) -> tuple[int, ...]:
    """The axis with at least one window: a larger image, if need be."""
    size, kernel, stride, padding, dilation = axis
    return max(size, dilation * (kernel - 1) + 1 - 2 * padding, 1), kernel, stride, padding, dilation


def check_convolution(rng, dtype, n, axes, groups, bias, first):
    parts, inputs, outputs = groups
    axes = [fitting(axis) for axis in axes]
    (h, kh, sy, py, gy), (w, kw, sx, px, gx) = axes
    x, weight = numbers(rng, dtype, n, parts * inputs, h, w), numbers(rng, dtype, parts * outputs, inputs, kh, kw)
    b = numbers(rng, dtype, parts * outputs) if bias else None
    options = {"stride": (sy, sx), "padding": (py, px), "dilation": (gy, gx), "groups": parts}
    function = lambda *leaves: ops.conv2d(*leaves, **options)  # noqa: E731
    y, dy, dx, dw, db = both_ways(function, leaf(x, not first), leaf(weight), leaf(b), rng=rng)
    assert (dx is None) == first
    down, across = taps(*axes[0]), taps(*axes[1])
    for part in range(parts):
        ins, outs = (slice(part * size, (part + 1) * size) for size in (inputs, outputs))
        seen = gathered(x[:, ins], down, across).reshape(-1, inputs * kh * kw)
        kernel, upstream = weight[outs].reshape(outputs, -1), by_pixel(dy[:, outs])
        added = np.zeros(outputs, dtype) if b is None else b[outs]
        left, right = np.hstack([seen, np.ones((len(seen), 1), dtype)]), np.vstack([kernel.T, added])
        agree_as_product(by_pixel(y[:, outs]), left, right)
        agree_as_product(dw[outs].reshape(outputs, -1), upstream.T, seen)
        if not first:
            back = gathered(dy[:, outs], inverse(down, h), inverse(across, w)).reshape(n * h * w, -1)
            turned = weight[outs].transpose(0, 2, 3, 1).reshape(-1, inputs)
            agree_as_product(by_pixel(dx[:, ins]), back, turned)
    if bias:
        upstream = wide(by_pixel(dy))
        agree(db, upstream.sum(0), np.abs(upstream).sum(0), 4)


def by_pixel(x: np.ndarray) -> np.ndarray:
    """(N, C, H, W) as a row a pixel."""
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1)).reshape(-1, x.shape[1])


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
            agree(now, expected, np.abs(wide(then)) + np.abs(of_batch), 4)
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
    agree(y, expected, scale, 4)
    other = tuple(d for d in range(x.ndim) if d != 1)
    shaken = 1 + size / deviation  # of a normalised value, by the rounding of its mean
    if weight is not None:
        size = (np.abs(upstream * normed) + np.abs(upstream) * shaken).sum(other)
        agree(dw, (upstream * normed).sum(other), size, 8)
    if bias is not None:
        agree(db, upstream.sum(other), np.abs(upstream).sum(other), 8)
    pulled = upstream * w
    sums = [pulled.mean(axes, keepdims=True), (pulled * normed).mean(axes, keepdims=True)]
    sizes = [
        np.abs(pulled).mean(axes, keepdims=True),
        (np.abs(pulled) * (np.abs(normed) + shaken)).mean(axes, keepdims=True),
    ]
    gradient = (pulled - through * (sums[0] + normed * sums[1])) / deviation
    size = (np.abs(pulled) + through * (sizes[0] + (np.abs(normed) + shaken) * sizes[1])) / deviation
    agree(dx, gradient, size, 8)


SHAPE = st.lists(extents(40), min_size=1, max_size=3).map(tuple)


@family(shape=SHAPE | st.tuples(extents(70), extents(300)), place=st.integers(0, 2), large=st.booleans())
def softmax(rng, dtype, shape, place, large):
    dim, x = place % len(shape), numbers(rng, dtype, *shape) * dtype(20 if large else 1)
    away = wide(x) - wide(x).max(dim, keepdims=True)
    powers = np.exp(away)
    total = powers.sum(dim, keepdims=True)
    share = powers / total
    y, dy, dx = both_ways(lambda x: ops.softmax(x, dim=dim), leaf(x), rng=rng)
    loose = np.abs(away).max(dim, keepdims=True) + 1  # what rounding x - max does to a power
    agree(y, share, share * loose, 16)
    sums = (share * wide(dy)).sum(dim, keepdims=True)
    sizes = (share * np.abs(wide(dy))).sum(dim, keepdims=True)
    agree(dx, share * (wide(dy) - sums), share * (np.abs(wide(dy)) + sizes) * loose, 24)
    y, dy, dx = both_ways(lambda x: ops.log_softmax(x, dim=dim), leaf(x), rng=rng)
    agree(y, away - np.log(total), np.abs(away) + 1 + np.log(total), 8)
    total = wide(dy).sum(dim, keepdims=True)
    sizes = np.abs(wide(dy)).sum(dim, keepdims=True)
    agree(dx, wide(dy) - share * total, np.abs(wide(dy)) + share * sizes * loose, 24)


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
        agree(y, losses, sizes, 24)
    else:
        agree(y, losses.sum() / divisor, sizes.sum() / divisor, 24)
    upstream = (wide(dy)[:, None] if reduction == "none" else wide(dy)) / divisor
    total, share = mixed.sum(1, keepdims=True), np.exp(logs)
    size = np.abs(upstream) * (share * total * (np.abs(logs) + 1) + mixed)
    agree(dx, (share * total - mixed) * upstream, size + np.abs(upstream) * share * np.abs(values).max(), 24)


ANY_SHAPE = st.lists(st.integers(1, 12), min_size=0, max_size=4).map(tuple) | st.tuples(extents(5000))


@family(shape=ANY_SHAPE, slope=st.sampled_from([0.0, 0.01, 0.5]), large=st.booleans())
def activations(rng, dtype, shape, slope, large):
    x = numbers(rng, dtype, *shape) * dtype(30 if large else 1)
    exact = wide(x)
    y, dy, dx = both_ways(ops.relu, leaf(x), rng=rng)
    assert np.array_equal(y, np.maximum(x, 0)) and np.array_equal(dx, np.where(x > 0, dy, 0))
    y, dy, dx = both_ways(lambda x: ops.leaky_relu(x, negative_slope=slope), leaf(x), rng=rng)
    agree(y, np.where(x > 0, exact, exact * dtype(slope)), exact, 1)
    agree(dx, np.where(x > 0, wide(dy), wide(dy) * dtype(slope)), wide(dy), 1)
    y, dy, dx = both_ways(ops.tanh, leaf(x), rng=rng)
    agree(y, np.tanh(exact), np.tanh(exact), 4)
    agree(dx, (1 - np.tanh(exact) ** 2) * wide(dy), (1 + np.tanh(exact) ** 2) * wide(dy), 4)
    y, dy, dx = both_ways(ops.sigmoid, leaf(x), rng=rng)
    share = 1 / (1 + np.exp(-exact))
    agree(y, share, share, 4)
    agree(dx, share * (1 - share) * wide(dy), share * wide(dy), 6)
    y, dy, dx = both_ways(lambda x: ops.relu(x) + ops.leaky_relu(x) + x, leaf(x), rng=rng)  # three gradients, added up
    agree(dx, np.where(x > 0, 3, 1.01) * wide(dy), wide(dy), 8)


@family(shape=ANY_SHAPE, p=st.sampled_from([0.0, 0.1, 0.5, 0.9, 1.0]))
def dropout(rng, dtype, shape, p):
    x = numbers(rng, dtype, *shape)
    seed = int(rng.integers(1 << 30))
    y, dy, dx = both_ways(lambda x: ops.dropout(x, p=p, rng=seed), leaf(x), rng=rng)
    kept = y != 0
    scale = 1 / (1 - p) if p < 1 else 0.0
    agree(y, np.where(kept, wide(x) * scale, 0), wide(x) * scale, 1)
    agree(dx, np.where(kept, wide(dy) * scale, 0), wide(dy) * scale, 1)
    if x.size > 1000:
        assert abs(kept.mean() - (1 - p)) <= 6 * np.sqrt(p * (1 - p) / x.size)
    assert np.array_equal(ops.dropout(x, p=p, rng=seed)._array, y)


POOL_AXIS = st.tuples(extents(20), st.integers(1, 4), st.integers(1, 4), st.integers(0, 2), st.integers(1, 2))


@family(
    n=st.integers(1, 4),
    channels=extents(70),
    down=POOL_AXIS,
    across=POOL_AXIS,
    ceil=st.booleans(),
    counted=st.booleans(),
    halves=st.booleans(),
)
def pools(rng, dtype, n, channels, down, across, ceil, counted, halves):
    """`halves`: windows side by side, which have kernels of their own."""
    axes = [(2 * (axis[0] // 2 + 1), 2, 2, 0, 1) if halves else pool_axis(axis) for axis in (down, across)]
    x = numbers(rng, dtype, n, channels, axes[0][0], axes[1][0])
    sizes, kernel, stride, padding, dilation = zip(*axes, strict=True)
    options = {"kernel_size": kernel, "stride": stride, "padding": padding, "ceil_mode": ceil}
    y, dy, dx = both_ways(lambda x: ops.max_pool2d(x, dilation=dilation, **options), leaf(x), rng=rng)
    assert np.array_equal(ops.max_pool2d(x, dilation=dilation, **options)._array, y)
    seen = [np.array(windows(*axis, ceil)) for axis in axes]
    inside = [np.where((s >= 0) & (s < size), s, -1) for s, size in zip(seen, sizes, strict=True)]
    places = masked(x, inside)
    assert np.array_equal(y, np.moveaxis(np.nanmax(places, (4, 5)), 3, 1))
    taken = (places == np.nanmax(places, (4, 5), keepdims=True)).astype(dtype)
    check_pool_gradient(dx, dy, taken, inside)
    seen = [np.array(windows(*axis[:4], 1, ceil)) for axis in axes]
    inside = [np.where((s >= 0) & (s < size), s, -1) for s, size in zip(seen, sizes, strict=True)]
    y, dy, dx = both_ways(lambda x: ops.avg_pool2d(x, count_include_pad=counted, **options), leaf(x), rng=rng)
    ends = [s < size + pad if counted else i >= 0 for s, i, size, pad in zip(seen, inside, sizes, padding, strict=True)]
    divisor = np.multiply.outer(ends[0].sum(1), ends[1].sum(1))[None, :, :, None]
    places = wide(masked(x, inside))
    agree(
        y,
        np.moveaxis(np.nansum(places, (4, 5)) / divisor, 3, 1),
        np.moveaxis(np.nansum(np.abs(places), (4, 5)) / divisor, 3, 1),
        8,
    )
    check_pool_gradient(dx, dy, ~np.isnan(places) / wide(np.ones(1, dtype)) / divisor[..., None, None], inside)


def pool_axis(axis: tuple[int, ...]) -> tuple[int, ...]:
    """The axis with padding that the op allows, and at least one window."""
    size, kernel, stride, padding, dilation = axis
    padding = min(padding, kernel // 2)
    return max(size, dilation * (kernel - 1) + 1 - 2 * padding, 1), kernel, stride, padding, dilation


def masked(x: np.ndarray, inside: list[np.ndarray]) -> np.ndarray:
    """The windows' places (N, rows, columns, C, kh, kw), NaN outside the image."""
    out = gathered(x, *inside)
    outside = (inside[0] < 0)[:, None, None, :, None] | (inside[1] < 0)[None, :, None, None, :]
    return np.where(outside, np.nan, out).astype(x.dtype)


def check_pool_gradient(dx: np.ndarray, dy: np.ndarray, factors: np.ndarray, inside: list[np.ndarray]) -> None:
    """dx of a pixel: the sum over the windows that see it of dy times the factor of its place."""
    expected, size = (np.zeros((len(dx), *dx.shape[2:], dx.shape[1]), wide(dx).dtype) for _ in range(2))
    upstream = np.moveaxis(wide(dy), 1, -1)
    factors = np.broadcast_to(factors, (*upstream.shape, *factors.shape[4:]))
    for oy, ky in zip(*np.nonzero(inside[0] >= 0), strict=True):
        for ox, kx in zip(*np.nonzero(inside[1] >= 0), strict=True):
            part = upstream[:, oy, ox] * factors[:, oy, ox, :, ky, kx]
            expected[:, inside[0][oy, ky], inside[1][ox, kx]] += part
            size[:, inside[0][oy, ky], inside[1][ox, kx]] += np.abs(part)
    agree(dx, np.moveaxis(expected, -1, 1), np.moveaxis(size, -1, 1), 8)


@family(shape=SHAPE | st.tuples(extents(600), extents(200)), dims=st.sets(st.integers(0, 2), max_size=3))
def sums(rng, dtype, shape, dims):
    dim = tuple(sorted({d % len(shape) for d in dims})) or None
    x = numbers(rng, dtype, *shape)
    exact, axes = wide(x), dim if dim is not None else tuple(range(len(shape)))
    count = int(np.prod([shape[d] for d in axes]))
    size = np.abs(exact).sum(axes)
    for function, by in ((ops.sum, 1), (ops.mean, count)):
        y, dy, dx = both_ways(lambda x, f=function: f(x, dim=dim), leaf(x), rng=rng)
        agree(y, exact.sum(axes) / by, size / by, 4)
        back = np.broadcast_to(np.expand_dims(wide(dy), axes) / by, shape)
        agree(dx, back, back, 2)
    if count > 1:
        y, dy, dx = both_ways(lambda x: ops.var(x, dim=dim), leaf(x), rng=rng)
        away = exact - exact.mean(axes, keepdims=True)
        agree(y, (away**2).sum(axes) / (count - 1), (exact**2).sum(axes) / (count - 1), 8)
        back = 2 / (count - 1) * np.expand_dims(wide(dy), axes)
        agree(dx, away * back, (np.abs(exact) + size.reshape(np.shape(np.expand_dims(size, axes))) / count) * back, 8)


@family(
    shape=ANY_SHAPE, momentum=st.sampled_from([0.0, 0.9]), decay=st.sampled_from([0.0, 0.1]), nesterov=st.booleans()
)
def updates(rng, dtype, shape, momentum, decay, nesterov):
    start = numbers(rng, dtype, *shape)
    parameter = nn.Parameter(start)
    options = {"momentum": momentum, "weight_decay": decay, "nesterov": nesterov and momentum > 0}
    optimizer = optim.SGD([parameter], lr=0.1, **options)
    expected, velocity = wide(start), 0
    for _ in range(2):
        gradient = numbers(rng, dtype, *shape)
        parameter.grad = gradient.copy()
        optimizer.step()
        slope = wide(gradient) + decay * expected
        velocity = momentum * velocity + slope
        expected = expected - 0.1 * (slope + momentum * velocity if options["nesterov"] else velocity)
    agree(parameter._array, expected, np.abs(expected) + np.abs(wide(start)) + 1, 4)
