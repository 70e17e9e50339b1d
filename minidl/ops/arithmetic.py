"""Arithmetic with broadcasting, comparisons and choice. The engine undoes the broadcasting of the gradients."""

from typing import Any

import numpy as np

from ..autograd import Pullback, op
from ..checks import check_dtype
from ..kernels import pointwise
from ..kernels.launch import SHARE_FROM, Kernel, launch
from ..kernels.layout import dense, empty_like, flat
from ..tensor import FLOATS
from .checks import check_broadcast, check_float, check_same_dtype

Rule = tuple[np.ndarray, Pullback | None]
_quiet = np.errstate(all="ignore")  # infinity and NaN are answers here, as in the kernels; they show in the loss


def _check(name: str, x: np.ndarray, y: np.ndarray) -> None:
    check_same_dtype(name, x, y)
    if x.shape != y.shape:
        check_broadcast(name, x, y)


def _on_threads(kernel: Kernel, x: np.ndarray, y: np.ndarray) -> np.ndarray | None:
    """A kernel's answer for two large arrays of floats of one shape; None for others, which NumPy does as fast."""
    if x.shape != y.shape or x.size < SHARE_FROM or x.dtype not in FLOATS:
        return None
    out = empty_like(x)
    launch(kernel, out.size, flat(dense(x)), flat(dense(y)), flat(out))
    return out


@op
@_quiet
def add(x: np.ndarray, y: np.ndarray) -> Rule:
    """x + y, element by element, with broadcasting."""
    _check("add", x, y)
    z = _on_threads(pointwise.add, x, y)
    return x + y if z is None else z, lambda dz: (dz, dz)


@op
@_quiet
def subtract(x: np.ndarray, y: np.ndarray) -> Rule:
    """x - y, element by element, with broadcasting."""
    _check("subtract", x, y)
    if x.dtype == np.bool_:
        raise TypeError("subtract: expected numbers, got bool; use != for masks, or convert them with .to('float32')")
    return x - y, lambda dz: (dz, -dz)


@op
@_quiet
def multiply(x: np.ndarray, y: np.ndarray, *, needs: list[bool]) -> Rule:
    """x * y, element by element, with broadcasting."""
    _check("multiply", x, y)
    return x * y, lambda dz: (dz * y if needs[0] else None, dz * x if needs[1] else None)


@op
@_quiet
def divide(x: np.ndarray, y: np.ndarray, *, needs: list[bool]) -> Rule:
    """x / y, element by element, with broadcasting."""
    _check("divide", x, y)
    check_float("divide", x=x, y=y)
    return x / y, lambda dz: (dz / y if needs[0] else None, -dz * x / (y * y) if needs[1] else None)


@op
@_quiet
def power(x: np.ndarray, y: np.ndarray, *, needs: list[bool]) -> Rule:
    """x ** y, element by element, with broadcasting; the gradient in `y` is 0 where x is 0."""
    _check("power", x, y)
    check_float("power", x=x, y=y)
    z = x**y

    def pullback(dz: np.ndarray) -> tuple:
        # where y is 0 the power is constant, and 0 * 0 ** -1 would be NaN
        dx = dz * np.where(y == 0, x.dtype.type(0), y * np.where(y == 0, x.dtype.type(1), x) ** (y - 1))
        dy = dz * z * np.log(np.where(x > 0, x, x.dtype.type(1))) if needs[1] else None
        return dx, dy

    return z, pullback


@op
@_quiet
def cast(x: np.ndarray, *, dtype: Any) -> Rule:
    """x in another dtype; the gradient comes back in that of `x`.

    Raises:
        TypeError: it is not a dtype of numbers.
    """
    y = x.astype(check_dtype("cast", dtype))
    return y, (lambda dy: dy.astype(x.dtype)) if y.dtype in FLOATS else None


@op
def negative(x: np.ndarray) -> Rule:
    """-x."""
    check_float("negative", x=x)
    return -x, lambda dy: -dy


@op
def absolute(x: np.ndarray) -> Rule:
    """|x|; its gradient at 0 is 0."""
    check_float("absolute", x=x)
    return np.abs(x), lambda dy: dy * np.sign(x)


@op
@_quiet
def exp(x: np.ndarray) -> Rule:
    """e ** x."""
    check_float("exp", x=x)
    y = np.exp(x)
    return y, lambda dy: dy * y


@op
@_quiet
def log(x: np.ndarray) -> Rule:
    """The natural logarithm: NaN below 0, -inf at 0."""
    check_float("log", x=x)
    y = np.log(x)
    return y, lambda dy: dy / x


@op
@_quiet
def sqrt(x: np.ndarray) -> Rule:
    """The square root: NaN below 0."""
    check_float("sqrt", x=x)
    y = np.sqrt(x)
    return y, lambda dy: dy / (y + y)


@op
def maximum(x: np.ndarray, y: np.ndarray) -> Rule:
    """The larger of x and y, element by element; where they are equal each gets half the gradient, as in PyTorch."""
    _check("maximum", x, y)
    check_float("maximum", x=x, y=y)
    return np.maximum(x, y), lambda dz: _to_winner(dz, x, y)


@op
def minimum(x: np.ndarray, y: np.ndarray) -> Rule:
    """The smaller of x and y, element by element; where they are equal each gets half the gradient, as in PyTorch."""
    _check("minimum", x, y)
    check_float("minimum", x=x, y=y)
    return np.minimum(x, y), lambda dz: _to_winner(dz, -x, -y)


def _to_winner(dz: np.ndarray, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    half, one = x.dtype.type(0.5), x.dtype.type(1)
    share = np.where(x == y, half, (x > y).astype(x.dtype))
    return dz * share, dz * (one - share)


@op
def where(condition: np.ndarray, x: np.ndarray, y: np.ndarray) -> Rule:
    """x where the condition holds, y elsewhere, with broadcasting.

    Raises:
        TypeError: the condition is not boolean.
    """
    if condition.dtype != np.bool_:
        raise TypeError(f"where: expected a boolean condition, got {condition.dtype}; compare, such as x > 0")
    check_same_dtype("where", x, y)
    check_broadcast("where", condition, x, y)
    zero = x.dtype.type(0)
    return np.where(condition, x, y), lambda dz: (None, np.where(condition, dz, zero), np.where(condition, zero, dz))


def _comparison(name: str, compare: np.ufunc):
    def rule(x: np.ndarray, y: np.ndarray) -> Rule:
        check_broadcast(name, x, y)
        return compare(x, y), None

    rule.__name__, rule.__doc__ = name, f"Element by element, a boolean tensor: `numpy.{name}` with broadcasting."
    return op(rule)


equal = _comparison("equal", np.equal)
not_equal = _comparison("not_equal", np.not_equal)
less = _comparison("less", np.less)
less_equal = _comparison("less_equal", np.less_equal)
greater = _comparison("greater", np.greater)
greater_equal = _comparison("greater_equal", np.greater_equal)
