"""Loops over elements: sums of gradients and activations, forward and backward."""

import numpy as np

from .exponential import sigmoid, tanh
from .exponential_single import single_sigmoid, single_tanh
from .launch import Out, kernel
from .register_arithmetic import at_most, load_bits, select, spread, store_bits
from .registers import load, store

BLOCK = 128  # elements of an item where the range is over blocks: two words of bits


@kernel
def add(x, y, out: Out, low, high):
    """out = x + y; `out` may be `x` or `y` itself."""
    x, y, out = x[low:high], y[low:high], out[low:high]
    for i in range(len(out)):
        out[i] = x[i] + y[i]


@kernel
def relu_forward(x, y: Out, zeroed: Out, low, high):
    """y = max(x, 0), NaN kept; bit j of zeroed[b] is on where element 64 b + j is at most 0. The range: blocks."""
    zero = spread(x, 0, BLOCK)
    for b in range(low, high):
        at, count = BLOCK * b, len(x) - BLOCK * b
        value = load(x, at, count, BLOCK)
        mask = at_most(value, zero)
        store_bits(zeroed, 2 * b, mask)
        store(y, at, count, select(mask, zero, value))


@kernel
def pass_where(zeroed, dy, dx: Out, scale: float, low, high):
    """dx = scale * dy, but 0 where the element's bit in `zeroed` is on; the range is over blocks."""
    zero, factor = spread(dy, 0, BLOCK), spread(dy, scale, BLOCK)
    for b in range(low, high):
        at, count = BLOCK * b, len(dy) - BLOCK * b
        store(dx, at, count, select(load_bits(zeroed, 2 * b, BLOCK), zero, factor * load(dy, at, count, BLOCK)))


@kernel
def leaky_relu_forward(x, y: Out, slope: float, low, high):
    """y = x where x > 0, slope * x elsewhere."""
    x, y = x[low:high], y[low:high]
    slope, zero = x.dtype.type(slope), x.dtype.type(0)
    for i in range(len(x)):
        y[i] = x[i] if x[i] > zero else slope * x[i]


@kernel
def leaky_relu_backward(y, dy, dx: Out, slope: float, low, high):
    """dx = dy where y > 0, slope * dy elsewhere."""
    y, dy, dx = y[low:high], dy[low:high], dx[low:high]
    slope, zero = y.dtype.type(slope), y.dtype.type(0)
    for i in range(len(y)):
        dx[i] = dy[i] if y[i] > zero else slope * dy[i]


@kernel
def tanh_double(x, y: Out, low, high):
    """y = tanh(x), of float64."""
    x, y = x[low:high], y[low:high]
    for i in range(len(x)):
        y[i] = tanh(x[i])


@kernel
def tanh_single(x, y: Out, low, high):
    """y = tanh(x), of float32; the range is over blocks."""
    for b in range(low, high):
        at, count = BLOCK * b, len(x) - BLOCK * b
        store(y, at, count, single_tanh(load(x, at, count, BLOCK)))


@kernel
def tanh_backward(y, dy, dx: Out, low, high):
    """dx = (1 - y^2) dy."""
    y, dy, dx = y[low:high], dy[low:high], dx[low:high]
    one = y.dtype.type(1)
    for i in range(len(y)):
        dx[i] = (one - y[i] * y[i]) * dy[i]


@kernel
def sigmoid_double(x, y: Out, low, high):
    """y = 1 / (1 + e^-x), of float64."""
    x, y = x[low:high], y[low:high]
    for i in range(len(x)):
        y[i] = sigmoid(x[i])


@kernel
def sigmoid_single(x, y: Out, low, high):
    """y = 1 / (1 + e^-x), of float32; the range is over blocks."""
    for b in range(low, high):
        at, count = BLOCK * b, len(x) - BLOCK * b
        store(y, at, count, single_sigmoid(load(x, at, count, BLOCK)))


@kernel
def sigmoid_backward(y, dy, dx: Out, low, high):
    """dx = y (1 - y) dy."""
    y, dy, dx = y[low:high], dy[low:high], dx[low:high]
    one = y.dtype.type(1)
    for i in range(len(y)):
        dx[i] = y[i] * (one - y[i]) * dy[i]


@kernel
def word_sums(words, out: Out, size: int, low, high):
    """out[b] = sum over block b of word * (2 * place + 1): any single change of a word changes it."""
    for b in range(low, high):
        block = words[b * size : min(len(words), (b + 1) * size)]
        s = np.uint64(0)
        for i in range(len(block)):
            s += np.uint64(block[i]) * np.uint64(2 * i + 1)
        out[b] = s
