"""Families of the sweep: copies between arrays that lie in memory in different ways."""

import numpy as np
from hypothesis import strategies as st

from minidl.kernels.copying import assign
from minidl.kernels.layout import cleared_like, copied, dense, flat, zeros_like
from tests.kernels.sweep import extents, family
from tests.kernels.views import random_view

SHAPES = st.lists(st.integers(1, 9), min_size=0, max_size=6).map(tuple) | st.lists(
    extents(70), min_size=1, max_size=3
).map(tuple)


@family(shape=SHAPES, fewer=st.integers(0, 2), other=st.sampled_from([None, None, None, np.bool_, np.int64, np.int32]))
def copies(rng, dtype, shape, fewer, other):
    dtype = dtype if other is None else other
    x, _ = random_view(rng, dtype, shape[min(fewer, len(shape)) :])
    y, memory = random_view(rng, dtype, shape, writable=True)
    before = memory.copy()
    assign(y, x)
    assert np.array_equal(y, np.broadcast_to(x, shape))
    y[...] = x[(0,) * x.ndim]
    before_y, after = before.reshape(-1), memory.reshape(-1)
    assert np.sum(before_y != after) <= y.size


@family(shape=SHAPES)
def orders(rng, dtype, shape):
    x, _ = random_view(rng, dtype, shape)
    for made in (dense(x), copied(x)):
        memory = made.transpose(0, 2, 3, 1) if x.ndim == 4 else made
        assert memory.flags.c_contiguous and np.array_equal(made, x)
    assert not np.may_share_memory(copied(x), x)
    assert np.array_equal(flat(x), (x.transpose(0, 2, 3, 1) if x.ndim == 4 else x).reshape(-1))
    assert not zeros_like(x).any() and not cleared_like(x).any()
