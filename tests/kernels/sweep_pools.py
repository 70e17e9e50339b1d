"""Families of the sweep: pools."""

import numpy as np
from hypothesis import strategies as st

from minidl import ops
from tests.kernels.sweep import agree, both_ways, extents, family, leaf, numbers, wide
from tests.kernels.sweep_products import gathered
from tests.ops.cases_pooling import windows

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
    best = np.where(np.isnan(places), -np.inf, places).max((4, 5), keepdims=True)  # -inf where a window sees no pixel
    assert np.array_equal(y, np.moveaxis(best[..., 0, 0], 3, 1))
    taken = (places == best).astype(dtype)
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
        4,
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
    agree(dx, np.moveaxis(expected, -1, 1), np.moveaxis(size, -1, 1), 4)
