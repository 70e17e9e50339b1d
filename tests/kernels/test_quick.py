"""The quick way in: it takes what its table holds, bit for bit as the door would, and leaves all else to the door."""

import sys

import numpy as np
import pytest
from numba import config

from minidl.kernels import launch as launching
from minidl.kernels.launch import MOST_TYPES, kernel, launch

pytestmark = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="without the JIT there is no machine code to enter")


def make():
    @kernel
    def mix(x, y, factor: float, offset: int, low, high):
        for i in range(low, high):
            y[i] = x[i] * factor + offset

    return mix


@pytest.fixture
def slow(monkeypatch):
    """How often the door was asked."""
    asked, anew = [], launching._launch_anew
    monkeypatch.setattr(launching, "_launch_anew", lambda *given: (asked.append(given), anew(*given)))
    return asked


@pytest.mark.parametrize("n", [1, 5, 100_000])
def test_the_second_launch_of_the_same_types_is_quick(n, slow):
    mix, x = make(), np.random.default_rng(0).standard_normal(n)
    for repeat, dtype in enumerate((np.float64, np.float32, np.float64, np.float32)):
        values, y = x.astype(dtype), np.empty(n, dtype)
        launch(mix, n, values, y, 0.5, -3)
        np.testing.assert_array_equal(y, values * dtype(0.5) - dtype(3))
        assert len(slow) == min(repeat + 1, 2)


def test_arrays_of_more_dimensions_and_large_numbers(slow):
    @kernel
    def describe(x, out, value: float, number: int, low, high):
        for i in range(low, high):
            out[i, 0], out[i, 1], out[i, 2] = x.shape[0], x.shape[1], x.shape[2]
            out[i, 3], out[i, 4], out[i, 5] = x[1, 2, 3], value, number

    for shape, value, number in (((2, 3, 4), 1.5, 2), ((5, 6, 7), -1e300, -(1 << 53)), ((3, 3, 5), np.inf, -1)):
        x, out = np.random.default_rng(0).standard_normal(shape), np.zeros((1, 6))
        launch(describe, 1, x, out, value, number)
        assert out[0].tolist() == [*shape, x[1, 2, 3], value, number]
    assert len(slow) == 1


def test_python_numbers_are_coerced_as_the_annotations_say(slow):
    mix, x, y = make(), np.arange(6.0), np.empty(6)
    for factor, offset in ((2.0, 1), (2, True), (True, False), (-7, -1), (1 << 60, 0)):
        launch(mix, 6, x, y, factor, offset)
        np.testing.assert_array_equal(y, x * float(factor) + offset)
    assert len(slow) == 1


def test_what_the_table_does_not_hold_goes_to_the_door(slow):
    mix, x, y = make(), np.arange(6.0), np.empty(6)
    launch(mix, 6, x, y, 2.0, 1)
    expected = x * 2 + 1
    for source, factor, offset in (
        (x.astype(np.float32), 2.0, 1),
        (x.astype(np.int64), 2.0, 1),
        (x.view(np.recarray), 2.0, 1),
        (np.frombuffer(b"\0" + x.tobytes(), np.float64, offset=1), 2.0, 1),  # not aligned
        (x, np.float32(2), 1),
        (x, 2.0, np.True_),
        (x, 2.0, np.int32(1)),
    ):
        before = len(slow)
        y[:] = 0
        launch(mix, 6, source, y, factor, offset)
        np.testing.assert_array_equal(y, expected)
        assert len(slow) == before + 1
    for wrong, message in (
        ((x[::2], y, 1.0, 1), "C-ordered"),
        ((x, y, 1.0), "expected 4 arguments, got 3"),
        ((x, y, 1.0, 1, 1), "expected 4 arguments, got 5"),
        ((x, None, 1.0, 1), "got NoneType"),
    ):
        with pytest.raises(TypeError, match=message):
            launch(mix, 3, *wrong)
    with pytest.raises(OverflowError):
        launch(mix, 3, x, y, 1.0, 1 << 70)
    before = len(slow)
    launch(mix, 6, x, y, 2.0, 1)
    assert len(slow) == before


def test_a_read_only_array_is_as_good_as_another(slow):
    mix, x, y = make(), np.arange(6.0), np.empty(6)
    launch(mix, 6, x, y, 2.0, 1)
    x.flags.writeable = False
    launch(mix, 6, x, y, 3.0, 1)
    assert np.array_equal(y, 3 * x + 1)
    assert len(slow) == 1


def test_a_full_table_takes_no_more_and_the_door_goes_on():
    mix = make()
    kinds = ("f4", "f8", "i4", "i8", "i2", "u1")
    for _ in range(3):
        for kind in kinds:
            x, y = np.arange(6, dtype=kind), np.empty(6)
            launch(mix, 6, x, y, 2.0, 1)
            assert np.array_equal(y, x * 2.0 + 1)
    assert mix.table[1] == MOST_TYPES


def test_launches_leave_no_references_behind():
    mix, x, y = make(), np.arange(6.0), np.empty(6)
    factor, offset = float("2.5"), int("12345")
    launch(mix, 6, x, y, factor, offset)
    held = (x, y, factor, offset, mix, True, False)
    before = [sys.getrefcount(each) for each in held]
    for _ in range(1000):
        launch(mix, 6, x, y, factor, offset)
        launch(mix, 6, x, y, np.float32(2), offset)
    assert max(abs(sys.getrefcount(e) - b) for e, b in zip(held, before, strict=True)) < 100
