"""Products by the tile: every tail, both dtypes, every order of memory, and not one element beyond the arrays."""

import ctypes
import mmap

import numpy as np
import pytest
from numba import config

from minidl.kernels import launch as launching
from minidl.kernels.fingerprint import fingerprint
from minidl.kernels.matmul import COPY_FROM, PAGE, SPREAD_FROM, TERMS, matmul
from minidl.kernels.product import CHAIN, multiply

SMALL = bool(config.DISABLE_JIT)  # plain Python: fewer shapes
EXTENTS = [1, 2, 5, 17] if SMALL else [1, 2, 3, 7, 8, 11, 12, 13, 15, 16, 17, 31, 32, 33, 49, 65]
DTYPES = [np.float32, np.float64]


def orders(array):
    return array, np.asfortranarray(array)


def close(got, x, y):
    """Within twice the error that NumPy's product in the same dtype may make."""
    exact = x.astype(np.float64) @ y.astype(np.float64)
    size = np.abs(x).astype(np.float64) @ np.abs(y).astype(np.float64)
    assert np.all(np.abs(got - exact) <= 4 * np.finfo(got.dtype).eps * np.sqrt(x.shape[1]) * size + 1e-300)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("m", EXTENTS)
def test_products_of_every_small_shape(m, dtype):
    rng = np.random.default_rng(m)
    for n in EXTENTS:
        for k in (1, 3) if SMALL else (1, 3, 40, CHAIN, CHAIN + 1):
            x, y = rng.standard_normal((m, k)).astype(dtype), rng.standard_normal((k, n)).astype(dtype)
            for left in orders(x):
                for right in orders(y):
                    got = matmul(left, right)
                    assert got.dtype == dtype and got.shape == (m, n)
                    close(got, x, y)


@pytest.mark.skipif(SMALL, reason="large products are too slow in plain Python")
@pytest.mark.parametrize("dtype", DTYPES)
def test_products_whose_right_operand_is_copied_to_panels(dtype):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((COPY_FROM + 3, 37)), rng.standard_normal((37, COPY_FROM + 5))
    x, y = x.astype(dtype), y.astype(dtype)
    for left in orders(x):
        for right in orders(y):
            close(matmul(left, right), x, y)


@pytest.mark.skipif(SMALL, reason="large products are too slow in plain Python")
@pytest.mark.parametrize("dtype", DTYPES)
def test_products_whose_left_operand_lies_pages_apart(dtype):
    rng, k = np.random.default_rng(0), PAGE // dtype().itemsize
    x, y = rng.standard_normal((SPREAD_FROM + 5, k)).astype(dtype), rng.standard_normal((k, SPREAD_FROM)).astype(dtype)
    together = matmul(x, y)
    close(together, x, y)
    assert np.array_equal(matmul(np.asfortranarray(x), y), together)
    assert np.array_equal(matmul(x[7:20], y), together[7:20])
    x, y = rng.standard_normal((k, 37)).astype(dtype), rng.standard_normal((37, SPREAD_FROM)).astype(dtype)
    turned = matmul(np.asfortranarray(x), y)
    close(turned, x, y)
    assert np.array_equal(turned, matmul(x, y))


def test_a_row_alone_equals_its_row_in_a_batch():
    rng, k = np.random.default_rng(0), 21 if SMALL else 2_100
    x, y = rng.standard_normal((29, k), dtype=np.float32), rng.standard_normal((k, 19), dtype=np.float32)
    together = matmul(x, y)
    for i in range(29):
        assert np.array_equal(matmul(x[i : i + 1], y)[0], together[i])


def test_a_bias_is_added_once_however_long_the_sum():
    rng = np.random.default_rng(0)
    for k in (0, 1, CHAIN, 5 if SMALL else 3_000):
        x, y, bias = (rng.standard_normal(shape) for shape in ((5, k), (k, 37), (37,)))
        for left in orders(x):
            np.testing.assert_allclose(matmul(left, y, bias=bias), x @ y + bias, atol=1e-11)


def test_few_rows_times_a_long_transpose_equal_the_rows_of_many():
    rng = np.random.default_rng(0)
    k, n = (3, 40) if SMALL else (600, 700)
    x, weight, bias = (rng.standard_normal(shape, dtype=np.float32) for shape in ((n, k), (n, k), (n,)))
    whole = matmul(x, weight.T, bias=bias)
    for m in (1, 13, 40):
        assert np.array_equal(matmul(x[:m], weight.T, bias=bias), whole[:m])
    for rows, right in ((x[:9], weight.T), (x[:9], np.ascontiguousarray(weight.T)), (x[:1], weight.T[:, :5])):
        assert np.array_equal(matmul(rows, right), matmul(x, right)[: len(rows)])


def test_a_long_sum_of_few_columns_equals_the_transpose_of_one_of_many():
    rng = np.random.default_rng(0)
    for k in (TERMS, TERMS + CHAIN + 7) if SMALL else (TERMS, 5 * TERMS + 7):
        x, y = rng.standard_normal((k, 32), dtype=np.float32), rng.standard_normal((k, 27), dtype=np.float32)
        close(matmul(x.T, y), x.T, y)
        assert np.array_equal(matmul(x.T, y), matmul(y.T, x).T)
        close(matmul(x.T, np.asfortranarray(y)), x.T, y)


def test_long_sums_err_no_more_than_numpys():
    rng = np.random.default_rng(0)
    x, y = rng.random((3, 5_000), dtype=np.float32), rng.random((5_000, 4), dtype=np.float32)
    exact = x.astype(np.float64) @ y.astype(np.float64)
    ours, theirs = (np.abs(product - exact).max() for product in (matmul(x, y), x @ y))
    assert ours <= 2 * theirs + 1e-5 * exact.max()


def test_an_empty_sum_is_zero_and_nothing_times_something_is_nothing():
    for m, n in ((2, 3), (2 * COPY_FROM, COPY_FROM), (SPREAD_FROM, SPREAD_FROM))[: 1 if SMALL else 3]:
        assert np.array_equal(matmul(np.ones((m, 0)), np.ones((0, n))), np.zeros((m, n)))
    assert matmul(np.ones((0, 2)), np.ones((2, 3))).shape == (0, 3)
    assert matmul(np.ones((3, 2)), np.ones((2, 0))).shape == (3, 0)


def test_nan_and_infinity_come_through():
    x, y = np.ones((3, 4), np.float32), np.ones((4, 5), np.float32)
    x[1, 2], y[0, 3] = np.nan, np.inf
    with np.errstate(invalid="ignore"):
        np.testing.assert_array_equal(matmul(x, y), x @ y)


def test_how_the_work_is_shared_does_not_matter(monkeypatch):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((61, 30), dtype=np.float32), rng.standard_normal((30, 70), dtype=np.float32)
    whole = matmul(x, y)
    monkeypatch.setattr(launching, "SHARE_FROM", 0)
    monkeypatch.setattr(launching, "CHUNK", 1)
    assert np.array_equal(matmul(x, y), whole)


def fenced(array, fences):
    """A copy of the array whose last byte is followed by a page that must not be touched."""
    page = mmap.PAGESIZE
    size = -(-array.nbytes // page) * page
    memory = mmap.mmap(-1, size + page)
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.mprotect(ctypes.c_void_p(start + size), ctypes.c_size_t(page), 0) == 0
    fences.append((memory, start + size, page, libc))
    copy = np.frombuffer(memory, array.dtype, array.size, offset=size - array.nbytes).reshape(array.shape)
    copy[...] = array
    return copy


@pytest.mark.skipif(SMALL or not hasattr(mmap, "PROT_READ"), reason="needs machine code, and memory pages as on Unix")
@pytest.mark.parametrize("dtype", DTYPES)
def test_nothing_is_read_or_written_behind_an_array(dtype):
    rng, fences = np.random.default_rng(0), []
    for m, k, n in [(1, 1, 1), (13, 5, 17), (12, 3, 32), (14, 257, 33), (5, 4, 31), (300, 3, 270)]:
        x, y = rng.standard_normal((m, k)).astype(dtype), rng.standard_normal((k, n)).astype(dtype)
        out = fenced(np.zeros((m, n), dtype), fences)
        for left in (fenced(x, fences), fenced(x.T, fences).T):
            for right in (fenced(y, fences), fenced(y.T, fences).T):
                close(matmul(left, right, out=out), x, y)
    for _, address, page, libc in fences:
        libc.mprotect(ctypes.c_void_p(address), ctypes.c_size_t(page), 3)


@pytest.mark.skipif(SMALL, reason="without the JIT the tiles are plain Python, and nothing is cached")
def test_the_fingerprint_of_a_kernel_sees_its_tiles(monkeypatch):
    before = fingerprint(multiply.function)
    monkeypatch.setattr("minidl.kernels.simd.VECTORS", 3)
    assert fingerprint(multiply.function) != before
