"""Arithmetic element by element, of arrays that broadcast to each other.

A pair of arrays is read by a table, as in `copying.py`: an axis along which one is stretched has stride 0 there. Along
the last axis each has stride 1, or is one number.
"""

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from .copying import merged, places, table
from .exponential import exp as exp_of
from .inner import inner
from .launch import Kernel, Out, kernel, launch
from .layout import empty, flat
from .logarithm import log as log_of
from .logarithm import power as power_of

_inner = inner(error_model="numpy")  # a quotient by zero is an answer


def _of_one(name: str, function: Callable, says: str) -> Kernel:
    """y = function(x)."""
    apply = function if hasattr(function, "py_func") else _inner(function)

    def run(x, y: Out, low, high):
        x, y = x[low:high], y[low:high]
        for i in range(len(y)):
            y[i] = apply(x[i])

    run.__name__, run.__doc__ = name, says
    return kernel(run)


def _of_two(name: str, function: Callable, says: str, is_power: bool = False) -> Kernel:
    """z = function(x, y), where x and y broadcast; `is_power` since squares are so frequent."""
    apply = function if hasattr(function, "py_func") else _inner(function)

    def run(x, y, z: Out, table, low, high):
        last = table.shape[1] - 1
        length, x_step, y_step = table[0, last], table[1, last], table[2, last]
        while low < high:
            row = low // length
            column = low - row * length
            count = min(length - column, high - low)
            x_at, y_at = places(table, last - 1, row)
            x_at, y_at, target = x_at + column * x_step, y_at + column * y_step, z[low : low + count]
            if x_step == 1 and y_step == 1:
                left, right = x[x_at : x_at + count], y[y_at : y_at + count]
                for i in range(len(target)):
                    target[i] = apply(left[i], right[i])
            elif x_step == 1:
                left, number = x[x_at : x_at + count], y[y_at]
                if is_power and number == 2:
                    for i in range(len(target)):
                        target[i] = left[i] * left[i]
                else:
                    for i in range(len(target)):
                        target[i] = apply(left[i], number)
            else:
                number, right = x[x_at], y[y_at : y_at + count]
                for i in range(len(target)):
                    target[i] = apply(number, right[i])
            low += count

    run.__name__, run.__doc__ = name, says
    return kernel(run)


def _gradient_of_two(name: str, function: Callable, says: str, is_power: bool = False) -> Kernel:
    """dx = function(dz, x, y), where x and y broadcast to the shape of dz and dx."""
    apply = function if hasattr(function, "py_func") else _inner(function)

    def run(x, y, dz, dx: Out, table, low, high):
        last = table.shape[1] - 1
        length, x_step, y_step = table[0, last], table[1, last], table[2, last]
        while low < high:
            row = low // length
            column = low - row * length
            count = min(length - column, high - low)
            x_at, y_at = places(table, last - 1, row)
            x_at, y_at = x_at + column * x_step, y_at + column * y_step
            upstream, target = dz[low : low + count], dx[low : low + count]
            if x_step == 1 and y_step == 1:
                left, right = x[x_at : x_at + count], y[y_at : y_at + count]
                for i in range(len(target)):
                    target[i] = apply(upstream[i], left[i], right[i])
            elif x_step == 1:
                left, number = x[x_at : x_at + count], y[y_at]
                if is_power and number == 2:
                    for i in range(len(target)):
                        target[i] = upstream[i] * (left[i] + left[i])
                else:
                    for i in range(len(target)):
                        target[i] = apply(upstream[i], left[i], number)
            else:
                number, right = x[x_at], y[y_at : y_at + count]
                for i in range(len(target)):
                    target[i] = apply(upstream[i], number, right[i])
            low += count

    run.__name__, run.__doc__ = name, says
    return kernel(run)


@_inner
def _share(x, y):
    """1 where x > y, half where they are equal, else 0."""
    return 0.5 if x == y else (1.0 if x > y else 0.0)


def _power_backward(dz, x, y):
    # where y is 0 the power is constant, and 0 * 0 ** -1 would be NaN
    return dz * (0.0 if y == 0 else y * x ** (y - 1))


@inner(inline="always")
def _power_backward_single(dz, x, y):
    slope = y * power_of(x, y - 1)
    return dz * (0.0 if y == 0 else slope)


def _power_exponent_backward(dz, z, x):
    return dz * z * log_of(x if x > 0 else 1.0)


def _sign_times(dy, x):
    return dy if x > 0 else (-dy if x < 0 else x * dy)


add = _of_two("add", lambda x, y: x + y, "z = x + y")
subtract = _of_two("subtract", lambda x, y: x - y, "z = x - y")
multiply = _of_two("multiply", lambda x, y: x * y, "z = x * y")
divide = _of_two("divide", lambda x, y: x / y, "z = x / y")
power_double = _of_two("power_double", lambda x, y: x**y, "z = x ** y, of float64", is_power=True)
power_single = _of_two("power_single", power_of, "z = x ** y, of float32", is_power=True)
maximum = _of_two("maximum", lambda x, y: x if (x > y) | (x != x) else y, "z = max(x, y), NaN if either is")
minimum = _of_two("minimum", lambda x, y: x if (x < y) | (x != x) else y, "z = min(x, y), NaN if either is")
absolute_backward = _of_two("absolute_backward", _sign_times, "dx = dy * sign(x)")
sqrt_backward = _of_two("sqrt_backward", lambda dy, y: dy / (y + y), "dx = dy / 2y")

divide_backward = _gradient_of_two("divide_backward", lambda dz, x, y: -dz * x / (y * y), "dy = -dz x / y^2")
power_backward_double = _gradient_of_two(
    "power_backward_double", _power_backward, "dx = dz y x^(y - 1), of float64", True
)
power_backward_single = _gradient_of_two("power_backward_single", _power_backward_single, "The same of float32.", True)
power_exponent_backward = _gradient_of_two("power_exponent_backward", _power_exponent_backward, "dy = dz z log x")
to_larger = _gradient_of_two("to_larger", lambda dz, x, y: dz * _share(x, y), "dx = dz where x > y, half if equal")
to_other = _gradient_of_two("to_other", lambda dz, x, y: dz * (1.0 - _share(x, y)), "dy = dz - what x gets")

negative = _of_one("negative", lambda x: -x, "y = -x")
absolute = _of_one("absolute", lambda x: abs(x), "y = |x|")
exp = _of_one("exp", exp_of, "y = e^x")
log = _of_one("log", log_of, "y = log x")
sqrt = _of_one("sqrt", lambda x: np.sqrt(x), "y = the square root of x")


@kernel
def convert(x, y: Out, low, high):
    """y = x, in its dtype."""
    x, y = x[low:high], y[low:high]
    for i in range(len(y)):
        y[i] = x[i]


@kernel
def over(x, y: Out, divisor: float, low, high):
    """y = x / divisor."""
    x, y = x[low:high], y[low:high]
    divisor = x.dtype.type(divisor)
    for i in range(len(y)):
        y[i] = x[i] / divisor


@kernel
def choose(condition, x, y, z: Out, low, high):
    """z = x where the condition holds, else y; either may be one number."""
    mask, z, i_x, i_y = condition[low:high], z[low:high], low if len(x) > 1 else 0, low if len(y) > 1 else 0
    left, right, one, other = x[i_x : i_x + len(z)], y[i_y : i_y + len(z)], x[i_x], y[i_y]
    if len(x) > 1 and len(y) > 1:
        for i in range(len(z)):
            a, b = left[i], right[i]
            z[i] = a if mask[i] else b
    elif len(x) > 1:
        for i in range(len(z)):
            a = left[i]
            z[i] = a if mask[i] else other
    else:
        for i in range(len(z)):
            b = right[i] if len(y) > 1 else other
            z[i] = one if mask[i] else b


def map_one(kernel: Kernel, x: np.ndarray, *options: float) -> np.ndarray:
    """What a kernel of one array makes of each element."""
    y = empty(x.shape, x.dtype)
    launch(kernel, y.size, flat(x), flat(y), *options)
    return y


def map_two(kernel: Kernel, x: np.ndarray, y: np.ndarray, *upstream: np.ndarray) -> np.ndarray:
    """What a kernel makes of each element of two arrays that broadcast, and of one of their broadcast shape."""
    shape, table = _plan(x.shape, y.shape)
    z = empty(shape, x.dtype)
    if len(shape) < 4:
        launch(kernel, z.size, flat(x), flat(y), *map(flat, upstream), flat(z), table)
    else:
        launch(kernel, z.size, _memory(x, shape), _memory(y, shape), *map(flat, upstream), flat(z), table)
    return z


def _memory(x: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The elements in the canonical order of arrays of so many dimensions."""
    return flat(x if x.ndim == len(shape) else x.reshape((1,) * (len(shape) - x.ndim) + x.shape))


@lru_cache(4096)
def _plan(x_shape: tuple[int, ...], y_shape: tuple[int, ...]) -> tuple[tuple[int, ...], np.ndarray]:
    """The shape that two arrays in canonical order broadcast to, and the table of their places."""
    shape = np.broadcast_shapes(x_shape, y_shape)
    order = (0, 2, 3, 1) if len(shape) == 4 else range(len(shape))
    axes, x_step, y_step = [], 1, 1
    for d in reversed(order):
        n, in_x, in_y = (((1,) * (len(shape) - len(s)) + s)[d] for s in (shape, x_shape, y_shape))
        if n > 1:
            axes.append((n, x_step * (in_x > 1), y_step * (in_y > 1)))
        x_step, y_step = x_step * in_x, y_step * in_y
    return shape, table(merged(axes[::-1]))
