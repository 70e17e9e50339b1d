"""What ops check before any kernel runs. Every message names the op, what was expected, what came, and a remedy."""

from typing import Any

import numpy as np

from ..tensor import FLOATS


def check_float(name: str, **arrays: np.ndarray | None) -> np.dtype:
    """Refuse arrays that are not all float32 or all float64; answer the dtype they share.

    Raises:
        TypeError: one has another dtype, or they differ.
    """
    shared: Any = None
    for x in arrays.values():  # by identity, which is quick and nearly always enough: NumPy makes each dtype once
        if x is not None and x.dtype is not shared:
            if shared is not None:
                break
            shared = x.dtype
    else:
        if shared is FLOATS[0] or shared is FLOATS[1]:
            return shared
    given = {key: x.dtype for key, x in arrays.items() if x is not None}
    first = next(iter(given.values()))
    for key, dtype in given.items():
        if dtype not in FLOATS:
            raise TypeError(
                f"{name}: expected float32 or float64 as {key}, got {dtype}; convert it with .to('float32')"
            )
        if dtype != first:
            kinds = ", ".join(f"{k} {d}" for k, d in given.items())
            raise TypeError(f"{name}: expected one dtype, got {kinds}; convert one with .to(...)")
    return first


def check_same_dtype(name: str, *arrays: np.ndarray) -> None:
    """Refuse a mix of dtypes, which NumPy would widen.

    Raises:
        TypeError: they differ.
    """
    if any(x.dtype != arrays[0].dtype for x in arrays):
        kinds = " and ".join(str(x.dtype) for x in arrays)
        raise TypeError(f"{name}: expected one dtype, got {kinds}; convert one with .to(...)")


def check_broadcast(name: str, *arrays: np.ndarray) -> None:
    """Refuse shapes that do not broadcast.

    Raises:
        ValueError: they do not.
    """
    try:
        np.broadcast_shapes(*(x.shape for x in arrays))
    except ValueError:
        shapes = " and ".join(str(x.shape) for x in arrays)
        raise ValueError(
            f"{name}: expected shapes that broadcast (equal, or 1, from the last dimension on), got {shapes}"
        ) from None


def check_ndim(name: str, x: np.ndarray, *allowed: int, form: str) -> None:
    """Refuse an array with another number of dimensions; `form` draws the shape expected, such as '(N, C, H, W)'.

    Raises:
        ValueError: it has another number.
    """
    if x.ndim not in allowed:
        raise ValueError(f"{name}: expected shape {form}, got {x.shape}")


def check_dim(name: str, dim: int, ndim: int) -> int:
    """Answer `dim` counted from the front.

    Raises:
        TypeError: it is not a whole number.
        ValueError: there is no such dimension.
    """
    if isinstance(dim, bool) or not isinstance(dim, int | np.integer):
        raise TypeError(f"{name}: expected a whole number as dim, got {dim!r}")
    count = max(ndim, 1)  # a number counts as a tensor of one dimension here, as in PyTorch
    if not -count <= dim < count:
        raise ValueError(
            f"{name}: expected dim from {-count} to {count - 1} for a tensor of {ndim} dimensions, got {dim}"
        )
    return int(dim) % count
