"""Arithmetic with broadcasting, comparisons and choice. The engine undoes the broadcasting of the gradients.

What carries no gradient, whole numbers and comparisons, is NumPy's.
"""

from typing import Any

import numpy as np

from ..autograd import Pullback, op
from ..checks import check_dtype
from ..kernels import elementwise as kernels
from ..kernels import pointwise
from ..kernels.elementwise import map_one, map_two
from ..kernels.launch import Kernel, launch
from ..kernels.layout import empty, empty_like, flat, stretched
from ..tensor import FLOATS
from .checks import check_broadcast, check_float, check_same_dtype

Rule = tuple[np.ndarray, Pullback | None]


def _check(name: str, x: np.ndarray, y: np.ndarray) -> None:
    check_same_dtype(name, x, y)
    if x.shape != y.shape:
        check_broadcast(name, x, y)


def _combined(kernel: Kernel, function: np.ufunc, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """What a kernel makes of floats, and NumPy's function of whole numbers."""
    if x.dtype in FLOATS:
        return map_two(kernel, x, y)
    with np.errstate(all="ignore"):
        return function(x, y)


@op
def add(x: np.ndarray, y: np.ndarray) -> Rule:
    """x + y, element by element, with broadcasting."""
    _check("add", x, y)
    if x.shape != y.shape or x.dtype not in FLOATS:
        return _combined(kernels.add, np.add, x, y), lambda dz: (dz, dz)
    z = empty_like(x)
    launch(pointwise.add, z.size, flat(x), flat(y), flat(z))
    return z, lambda dz: (dz, dz)


@op
def subtract(x: np.ndarray, y: np.ndarray, *, needs: list[bool]) -> Rule:
    """x - y, element by element, with broadcasting."""
    _check("subtract", x, y)
    if x.dtype == np.bool_:
        raise TypeError("subtract: expected numbers, got bool; use != for masks, or convert them with .to('float32')")
    z = _combined(kernels.subtract, np.subtract, x, y)
    return z, lambda dz: (dz, map_one(kernels.negative, dz) if needs[1] else None)


@op
def multiply(x: np.ndarray, y: np.ndarray, *, needs: list[bool]) -> Rule:
    """x * y, element by element, with broadcasting."""
    _check("multiply", x, y)

    def pullback(dz: np.ndarray) -> tuple:
        dx = map_two(kernels.multiply, dz, y) if needs[0] else None
        return dx, map_two(kernels.multiply, dz, x) if needs[1] else None

    return _combined(kernels.multiply, np.multiply, x, y), pullback


@op
def divide(x: np.ndarray, y: np.ndarray, *, needs: list[bool]) -> Rule:
    """x / y, element by element, with broadcasting."""
    _check("divide", x, y)
    check_float("divide", x=x, y=y)

    def pullback(dz: np.ndarray) -> tuple:
        dx = map_two(kernels.divide, dz, y) if needs[0] else None
        return dx, map_two(kernels.divide_backward, x, y, dz) if needs[1] else None

    return map_two(kernels.divide, x, y), pullback


@op
def power(x: np.ndarray, y: np.ndarray, *, needs: list[bool]) -> Rule:
    """x ** y, element by element, with broadcasting; the gradient in `y` is 0 where x is 0."""
    _check("power", x, y)
    check_float("power", x=x, y=y)
    single = x.dtype == np.float32
    z = map_two(kernels.power_single if single else kernels.power_double, x, y)
    backward = kernels.power_backward_single if single else kernels.power_backward_double

    def pullback(dz: np.ndarray) -> tuple:
        dx = map_two(backward, x, y, dz) if needs[0] else None
        return dx, map_two(kernels.power_exponent_backward, z, x, dz) if needs[1] else None

    return z, pullback


@op
def cast(x: np.ndarray, *, dtype: Any) -> Rule:
    """x in another dtype; the gradient comes back in that of `x`.

    Raises:
        TypeError: it is not a dtype of numbers.
    """
    dtype = check_dtype("cast", dtype)
    if dtype not in FLOATS:
        with np.errstate(all="ignore"):
            return x.astype(dtype), None
    return _converted(x, dtype), lambda dy: _converted(dy, x.dtype)


def _converted(x: np.ndarray, dtype: np.dtype) -> np.ndarray:
    y = empty(x.shape, dtype)
    launch(kernels.convert, y.size, flat(x), flat(y))
    return y


@op
def negative(x: np.ndarray) -> Rule:
    """-x."""
    check_float("negative", x=x)
    return map_one(kernels.negative, x), lambda dy: map_one(kernels.negative, dy)


@op
def absolute(x: np.ndarray) -> Rule:
    """|x|; its gradient at 0 is 0."""
    check_float("absolute", x=x)
    return map_one(kernels.absolute, x), lambda dy: map_two(kernels.absolute_backward, dy, x)


@op
def exp(x: np.ndarray) -> Rule:
    """e ** x."""
    check_float("exp", x=x)
    y = map_one(kernels.exp, x)
    return y, lambda dy: map_two(kernels.multiply, dy, y)


@op
def log(x: np.ndarray) -> Rule:
    """The natural logarithm: NaN below 0, -inf at 0."""
    check_float("log", x=x)
    return map_one(kernels.log, x), lambda dy: map_two(kernels.divide, dy, x)


@op
def sqrt(x: np.ndarray) -> Rule:
    """The square root: NaN below 0."""
    check_float("sqrt", x=x)
    y = map_one(kernels.sqrt, x)
    return y, lambda dy: map_two(kernels.sqrt_backward, dy, y)


@op
def maximum(x: np.ndarray, y: np.ndarray, *, needs: list[bool]) -> Rule:
    """The larger of x and y, element by element; where they are equal each gets half the gradient, as in PyTorch."""
    _check("maximum", x, y)
    check_float("maximum", x=x, y=y)
    return map_two(kernels.maximum, x, y), lambda dz: _shares(dz, x, y, needs)


@op
def minimum(x: np.ndarray, y: np.ndarray, *, needs: list[bool]) -> Rule:
    """The smaller of x and y, element by element; where they are equal each gets half the gradient, as in PyTorch."""
    _check("minimum", x, y)
    check_float("minimum", x=x, y=y)
    return map_two(kernels.minimum, x, y), lambda dz: _shares(dz, y, x, needs)


def _shares(dz: np.ndarray, x: np.ndarray, y: np.ndarray, needs: list[bool]) -> tuple:
    """The gradients where x > y, or half where they are equal, and where not."""
    return tuple(
        map_two(kernel, x, y, dz) if need else None
        for kernel, need in zip((kernels.to_larger, kernels.to_other), needs, strict=True)
    )


@op
def where(condition: np.ndarray, x: np.ndarray, y: np.ndarray, *, needs: list[bool]) -> Rule:
    """x where the condition holds, y elsewhere, with broadcasting.

    Raises:
        TypeError: the condition is not boolean.
    """
    if condition.dtype != np.bool_:
        raise TypeError(f"where: expected a boolean condition, got {condition.dtype}; compare, such as x > 0")
    check_same_dtype("where", x, y)
    check_broadcast("where", condition, x, y)
    if x.dtype not in FLOATS:
        return np.where(condition, x, y), None
    shape, zero = np.broadcast_shapes(condition.shape, x.shape, y.shape), _ZEROS[x.dtype]

    def pullback(dz: np.ndarray) -> tuple:
        dx = _chosen(condition, dz, zero, shape) if needs[1] else None
        return None, dx, _chosen(condition, zero, dz, shape) if needs[2] else None

    return _chosen(condition, x, y, shape), pullback


_ZEROS = {dtype: np.zeros((), dtype) for dtype in FLOATS}


def _chosen(condition: np.ndarray, x: np.ndarray, y: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    z = empty(shape, x.dtype)
    mask = condition if condition.shape == shape else np.broadcast_to(condition, shape)
    x, y = (a if a.size == 1 or a.shape == shape else stretched(a, shape) for a in (x, y))
    launch(kernels.choose, z.size, flat(mask), flat(x), flat(y), flat(z))
    return z


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
