"""Layout, sums, exponentials and random bits against plain references."""

import copy
import math
import pickle
import sys

import numpy as np
import pytest
from numba import njit

from minidl import Generator
from minidl.kernels.dropout import dropout_forward
from minidl.kernels.exponential import exp, sigmoid, tanh
from minidl.kernels.launch import kernel, launch
from minidl.kernels.layout import dense, empty, flat, images, rows, zeros_like
from minidl.kernels.pointwise import BLOCK, sigmoid_single, tanh_single
from minidl.kernels.random import philox
from minidl.kernels.reduce import BLOCK_ROWS, column_sums, dot, merge, total
from minidl.random import as_generator, default_generator, manual_seed


@pytest.mark.parametrize("shape", [(), (3,), (2, 5), (2, 3, 5), (2, 3, 4, 5), (2, 1, 4, 5), (2, 3, 1, 1), (0, 3, 4, 5)])
def test_dense_keeps_the_numbers_and_orders_the_memory(shape):
    x = np.random.default_rng(0).standard_normal(shape)
    y = dense(x)
    assert np.array_equal(x, y) and y.shape == x.shape
    assert dense(y) is y
    memory = y.transpose(0, 2, 3, 1) if len(shape) == 4 else y
    assert memory.flags.c_contiguous
    assert np.shares_memory(flat(y), y) or not y.size
    assert np.array_equal(flat(y), memory.ravel())
    fresh = empty(shape, x.dtype)
    assert dense(fresh) is fresh
    assert np.array_equal(zeros_like(x), np.zeros(shape))


def test_rows_are_pixels():
    x = dense(np.arange(2 * 3 * 4 * 5.0).reshape(2, 3, 4, 5))
    assert rows(x).shape == (40, 3) and np.shares_memory(rows(x), x)
    assert np.array_equal(rows(x)[1], x[0, :, 0, 1])
    assert np.array_equal(images(x)[1, 2, 3], x[1, :, 2, 3])


@kernel
def reduce_both(x, y, out, low, high):
    for i in range(low, high):
        out[i, 0] = total(x[i])
        out[i, 1] = dot(x[i], y[i])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("length", [0, 1, 15, 16, 17, 100])
def test_sums_along_a_row(dtype, length):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, 3, length)).astype(dtype)
    out = np.empty((3, 2), dtype)
    launch(reduce_both, 3, x, y, out)
    for i in range(3):
        tolerance = 4 * float(np.finfo(dtype).eps) * max(1.0, float(np.abs(x[i]).sum()))
        assert out[i, 0] == pytest.approx(math.fsum(x[i].tolist()), abs=tolerance)
        products = [a * b for a, b in zip(x[i].tolist(), y[i].tolist(), strict=True)]
        assert out[i, 1] == pytest.approx(math.fsum(products), abs=4 * tolerance)


@pytest.mark.parametrize("count", [1, 5, BLOCK_ROWS, BLOCK_ROWS + 1, 2 * BLOCK_ROWS + 3])
def test_sums_down_columns(count):
    x = np.random.default_rng(0).standard_normal((count, 37))
    partial, sums, out = np.empty((-(-count // BLOCK_ROWS), 37)), np.empty(37), np.empty(37, np.float32)
    launch(column_sums, len(partial), x, partial)
    merge(partial, sums)
    merge(partial, out)
    np.testing.assert_allclose(sums, [math.fsum(x[:, c]) for c in range(37)], rtol=1e-13, atol=1e-13)
    assert np.array_equal(out, sums.astype(np.float32))


@kernel
def all_three(x, y, low, high):
    for i in range(low, high):
        y[i, 0], y[i, 1], y[i, 2] = exp(x[i]), tanh(x[i]), sigmoid(x[i])


def reference(x):
    with np.errstate(over="ignore"):
        return np.stack([np.exp(x), np.tanh(x), 1 / (1 + np.exp(-x))], 1)


def test_exponentials_in_float64_are_within_four_ulp():
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.uniform(-700, 700, 400), rng.uniform(-2, 2, 400), 10.0 ** rng.uniform(-300, 0, 200)])
    y = np.empty((x.size, 3))
    launch(all_three, x.size, x, y)
    expected = reference(x.astype(np.longdouble)).astype(np.float64)
    assert np.max(np.abs(y - expected) / np.spacing(np.abs(expected))) <= 4


def test_exponentials_in_float32_are_correctly_rounded_or_next_to_it():
    rng = np.random.default_rng(1)
    x = np.concatenate([rng.uniform(-104, 89, 500), rng.uniform(-3, 3, 500), 10.0 ** rng.uniform(-38, 0, 200)])
    x = x.astype(np.float32)
    y = np.empty((x.size, 3), np.float32)
    with np.errstate(over="ignore"):
        launch(all_three, x.size, x, y)
        expected = reference(x.astype(np.float64)).astype(np.float32)
    both = np.isfinite(expected)
    assert np.array_equal(both, np.isfinite(y))
    assert np.max(np.abs(y[both] - expected[both]) / np.spacing(np.abs(expected[both]))) <= 1


@pytest.mark.parametrize(("forward", "column"), [(tanh_single, 1), (sigmoid_single, 2)])
def test_tanh_and_sigmoid_of_float32_are_within_three_ulp(forward, column):
    rng = np.random.default_rng(2)
    x = np.concatenate([rng.uniform(-106, 106, 3000), rng.uniform(-9, 9, 3000), 10.0 ** rng.uniform(-45, 1, 1000)])
    x = np.concatenate([x, -x, [0.0, -0.0, np.inf, -np.inf, 3e38, -3e38, 9.01, -9.02, 17.2]]).astype(np.float32)
    y = np.empty_like(x)
    launch(forward, -(-x.size // BLOCK), x, y)
    expected = reference(x.astype(np.float64))[:, column].astype(np.float32)
    assert np.max(np.abs(y - expected) / np.spacing(np.abs(expected))) <= 3
    assert np.array_equal(y[expected == 0], expected[expected == 0])
    nan = np.full(3, np.nan, np.float32)
    launch(forward, 1, nan, y)
    assert np.isnan(y[:3]).all()


@njit
def words_of(seed, stream, counter):
    """Philox, for Python to call."""
    return philox(seed, stream, counter)


def test_dropout_keeps_by_the_words_of_philox():
    x, y, zeroed = np.ones(300), np.empty(300), np.empty(6, np.uint64)
    launch(dropout_forward, 3, x, y, zeroed, np.array([5, 2**40 + 7, 2**32 - 20]), 3 * 2**30, 4 / 3)
    counters = range(2**32 - 20, 2**32 + 55)
    words = [words_of(np.uint64(5), np.uint64(2**40 + 7), np.uint64(counter)) for counter in counters]
    kept = np.array(words, np.int64).reshape(-1) < 3 * 2**30
    assert np.array_equal(y, np.where(kept, 4 / 3, 0))
    assert np.array_equal(np.unpackbits(zeroed.view(np.uint8), bitorder="little")[:300], ~kept)
    launch(dropout_forward, 3, x, y, zeroed, np.array([5, 0, 0]), 2**32, 1.0)
    assert np.array_equal(y, x)


def test_exponentials_at_the_ends():
    x = np.array([np.nan, np.inf, -np.inf, 0.0, 800.0, -800.0, -745.0, 709.7])
    y = np.empty((x.size, 3))
    launch(all_three, x.size, x, y)
    assert np.isnan(y[0]).all()
    assert y[1].tolist() == [np.inf, 1, 1]
    assert y[2].tolist() == [0, -1, 0]
    assert y[3].tolist() == [1, 0, 0.5]
    assert y[4].tolist() == [np.inf, 1, 1]
    assert y[5, :2].tolist() == [0, -1]
    np.testing.assert_allclose(y[6:, 0], np.exp(x[6:]), rtol=1e-15, atol=0)


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        (0, "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        (2**64 - 1, "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ],
)
def test_philox_gives_its_authors_known_answers(word, expected):
    words = words_of(np.uint64(word), np.uint64(word), np.uint64(word))
    assert " ".join(f"{int(w):08x}" for w in words) == expected


def test_a_generator_is_a_function_of_seed_stream_and_position():
    a, b = Generator(3), Generator(3)
    assert np.array_equal(a.bits(10), b.bits(10)) and np.array_equal(a.bits(10), b.bits(10))
    assert not np.array_equal(Generator(3).bits(8), Generator(4).bits(8))
    assert not np.array_equal(Generator(3).bits(8), Generator(3).split(1).bits(8))
    state = a.state
    first = a.normal(5)
    a.state = state
    assert np.array_equal(a.normal(5), first)
    assert not np.array_equal(a.normal(5), first)


def test_the_state_of_a_generator_stays_where_it_is():
    g = Generator(5, 2)
    memory = g.words
    assert g.reserve(3).tolist() == [5, 2, 0] and g.reserve(2**40).tolist() == [5, 2, 3]
    assert g.state == (5, 2, 2**40 + 3) and repr(g) == f"Generator(seed=5, stream=2, position={2**40 + 3})"
    g.state = (7, 1, 4)
    twin = copy.deepcopy(g)
    twin.reserve(1)
    assert g.words is memory and memory.tolist() == [7, 1, 4] and twin.state == (7, 1, 5)
    assert np.array_equal(pickle.loads(pickle.dumps(g)).bits(9), g.bits(9))


def test_distributions():
    g = Generator(0)
    u = g.uniform(2000, -1, 3, dtype=np.float64)
    assert -1 <= u.min() < u.max() < 3
    assert u.mean() == pytest.approx(1, abs=0.1) and u.std() == pytest.approx(4 / 12**0.5, rel=0.05)
    n = g.normal((200, 10), 5, 2)
    assert n.dtype == np.float32 and n.shape == (200, 10)
    assert n.mean() == pytest.approx(5, abs=0.15) and n.std() == pytest.approx(2, rel=0.05)
    assert (abs(n - 5) > 4).mean() == pytest.approx(0.0455, abs=0.015)
    assert sorted(g.permutation(100)) == list(range(100))
    assert g.permutation(100).tolist() != list(range(100))


def test_the_same_numbers_on_any_machine():
    assert Generator(1).bits(4).tolist() == [int(w) for w in words_of(np.uint64(1), np.uint64(0), np.uint64(0))]
    assert Generator(42).permutation(6).tolist() == PERMUTATION
    np.testing.assert_array_equal(Generator(42).uniform(3), np.array(UNIFORM, np.float32))


PERMUTATION = [2, 5, 3, 1, 0, 4]
UNIFORM = [0.6129598617553711, 0.4685865044593811, 0.07323169708251953]


def test_the_default_generator():
    assert as_generator(None) is default_generator
    manual_seed(9)
    first = default_generator.bits(4)
    assert np.array_equal(as_generator(9).bits(4), first)
    given = Generator(1)
    assert as_generator(given) is given


def test_numpys_global_generator_is_left_alone():
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    manual_seed(1)
    Generator(0).normal(10)
    assert np.array_equal(np.random.get_state()[1], before)  # noqa: NPY002


@pytest.mark.parametrize("shape", [(1 << 14,), (3, 5, 64, 64), (128, 129)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8])
def test_a_large_array_begins_at_a_cache_line(shape, dtype):
    kept = [empty(shape, dtype) for _ in range(5)]
    assert all(x.ctypes.data % 64 == 0 and x.shape == shape and x.dtype == dtype for x in kept)
    assert all(dense(x) is x for x in kept)


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc can be told to keep freed memory")
def test_steps_do_not_fault_their_memory_in_anew():
    import resource  # a module of Unix alone

    def allocate():
        for _ in range(3):
            empty((3 << 20,), np.float32)[...] = 1  # 12 MiB

    allocate()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        allocate()
    # given back to the system, each of the 60 would fault in 3,072 pages again
    assert resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before < 3_072
