"""`flat`, `dense`, `empty` and `alike` in machine code: the answers of the Python functions that they stand in for."""

import gc
import inspect
import sys
import weakref

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import config

from minidl.kernels import layout
from minidl.kernels.launch import kernel, launch
from minidl.kernels.layout import alike, dense, empty, flat
from minidl.kernels.memory import ALIGN_FROM, CACHE_LINE

pytestmark = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="without the JIT the Python functions run")
PLAIN = {
    function.__name__: function.__self__ for function in (flat, dense, empty, alike)
}  # what a built-in function calls
SINGLE, DOUBLE = np.dtype(np.float32), np.dtype(np.float64)


@pytest.fixture(autouse=True, scope="module")
def started():
    @kernel
    def nothing(x, low, high):
        pass

    launch(nothing, 1, np.zeros(1))


def python_of(call) -> list[str]:
    """The Python functions that run while something is called."""
    names: list[str] = []
    sys.setprofile(lambda frame, event, _: names.append(frame.f_code.co_name) if event == "call" else None)
    try:
        call()
    finally:
        sys.setprofile(None)
    return names[1:]  # without the call itself


def same(mine: np.ndarray, plain: np.ndarray) -> bool:
    flags = "c_contiguous f_contiguous aligned writeable".split()
    return (
        mine.shape == plain.shape
        and all(s == t for n, s, t in zip(mine.shape, mine.strides, plain.strides, strict=True) if n > 1 and mine.size)
        and mine.dtype == plain.dtype
        and all(getattr(mine.flags, flag) == getattr(plain.flags, flag) for flag in flags)
    )


@st.composite
def views(draw):
    """Arrays of all dtypes and orders: canonical ones, transposes, slices, broadcasts, reversed and read-only ones."""
    shape = tuple(draw(st.lists(st.integers(0, 4), min_size=0, max_size=5)))
    dtype = np.dtype(draw(st.sampled_from(["f4", "f4", "f8", "i8", "?", "O", ">f4"])))
    x = np.arange(int(np.prod(shape)), dtype=np.float64).reshape(shape).astype(dtype)
    if x.ndim == 4 and draw(st.booleans()):
        x = np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    change = draw(st.sampled_from(["none", "none", "order", "slice", "spread", "back", "read", "subclass"]))
    if change == "order":
        x = x.transpose(draw(st.permutations(range(x.ndim))))
    elif change == "slice" and x.ndim:
        x = x[..., :: draw(st.integers(1, 2))][1:]
    elif change == "spread" and x.ndim:
        x = np.broadcast_to(x[:1], (3, *x.shape[1:])) if len(x) else x
    elif change == "back" and x.ndim:
        x = x[::-1]
    elif change == "read":
        x.flags.writeable = False
    return x.view(np.recarray) if change == "subclass" and x.dtype != object else x


@given(views())
@settings(max_examples=600, deadline=None)
def test_flat_and_dense_answer_what_the_python_functions_do(x):
    for function in (flat, dense):
        try:
            expected = PLAIN[function.__name__](x)
        except (TypeError, ValueError) as error:  # kernels copy no objects
            with pytest.raises(type(error)):
                function(x)
            continue
        found = function(x)
        assert same(found, expected)
        np.testing.assert_array_equal(found, expected)
        assert np.shares_memory(found, x) == np.shares_memory(expected, x)
        assert (found is x) == (expected is x)


@given(st.lists(st.integers(0, 6), max_size=9), st.sampled_from([SINGLE, DOUBLE, np.dtype(np.int64), np.float32, "?"]))
@settings(max_examples=300, deadline=None)
def test_empty_answers_arrays_like_those_of_the_python_function(extents, dtype):
    shape = tuple(extents)
    if int(np.prod([max(n, 1) for n in shape])) > 1 << 20:
        return
    x = empty(shape, dtype)
    assert same(x, PLAIN["empty"](shape, dtype))
    x[...] = 3  # the memory is there


@given(st.lists(views(), min_size=1, max_size=3), st.integers(0, 2))
@settings(max_examples=400, deadline=None)
def test_alike_answers_what_the_python_function_does(arrays, copies):
    arrays = [*arrays, *(arrays[0].copy("K") for _ in range(copies))]
    for some in (arrays, arrays[:1] + arrays[len(arrays) - copies :]):
        assert alike(*some) is PLAIN["alike"](*some)


def test_only_arrays_that_differ_in_nothing_that_matters_are_alike():
    x, y = np.zeros((3, 4), SINGLE), np.ones((3, 4), SINGLE)
    frozen = y.copy()
    frozen.flags.writeable = False
    loose = np.frombuffer(bytearray(49), np.uint8)[1:].view(SINGLE).reshape(3, 4)
    assert alike(x) and alike(x, y) and alike(x, y, x)
    for other in (
        y[:2],
        y.T,
        y.reshape(4, 3),
        y.astype(DOUBLE),
        frozen,
        loose,
        y[None],
        y.view(np.recarray),
        None,
        1.0,
    ):
        assert not alike(x, other) and not alike(x, y, other)
        assert not alike(other, x)


@pytest.mark.parametrize("shape", [(ALIGN_FROM - 1,), (ALIGN_FROM,), (128, 1000), (64, 3, 20, 20), (3, 16, 50, 50)])
@pytest.mark.parametrize("dtype", [SINGLE, DOUBLE])
def test_large_arrays_begin_at_a_cache_line_and_lie_within_their_memory(shape, dtype):
    made = [empty(shape, dtype) for _ in range(8)]
    for i, x in enumerate(made):
        x[...] = i
        if x.size >= ALIGN_FROM:
            assert x.ctypes.data % CACHE_LINE == 0
            start = x.base.ctypes.data
            assert start <= x.ctypes.data and x.ctypes.data + x.nbytes <= start + x.base.nbytes
    assert all((x == i).all() for i, x in enumerate(made))


def test_the_usual_arrays_do_not_reach_python():
    def use(*dtypes):
        for shape in ((), (5,), (3, 4), (2, 3, 4), (2, 3, 4, 5), (64, 16, 28, 28)):
            for dtype in dtypes:
                x = empty(shape, dtype)
                flat(x), dense(x), alike(*[empty((3,), dtype)] * 3)

    assert python_of(lambda: use(SINGLE, DOUBLE, np.dtype(np.int64))) == ["use"]
    assert python_of(lambda: empty((np.int64(3), True), SINGLE)) == []
    assert python_of(lambda: empty((2, 3), np.float32))[0] == "empty"
    assert python_of(lambda: flat(np.zeros((2, 3), np.int32)))[0] == "flat"


def test_they_are_described_as_the_python_functions_are():
    for function in (flat, dense, empty, alike):
        plain = PLAIN[function.__name__]
        assert list(inspect.signature(function).parameters) == list(inspect.signature(plain).parameters)
        assert function.__doc__ == plain.__doc__ and function.__module__ == layout.__name__


def test_what_is_not_as_usual_raises_what_the_python_functions_do():
    for shape, dtype in (((2, -1), SINGLE), ((2.5,), SINGLE), (3, SINGLE), ((1 << 70,), SINGLE), ((2,), "no such")):
        with pytest.raises((TypeError, ValueError, OverflowError)):
            empty(shape, dtype)
        assert sys.exc_info() == (None, None, None)
    held = sys.getrefcount(SINGLE)
    for shape in ((1 << 40, 1 << 40), (1 << 62,), ((1 << 32) + 1, 1 << 32), (1 << 50,)):
        with pytest.raises((MemoryError, ValueError)):
            empty(shape, SINGLE)
    assert sys.getrefcount(SINGLE) == held
    for arguments in ((), (np.zeros(2), np.zeros(2)), (None,), ([1.0],)):
        with pytest.raises((TypeError, AttributeError)):
            flat(*arguments)
    assert flat(x=np.zeros((2, 3))).shape == (6,)  # by name, in Python
    assert empty(shape=(2, 3), dtype=SINGLE).shape == (2, 3)


def test_every_reference_is_given_back():
    x, row = np.zeros((64, 16, 28, 28), SINGLE), np.zeros(7, SINGLE)
    image = dense(x)
    shape = (64, 16, 28, 28)
    held = [x, image, row, SINGLE, np.ndarray, shape]
    before = [sys.getrefcount(h) for h in held]
    for _ in range(1000):
        flat(image), dense(image), flat(row), dense(row), empty(shape, SINGLE), empty((3, 4), SINGLE), flat(x)
        alike(x, image), alike(x, row), alike(row, row)
    gc.collect()
    after = [sys.getrefcount(h) for h in held]
    assert after == before


def test_a_row_keeps_its_memory_alive_and_nothing_else_does():
    image = empty((8, 16, 28, 28), SINGLE)
    image[...] = np.arange(image.size).reshape(image.shape)
    room = weakref.ref(image.base)
    row, copy = flat(image), image.transpose(0, 2, 3, 1).flatten()
    assert row.base is image.base
    del image
    gc.collect()
    np.testing.assert_array_equal(row, copy)
    del row
    assert room() is None
