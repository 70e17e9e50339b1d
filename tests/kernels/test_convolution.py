"""Where windows lie, against plain loops; the same bits for any chunks and batches; no work that nobody needs."""

import numpy as np
import pytest

import minidl
from minidl import ops
from minidl.kernels import launch as launching
from minidl.kernels.convolution import sum_columns
from minidl.kernels.launch import launch
from minidl.kernels.layout import dense
from minidl.kernels.product import CHAIN
from minidl.ops import convolution, depthwise
from minidl.ops.geometry import axis, count_windows
from minidl.ops.windows import Steps, runs

every_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def table(size, kernel, stride, padding, dilation):
    count = count_windows(size, kernel, stride, 2 * padding, dilation)
    return axis(size, kernel, stride, padding, dilation, count)


def numbers(seed, *shape, dtype=np.float64):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def test_tables_by_hand():
    taps, back = axis(4, 3, 2, 1, 1, 2)
    assert taps.tolist() == [[-1, 0, 1], [1, 2, 3]]
    assert back.tolist() == [[-1, 0, -1], [1, -1, 0], [-1, 1, -1], [-1, -1, 1]]


@pytest.mark.parametrize(
    "options", [(7, 3, 2, 0, 1), (7, 3, 2, 4, 2), (1, 1, 1, 0, 1), (5, 5, 3, 2, 1), (4, 2, 5, 1, 3)]
)
def test_tables_follow_the_definition_and_invert_each_other(options):
    size, _, stride, padding, dilation = options
    taps, back = table(*options)
    for o, k in np.ndindex(taps.shape):
        i = o * stride - padding + k * dilation
        assert taps[o, k] == (i if 0 <= i < size else -1)
        assert taps[o, k] < 0 or back[taps[o, k], k] == o
    assert (taps >= 0).sum() == (back >= 0).sum()


@pytest.mark.parametrize("size", range(1, 9))
def test_the_number_of_windows(size):
    """Counted one by one: a window fits, or, rounding up, begins inside the image or the padding before it."""
    for kernel, stride, padding, dilation in np.ndindex(4, 4, 2, 3):
        kernel, stride, dilation = kernel + 1, stride + 1, dilation + 1
        reach = dilation * (kernel - 1)
        if 2 * padding > kernel or size + 2 * padding <= reach:
            continue
        starts = range(-padding, size + padding, stride)
        fits = [s for s in starts if s + reach < size + padding]
        assert count_windows(size, kernel, stride, 2 * padding, dilation) == len(fits)
        # rounding up adds one window if the last one that fits leaves places over, and if it starts early enough
        over = fits[-1] + reach + 1 < size + padding and fits[-1] + stride < size
        assert count_windows(size, kernel, stride, 2 * padding, dilation, True) == len(fits) + over


@pytest.mark.parametrize(
    "options", [(7, 3, 1, 1, 1), (9, 3, 2, 1, 1), (7, 3, 2, 4, 2), (1, 1, 1, 0, 1), (5, 5, 3, 2, 1), (4, 2, 5, 1, 3)]
)
def test_runs_say_what_the_tables_say(options):
    """Every position is in one run, and the run knows which places it sees, and where."""
    for seen, period in zip(table(*options), (1, options[2]), strict=True):
        told = np.full(seen.shape, -2)
        for run in runs(seen, period):
            for i in range(run.length):
                position = run.start + run.step * i
                assert (told[position] == -2).all()
                told[position] = -1
                told[position, list(run.places)] = np.array(run.sources, int) + run.apart * i
        assert np.array_equal(told, seen)


def test_the_inside_of_an_image_is_one_run():
    taps, _ = table(9, 3, 1, 1, 1)
    assert [(run.start, run.length, run.places) for run in runs(taps, 1)] == [
        (0, 1, (1, 2)),
        (1, 7, (0, 1, 2)),
        (8, 1, (0, 1)),
    ]


@every_dtype
@pytest.mark.parametrize("options", [(7, 3, 1, 1, 1), (9, 3, 2, 1, 1), (5, 2, 3, 0, 1), (6, 3, 1, 2, 2)])
def test_sums_of_columns_add_up_what_each_pixel_was_seen_as(options, dtype):
    taps, back = table(*options)
    columns = numbers(1, 4, len(taps), options[1] * 2, dtype=dtype)
    dx, expected = np.full((4, options[0], 2), np.nan, dtype), np.zeros((4, options[0], 2))
    launch(sum_columns, 4, columns, back, dx)
    for o, k in zip(*np.nonzero(taps >= 0), strict=True):
        expected[:, taps[o, k]] += columns[:, o, 2 * k : 2 * k + 2]
    np.testing.assert_allclose(dx, expected, rtol=1e-5 if dtype == np.float32 else 1e-13, atol=1e-6)


@pytest.mark.parametrize("length", [1, CHAIN, CHAIN + 1, 2 * CHAIN, 3 * CHAIN + 3, 257])
def test_long_runs_are_cut_into_chains(length):
    cut = Steps(np.array([5, 10_000]), np.array([7, 0]), length, 2, 3).cut()
    assert cut.length <= CHAIN
    for starts, step, wanted in ((cut.a, 2, (5, 10_000)), (cut.b, 3, (7, 0))):
        terms = np.add.outer(starts, np.arange(cut.length) * step).ravel()
        assert np.array_equal(terms, np.concatenate([start + np.arange(length) * step for start in wanted]))


def run(groups=1, first_layer=False):
    """Output and gradients of a convolution."""
    x = minidl.tensor(numbers(0, 5, 6, 9, 8, dtype=np.float32), requires_grad=not first_layer)
    weight = minidl.tensor(numbers(1, 6, 6 // groups, 3, 3, dtype=np.float32), requires_grad=True)
    bias = minidl.tensor(numbers(2, 6, dtype=np.float32), requires_grad=True)
    y = ops.conv2d(x, weight, bias, padding=1, groups=groups)
    y.backward(numbers(3, *y.shape, dtype=np.float32))
    return [y.numpy(), x.grad, weight.grad, bias.grad]


@pytest.mark.parametrize("groups", [1, 2, 6])
def test_chunks_do_not_change_a_bit(groups, monkeypatch):
    outcomes = []
    for share_from in (0, 1 << 60):
        monkeypatch.setattr(launching, "SHARE_FROM", share_from)
        outcomes.append(run(groups))
    for one, other in zip(*outcomes, strict=True):
        np.testing.assert_array_equal(one, other)
        assert dense(one) is one


@pytest.mark.parametrize("size", [1, 2, 5, 14])
def test_an_image_alone_equals_its_image_in_a_batch(size):
    x, weight = numbers(0, 29, 20, size, size, dtype=np.float32), numbers(1, 3, 20, 3, 3, dtype=np.float32)
    dy = numbers(2, 29, 3, size, size, dtype=np.float32)

    def both(part):
        images = minidl.tensor(x[part], requires_grad=True)
        y = ops.conv2d(images, weight, padding=1)
        y.backward(dy[part])
        return y.numpy(), images.grad

    together = both(slice(None))
    for n in range(0, 29, 7):
        for one, all_ in zip(both(slice(n, n + 1)), together, strict=True):
            np.testing.assert_array_equal(one[0], all_[n])


def test_a_place_that_no_pixel_sees_has_no_gradient():
    """Of a window of 3 x 3 on one padded pixel, all places but the middle lie in the padding."""
    x, weight = numbers(0, 2, 3, 1, 1), minidl.tensor(numbers(1, 2, 3, 3, 3), requires_grad=True)
    ops.conv2d(x, weight, padding=1).backward(np.ones((2, 2, 1, 1)))
    assert not np.delete(weight.grad.reshape(6, 9), 4, 1).any() and weight.grad[:, :, 1, 1].all()


def test_a_pixel_that_no_window_sees_has_no_gradient_and_a_window_of_padding_sees_the_bias():
    x, weight = minidl.tensor(numbers(0, 1, 2, 5, 5), requires_grad=True), numbers(1, 3, 2, 1, 1)
    y = ops.conv2d(x, weight, np.arange(3.0), stride=3, padding=1)
    y.backward(np.ones(y.shape))
    assert np.array_equal(y.numpy()[0, :, 0, 0], np.arange(3.0))
    seen = np.zeros((5, 5), bool)
    seen[2, 2] = True
    assert np.array_equal(x.grad[0].any(0), seen)


@pytest.mark.parametrize("groups", [1, 6])
def test_a_first_layer_makes_no_gradient_of_its_input(groups, monkeypatch):
    seen = []

    def watched(kernel, *arguments, **options):
        seen.append(kernel.name)
        launch(kernel, *arguments, **options)

    for module in (convolution, depthwise):
        monkeypatch.setattr(module, "launch", watched)
    assert run(groups, first_layer=True)[1] is None
    products = [name for name in seen if name in ("multiply", "slide", "correlate")]
    assert products == (["multiply"] * 2 if groups == 1 else ["slide", "correlate"])
