"""The same elements in another shape, order or selection."""

import math
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import numpy as np

from ..autograd import Pullback, op
from ..checks import check_sizes
from ..kernels import recording
from ..kernels.copying import assign
from ..kernels.layout import cleared_like, empty, reshaped
from ..mutation import note_change
from ..tensor import FLOATS, Tensor, tensor
from ..wrapping import wrap
from .checks import check_dim, check_same_dtype

Rule = tuple[np.ndarray, Pullback | None]


def as_tensor(name: str, x: Any) -> Tensor:
    """What an op on shapes is given: a tensor, or an ndarray or a number as one."""
    x = x if isinstance(x, Tensor) else wrap(name, x, (), optional=False)
    assert x is not None
    return x


@op
def reshape(x: np.ndarray, *, shape: Sequence[int]) -> Rule:
    """The elements, in C order of the shape as the user sees it, in another shape; one extent may be -1.

    Raises:
        ValueError: the counts of elements differ, or a size is negative.
    """
    shape, before = check_sizes("reshape", shape, -1), x.shape
    known = math.prod(extent for extent in shape if extent != -1)
    fits = known and x.size % known == 0 if shape.count(-1) == 1 else known == x.size
    if not fits or shape.count(-1) > 1:
        raise ValueError(f"reshape: expected a shape of {x.size} elements (one extent may be -1), got {shape}")
    shape = tuple(x.size // known if extent == -1 else extent for extent in shape)
    return reshaped(x, shape), lambda dy: reshaped(dy, before)


def flatten(x: Any, *, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """Dimensions `start_dim` to `end_dim` as one, in PyTorch's order of features.

    Raises:
        ValueError: a dimension does not exist, or the first comes after the last.
    """
    x = as_tensor("flatten", x)
    shape = x.shape
    start, end = check_dim("flatten", start_dim, len(shape)), check_dim("flatten", end_dim, len(shape))
    if start > end:
        raise ValueError(f"flatten: expected start_dim <= end_dim, got {start_dim} and {end_dim} for shape {shape}")
    return reshape(x, shape=(*shape[:start], math.prod(shape[start : end + 1]), *shape[end + 1 :]))


def squeeze(x: Any, *, dim: int | None = None) -> Tensor:
    """Without the dimensions of extent 1, or without `dim` if its extent is 1."""
    x = as_tensor("squeeze", x)
    at = range(x.ndim) if dim is None else (check_dim("squeeze", dim, x.ndim),)
    return reshape(x, shape=[extent for d, extent in enumerate(x.shape) if extent != 1 or d not in at])


def unsqueeze(x: Any, *, dim: int) -> Tensor:
    """With a dimension of extent 1 inserted at `dim`."""
    x = as_tensor("unsqueeze", x)
    shape = list(x.shape)
    shape.insert(check_dim("unsqueeze", dim, x.ndim + 1), 1)
    return reshape(x, shape=shape)


@op
def permute(x: np.ndarray, *, dims: Sequence[int]) -> Rule:
    """The dimensions in another order.

    Raises:
        ValueError: `dims` does not name each dimension once.
    """
    axes = [check_dim("permute", d, x.ndim) for d in dims]
    if sorted(axes) != list(range(x.ndim)):
        raise ValueError(f"permute: expected each of {x.ndim} dimensions once, got dims={tuple(dims)}")
    back = np.argsort(axes)
    return x.transpose(axes), lambda dy: dy.transpose(back)


def transpose(x: Any, *, dim0: int, dim1: int) -> Tensor:
    """Two dimensions exchanged."""
    x = as_tensor("transpose", x)
    first, second = check_dim("transpose", dim0, x.ndim), check_dim("transpose", dim1, x.ndim)
    dims = list(range(x.ndim))
    dims[first], dims[second] = second, first
    return permute(x, dims=dims)


@op
def expand(x: np.ndarray, *, shape: Sequence[int]) -> Rule:
    """Dimensions of extent 1 (and new ones in front) stretched to `shape`, without a copy; -1 keeps an extent.

    Raises:
        ValueError: the shape cannot be stretched to that.
    """
    wanted = list(check_sizes("expand", shape, -1))
    for d in range(1, min(x.ndim, len(wanted)) + 1):
        wanted[-d] = x.shape[-d] if wanted[-d] == -1 else wanted[-d]
    try:
        return np.broadcast_to(x, wanted), lambda dy: dy  # the engine sums a stretched gradient
    except ValueError:
        raise ValueError(
            f"expand: cannot stretch shape {x.shape} to {tuple(shape)}; only extents of 1 can be"
        ) from None


@op
def index(x: np.ndarray, *, at: Any) -> Rule:
    """x[at], as NumPy indexes: integers, slices, `None`, `...`, boolean masks, arrays of places.

    Raises:
        ValueError: an index is out of range, or there are too many.
    """
    view = _place_of_view(at)
    place = at if view is None else view
    try:
        y = x[place]
    except IndexError as error:
        raise ValueError(f"index: expected an index into shape {x.shape}, got {at!r}: {error}") from None

    def pullback(dy: np.ndarray) -> np.ndarray:
        dx = cleared_like(x)
        if view is not None:
            assign(dx[view], dy)
        else:
            np.add.at(dx, at, dy)  # a place may come up twice
        return dx

    return y, pullback


def _place_of_view(at: Any) -> tuple | None:
    """The index as a tuple if it takes a view; an ellipsis in it makes a view of a single element, too."""
    parts = at if isinstance(at, tuple) else (at,)
    if not all(part is None or part is ... or isinstance(part, int | np.integer | slice) for part in parts):
        return None
    if any(isinstance(part, bool) for part in parts):  # a mask
        return None
    return parts if any(part is ... for part in parts) else (*parts, ...)


def _plain_index(at: Any) -> Any:
    if isinstance(at, tuple):
        return tuple(_plain_index(part) for part in at)
    if isinstance(at, Tensor):
        return at.numpy()
    return tensor(at)._array if isinstance(at, list) and at else at


def getitem(x: Tensor, at: Any) -> Tensor:
    """x[at]; the index may hold tensors."""
    return index(x, at=_plain_index(at))


def setitem(x: Tensor, at: Any, value: Any) -> None:
    """x[at] = value, in place; index and value may hold tensors.

    Raises:
        ValueError: the tensor requires a gradient, the index is out of range, or the value does not fit there.
    """
    if x.requires_grad:
        raise ValueError(
            "assignment to a tensor that requires a gradient cannot be recorded; use where(...), or change x.data or "
            "x.detach()"
        )
    value, at_plain = value._array if isinstance(value, Tensor) else value, _plain_index(at)
    try:
        if not _assigned(x._array, at_plain, value):
            active = recording.active
            if active is not None:
                active.refuse(
                    "the step assigns to elements by NumPy, as a replay would not; assign a tensor of the same dtype "
                    "to x[...] or to slices, or use where(...)"
                )
            x._array[at_plain] = value
    except (IndexError, TypeError, ValueError) as error:
        raise ValueError(
            f"assignment: expected an index into shape {x.shape} and what fits there, got [{at!r}] = {value!r:.80}: "
            f"{error}"
        ) from None
    note_change(x)


def _assigned(x: np.ndarray, at: Any, value: Any) -> bool:
    """Assign by a kernel, where the index takes a view of `x` and the value is an array of its dtype elsewhere."""
    place = _place_of_view(at)
    if place is None or not isinstance(value, np.ndarray) or value.dtype != x.dtype or x.dtype not in FLOATS:
        return False
    view = x[place]
    if np.may_share_memory(view, value):
        return False
    assign(view, np.broadcast_to(value, view.shape))
    return True


@op
def _concatenate(*arrays: np.ndarray, dim: int) -> Rule:
    check_same_dtype("concatenate", *arrays)
    if not arrays[0].ndim:
        raise ValueError("concatenate: expected tensors of at least one dimension, got shape (); use stack(...)")
    axis = check_dim("concatenate", dim, arrays[0].ndim)
    shapes = [(*a.shape[:axis], *a.shape[axis + 1 :]) for a in arrays]
    if any(a.ndim != arrays[0].ndim for a in arrays) or any(s != shapes[0] for s in shapes):
        raise ValueError(
            f"concatenate: expected shapes that are equal but for dim {dim}, got {[a.shape for a in arrays]}"
        )
    stops = list(accumulate(a.shape[axis] for a in arrays))
    before = (slice(None),) * axis
    parts = [(*before, slice(stop - a.shape[axis], stop)) for a, stop in zip(arrays, stops, strict=True)]
    y = empty((*arrays[0].shape[:axis], stops[-1], *arrays[0].shape[axis + 1 :]), arrays[0].dtype)
    for part, array in zip(parts, arrays, strict=True):
        assign(y[part], array)
    return y, lambda dy: tuple(dy[part] for part in parts)


def _check_several(name: str, tensors: Any) -> None:
    if not isinstance(tensors, list | tuple):
        raise TypeError(f"{name}: expected a list or tuple of tensors, got {type(tensors).__name__}")
    if not tensors:
        raise ValueError(f"{name}: expected at least one tensor, got none")


def concatenate(tensors: Sequence[Any], *, dim: int = 0) -> Tensor:
    """The tensors one after another along `dim`.

    Raises:
        TypeError: they are not in a list or tuple, or their dtypes differ.
        ValueError: none is given, or shapes differ in another dimension.
    """
    _check_several("concatenate", tensors)
    return _concatenate(*tensors, dim=dim)


def stack(tensors: Sequence[Any], *, dim: int = 0) -> Tensor:
    """The tensors side by side along a new dimension `dim`.

    Raises:
        TypeError: they are not in a list or tuple, or their dtypes differ.
        ValueError: none is given, or shapes differ.
    """
    _check_several("stack", tensors)
    tensors = [as_tensor("stack", t) for t in tensors]
    shapes = [t.shape for t in tensors]
    if any(shape != shapes[0] for shape in shapes):
        raise ValueError(f"stack: expected equal shapes, got {shapes}")
    at = check_dim("stack", dim, len(shapes[0]) + 1)
    return concatenate([reshape(t, shape=(*shapes[0][:at], 1, *shapes[0][at:])) for t in tensors], dim=at)
