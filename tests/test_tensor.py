"""Tensors: making, reading, printing."""

import pickle

import numpy as np
import pytest

import minidl
from minidl import nn, ones, randn, tensor, zeros
from minidl.kernels.memory import CACHE_LINE


def test_lists_become_float32_and_arrays_keep_their_dtype():
    assert tensor([1.0, 2.0]).dtype == np.float32
    assert tensor(2.5).dtype == np.float32
    assert tensor([1, 2]).dtype == np.int64
    assert tensor(np.zeros(2)).dtype == np.float64
    assert tensor([True]).dtype == np.bool_
    assert tensor(np.zeros(2, ">f4")).dtype == np.dtype("=f4")
    assert tensor([1, 2], dtype=np.float64).dtype == np.float64


def test_dtypes_are_numpys_own_objects_by_which_kernels_are_found():
    unpickled = pickle.loads(pickle.dumps(np.ones(2, np.float32)))  # has another one
    made = [tensor([1.0]), ones(2), zeros(2), randn(2), tensor(np.ones(2), "float32"), tensor(unpickled)]
    made += [tensor(np.zeros(2, ">f4")), ones(2, dtype="float64").to("float32"), nn.Linear(2, 2).to("float32").weight]
    assert all(x.dtype is np.dtype(np.float32) for x in made)


def test_tensor_copies():
    array = np.zeros(3, np.float32)
    x = tensor(array)
    array[0] = 1
    assert x.tolist() == [0, 0, 0]
    assert tensor(x).numpy() is not x.numpy()


def test_images_lie_channels_last():
    array = np.random.default_rng(0).standard_normal((2, 3, 4, 5))
    x = tensor(array)
    assert x.numpy().transpose(0, 2, 3, 1).flags.c_contiguous
    assert np.array_equal(x.numpy(), array)


def test_reading():
    x = tensor([[1.0, 2.0, 3.0]])
    assert (x.shape, x.ndim, x.size, len(x)) == ((1, 3), 2, 3, 1)
    assert [row.tolist() for row in x] == [[1, 2, 3]]
    assert np.asarray(x).tolist() == [[1, 2, 3]]
    assert np.array(x, dtype=np.float64).dtype == np.float64
    assert (float(tensor(2.5)), int(tensor(3)), bool(tensor(0.0))) == (2.5, 3, False)
    assert [10, 20, 30][tensor(1)] == 20
    assert f"{tensor(1.23456):.2f}" == "1.23"
    assert x.T.shape == (3, 1)
    assert x.to("float64").dtype == np.float64 and x.to(np.float32) is x


def test_reading_refuses():
    with pytest.raises(ValueError, match=r"item: expected one element, got shape \(2,\)"):
        tensor([1.0, 2.0]).item()
    with pytest.raises(ValueError, match="item: expected one element"):
        bool(tensor([1.0, 2.0]))
    with pytest.raises(TypeError, match="without dimensions"):
        len(tensor(1.0))
    with pytest.raises(ValueError, match=r"T: expected a matrix, got shape \(2,\)"):
        tensor([1.0, 2.0]).T  # noqa: B018
    with pytest.raises(AttributeError, match="requires_gard"):
        tensor(1.0).requires_gard = True


def test_repr():
    assert repr(tensor([1.0, 2.5])) == "tensor([1. , 2.5])"
    assert repr(tensor([1, 2])) == "tensor([1, 2])"
    assert repr(tensor(np.zeros(1), requires_grad=True)) == "tensor([0.], dtype=float64, requires_grad=True)"
    assert repr(tensor([1.0], requires_grad=True) * 2) == "tensor([2.], made_by=multiply)"


def test_comparisons_are_tensors_and_hashing_is_by_identity():
    x = tensor([1.0, 2.0])
    assert (x == 1).tolist() == [True, False]
    assert (x != 1).tolist() == [False, True]
    assert (1 < x).tolist() == [False, True]
    assert len({x, x, tensor([1.0, 2.0])}) == 2


def test_operators_with_arrays_and_numbers_on_the_left():
    x = tensor([1.0, 4.0])
    assert (np.ones(2, np.float32) - x).tolist() == [0, -3]
    assert isinstance(np.ones(2, np.float32) * x, minidl.Tensor)
    assert (1 / x).tolist() == [1, 0.25]
    assert (2**x).tolist() == [2, 16]
    assert (np.eye(2, dtype=np.float32) @ x).tolist() == [1, 4]
    assert abs(-x).tolist() == [1, 4]


def test_making():
    assert minidl.zeros(2, 3).tolist() == [[0, 0, 0], [0, 0, 0]]
    assert minidl.ones((2,), dtype=np.float64).dtype == np.float64
    assert minidl.zeros(2, 3, 4, 5).numpy().transpose(0, 2, 3, 1).flags.c_contiguous
    assert np.array_equal(minidl.randn(3, rng=1).numpy(), minidl.randn(3, rng=1).numpy())
    minidl.manual_seed(5)
    first = minidl.randn(3).tolist()
    assert minidl.randn(3).tolist() != first
    minidl.manual_seed(5)
    assert minidl.randn(3).tolist() == first


def test_joining():
    a, b = tensor([1.0]), tensor([2.0])
    assert minidl.concatenate([a, b]).tolist() == [1, 2]
    assert minidl.stack([a, b]).tolist() == [[1], [2]]
    assert minidl.where(a > 0, a, b).tolist() == [1]


def test_indexing_with_tensors_and_lists():
    x = tensor([[1.0, 2.0], [3.0, 4.0]])
    assert x[tensor([1, 0])].tolist() == [[3, 4], [1, 2]]
    assert x[[1]].tolist() == [[3, 4]]
    assert x[x > 2].tolist() == [3, 4]
    assert x[..., 0].tolist() == [1, 3]
    x[0, 1] = 9
    assert x.tolist() == [[1, 9], [3, 4]]


def test_numbers_take_the_dtype_of_the_tensors_but_not_of_masks():
    x = tensor([-1.0, 4.0])
    assert minidl.where(x > 0, x, 0.5).dtype == np.float32
    assert minidl.where(x > 0, x, 0.5).tolist() == [0.5, 4]
    assert minidl.where(x > 0, 1.0, 0.5).dtype == np.float32
    assert minidl.where(x > 0, tensor(np.ones(2)), 0.1).tolist() == [0.1, 1]  # in float64 from the start
    assert minidl.stack([1.0, 2.0]).dtype == np.float32
    pixels = tensor(np.array([0, 255], np.uint8))
    assert (pixels + 1).dtype == np.uint8
    assert (pixels == -1).tolist() == [False, False] and (pixels < 300).tolist() == [True, True]


def test_another_dtype_is_recorded():
    x = tensor([1.5, 2.0], requires_grad=True)
    y = x.to("float64")
    assert y.dtype == np.float64 and y.requires_grad
    (y * y).sum().backward()
    assert x.grad is not None and x.grad.dtype == np.float32 and x.grad.tolist() == [3, 4]
    assert x.to("int64").tolist() == [1, 2] and not x.to("int64").requires_grad
    assert (x > 1.6).to("float32").mean().item() == 0.5


def test_a_number_has_one_dimension_to_reduce():
    assert tensor(2.0).sum(-1).item() == tensor(2.0).sum(0).item() == 2


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
@pytest.mark.parametrize(
    ("shape", "at", "value"),
    [
        ((5,), ..., (5,)),
        ((4, 3), slice(None), (3,)),
        ((4, 3), (slice(1, 3), 2), (2,)),
        ((4, 3), 2, ()),
        ((4, 3), (3, 1), ()),
        ((6, 5), (slice(None, None, -2), slice(1, None, 2)), (3, 2)),
        ((2, 3, 4, 5), (slice(None), 1), (2, 4, 5)),
        ((2, 3, 4, 5), (0, ..., 2), (3, 1)),
        ((4, 3), np.array([2, 0]), (2, 3)),
        ((4, 3), True, (4, 3)),
    ],
)
def test_tensors_are_assigned_as_numpy_assigns_arrays(dtype, shape, at, value):
    rng = np.random.default_rng(0)
    x, new = rng.integers(0, 99, shape).astype(dtype), rng.integers(100, 199, value).astype(dtype)
    y = tensor(x)
    x[at], y[at] = new, tensor(new)
    np.testing.assert_array_equal(y.numpy(), x)


def test_elements_are_assigned_from_elements_of_the_same_tensor():
    x = np.arange(6, dtype=np.float32)
    y = tensor(x)
    x[1:], y[1:] = x[:-1].copy(), y[:-1]
    np.testing.assert_array_equal(y.numpy(), x)
    with pytest.raises(ValueError, match="assignment: expected an index"):
        y[1:] = tensor(np.zeros(4, np.float32))


@pytest.mark.parametrize("shape", [(200, 201), (3, 5, 60, 60), (40_000,)])
def test_large_tensors_begin_at_a_cache_line(shape):
    kept = [tensor(np.full(shape, place, np.float32)) for place in range(8)]  # side by side in memory
    assert [each._array.ctypes.data % CACHE_LINE for each in kept] == [0] * 8
    assert all((each.numpy() == place).all() for place, each in enumerate(kept))
