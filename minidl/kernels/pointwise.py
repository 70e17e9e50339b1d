"""Loops over elements: sums of gradients and activations, forward and backward."""

import numpy as np

from .exponential import sigmoid, tanh
from .launch import kernel


@kernel
def add(x, y, out, low, high):
    """out = x + y; `out` may be `x` or `y` itself."""
    x, y, out = x[low:high], y[low:high], out[low:high]
    for i in range(len(out)):
        out[i] = x[i] + y[i]


@kernel
def relu_forward(x, y, low, high):
    """y = max(x, 0), NaN kept."""
    x, y = x[low:high], y[low:high]
    zero = x.dtype.type(0)
    for i in range(len(x)):
        y[i] = zero if x[i] < zero else x[i]


@kernel
def relu_backward(y, dy, dx, low, high):
    """dx = dy where y > 0 (or NaN), else 0."""
    y, dy, dx = y[low:high], dy[low:high], dx[low:high]
    zero = y.dtype.type(0)
    for i in range(len(y)):
        dx[i] = zero if y[i] <= zero else dy[i]


@kernel
def leaky_relu_forward(x, y, slope: float, low, high):
    """y = x where x > 0, slope * x elsewhere."""
    x, y = x[low:high], y[low:high]
    slope, zero = x.dtype.type(slope), x.dtype.type(0)
    for i in range(len(x)):
        y[i] = x[i] if x[i] > zero else slope * x[i]


@kernel
def leaky_relu_backward(y, dy, dx, slope: float, low, high):
    """dx = dy where y > 0, slope * dy elsewhere."""
    y, dy, dx = y[low:high], dy[low:high], dx[low:high]
    slope, zero = y.dtype.type(slope), y.dtype.type(0)
    for i in range(len(y)):
        dx[i] = dy[i] if y[i] > zero else slope * dy[i]


@kernel
def tanh_forward(x, y, low, high):
    """y = tanh(x)."""
    x, y = x[low:high], y[low:high]
    for i in range(len(x)):
        y[i] = tanh(x[i])


@kernel
def tanh_backward(y, dy, dx, low, high):
    """dx = (1 - y^2) dy."""
    y, dy, dx = y[low:high], dy[low:high], dx[low:high]
    one = y.dtype.type(1)
    for i in range(len(y)):
        dx[i] = (one - y[i] * y[i]) * dy[i]


@kernel
def sigmoid_forward(x, y, low, high):
    """y = 1 / (1 + e^-x)."""
    x, y = x[low:high], y[low:high]
    for i in range(len(x)):
        y[i] = sigmoid(x[i])


@kernel
def sigmoid_backward(y, dy, dx, low, high):
    """dx = y (1 - y) dy."""
    y, dy, dx = y[low:high], dy[low:high], dx[low:high]
    one = y.dtype.type(1)
    for i in range(len(y)):
        dx[i] = y[i] * (one - y[i]) * dy[i]


@kernel
def word_sums(words, out, size: int, low, high):
    """out[b] = sum over block b of word * (2 * place + 1): any single change of a word changes it."""
    for b in range(low, high):
        block = words[b * size : min(len(words), (b + 1) * size)]
        s = np.uint64(0)
        for i in range(len(block)):
            s += np.uint64(block[i]) * np.uint64(2 * i + 1)
        out[b] = s
