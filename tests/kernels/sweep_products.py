"""Families of the sweep: products, linear layers, convolutions."""

import numpy as np
from hypothesis import strategies as st

from minidl import ops
from minidl.kernels.matmul import matmul
from tests.kernels.sweep import agree, agree_as_product, both_ways, extents, family, leaf, numbers, wide

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
        agree(db, wide(dy).sum(0), np.abs(wide(dy)).sum(0), 3)


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


SIDE = st.tuples(st.integers(4, 20), st.just(3), st.just(1), st.integers(0, 2), st.just(1))
CHANNELS = st.sampled_from([16, 24, 29, 32, 40, 48, 64, 72])


@family(
    n=st.integers(1, 12) | st.integers(40, 90),
    down=SIDE,
    across=SIDE,
    groups=st.tuples(st.just(1), CHANNELS, CHANNELS),
    positive=st.booleans(),
    **FREE,
)
def convolutions_of_tiles(rng, dtype, n, down, across, groups, positive, bias, first):
    """As they can be had for fewer multiplications: 3 x 3, stride 1, from 16 channels on."""
    products = down[0] * across[0] * groups[1] * groups[2]
    n = max(1, min(n, 3_000_000 // products))  # the reference is slow
    check_convolution(rng, dtype, n, (down, across), groups, bias, first, positive)


def fitting(axis: tuple[int, ...]) -> tuple[int, ...]:
    """The axis with at least one window: a larger image, if need be."""
    size, kernel, stride, padding, dilation = axis
    return max(size, dilation * (kernel - 1) + 1 - 2 * padding, 1), kernel, stride, padding, dilation


def check_convolution(rng, dtype, n, axes, groups, bias, first, positive=False):
    parts, inputs, outputs = groups
    axes = [fitting(axis) for axis in axes]
    (h, kh, sy, py, gy), (w, kw, sx, px, gx) = axes
    x = numbers(rng, dtype, n, parts * inputs, h, w, positive=positive)
    weight = numbers(rng, dtype, parts * outputs, inputs, kh, kw, positive=positive)
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
        agree(db, upstream.sum(0), np.abs(upstream).sum(0), 3)


def by_pixel(x: np.ndarray) -> np.ndarray:
    """(N, C, H, W) as a row a pixel."""
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1)).reshape(-1, x.shape[1])
