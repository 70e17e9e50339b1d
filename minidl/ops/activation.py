"""Activations, element by element. What the backward pass needs is the output, except where said otherwise."""

import numpy as np

from ..autograd import Pullback, op
from ..checks import check_number
from ..kernels import pointwise
from ..kernels.launch import Kernel, launch
from ..kernels.layout import empty, flat
from ..kernels.pointwise import BLOCK
from .checks import check_float

Rule = tuple[np.ndarray, Pullback | None]


def _elementwise(forward: Kernel, backward: Kernel, x: np.ndarray, block: int, cost: int, *options: float) -> Rule:
    """y = f(x) by a kernel over blocks, dx = f'(y) * dy by another; `cost` is an element's, in multiplications."""
    shape, size, dtype = x.shape, x.size, x.dtype
    y = empty(shape, dtype)
    launch(forward, -(-size // block), flat(x), flat(y), *options, work=cost * size)

    def pullback(dy: np.ndarray) -> np.ndarray:
        dx = empty(shape, dtype)
        launch(backward, size, flat(y), flat(dy), flat(dx), *options)
        return dx

    return y, pullback


@op
def relu(x: np.ndarray) -> Rule:
    """max(x, 0), with gradient 0 at 0.

    Shape: any, to the same.
    Raises: TypeError: x is not float32 or float64.
    Source: Nair & Hinton, "Rectified linear units improve restricted Boltzmann machines" (2010).
    """
    check_float("relu", x=x)
    shape, size, dtype = x.shape, x.size, x.dtype
    y, blocks = empty(shape, dtype), -(-size // BLOCK)
    zeroed = np.empty(blocks * BLOCK // 64, np.uint64)
    launch(pointwise.relu_forward, blocks, flat(x), flat(y), zeroed, work=size)

    def pullback(dy: np.ndarray) -> np.ndarray:
        dx = empty(shape, dtype)
        launch(pointwise.pass_where, blocks, zeroed, flat(dy), flat(dx), 1.0, work=size)
        return dx

    return y, pullback


@op
def leaky_relu(x: np.ndarray, *, negative_slope: float = 0.01) -> Rule:
    """x where x > 0, negative_slope * x elsewhere.

    Shape: any, to the same.
    Raises: TypeError: x is not float32 or float64. ValueError: the slope is negative.
    Source: Maas, Hannun & Ng, "Rectifier nonlinearities improve neural network acoustic models" (2013).
    """
    check_float("leaky_relu", x=x)
    check_number("leaky_relu", "negative_slope", negative_slope, 0)  # below 0 the output's sign would not tell x's
    return _elementwise(pointwise.leaky_relu_forward, pointwise.leaky_relu_backward, x, 1, 1, negative_slope)


@op
def tanh(x: np.ndarray) -> Rule:
    """(e^x - e^-x) / (e^x + e^-x); gradient 1 - y^2.

    Shape: any, to the same.
    Raises: TypeError: x is not float32 or float64.
    """
    check_float("tanh", x=x)
    if x.dtype == np.float32:
        return _elementwise(pointwise.tanh_single, pointwise.tanh_backward, x, BLOCK, 2)
    return _elementwise(pointwise.tanh_double, pointwise.tanh_backward, x, 1, 16)


@op
def sigmoid(x: np.ndarray) -> Rule:
    """1 / (1 + e^-x); gradient y (1 - y).

    Shape: any, to the same.
    Raises: TypeError: x is not float32 or float64.
    """
    check_float("sigmoid", x=x)
    if x.dtype == np.float32:
        return _elementwise(pointwise.sigmoid_single, pointwise.sigmoid_backward, x, BLOCK, 2)
    return _elementwise(pointwise.sigmoid_double, pointwise.sigmoid_backward, x, 1, 16)
