"""Starting values, written into tensors in place; PyTorch's names, arguments and distributions.

Sources: Glorot & Bengio, "Understanding the difficulty of training deep feedforward neural networks" (2010), section
4.2.1 (Xavier); He, Zhang, Ren & Sun, "Delving deep into rectifiers" (2015), section 2.2 (Kaiming).
"""

import math
from typing import Any

import numpy as np

from ..kernels.layout import empty
from ..mutation import note_change
from ..random import Generator, as_generator
from ..tensor import FLOATS, Tensor
from .parameter import Parameter

_PLAIN = ("linear", "sigmoid", "conv1d", "conv2d", "conv3d")


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """By how much to scale weights so that the nonlinearity keeps the variance of its input.

    Raises:
        ValueError: the nonlinearity is not known.
    """
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else param
        return math.sqrt(2 / (1 + slope**2))
    gains = dict.fromkeys(_PLAIN, 1.0) | {"tanh": 5 / 3, "relu": math.sqrt(2), "selu": 3 / 4}
    if nonlinearity not in gains:
        raise ValueError(
            f"calculate_gain: expected one of {', '.join(map(repr, (*gains, 'leaky_relu')))}, got {nonlinearity!r}"
        )
    return gains[nonlinearity]


def _fill(tensor: Tensor, values: Any) -> Tensor:
    tensor._array[...] = values
    note_change(tensor)
    return tensor


def _check(name: str, tensor: Any) -> Tensor:
    if not isinstance(tensor, Tensor):
        raise TypeError(f"{name}: expected a Tensor, got {type(tensor).__name__}")
    if tensor.dtype not in FLOATS:
        raise TypeError(f"{name}: expected a tensor of dtype float32 or float64, got {tensor.dtype}")
    if tensor.node is not None:
        raise ValueError(f"{name}: expected a leaf, got the output of {tensor.node.name}; initialise its inputs")
    return tensor


def _fans(name: str, tensor: Any) -> tuple[int, int]:
    """How many inputs each output has, and how many outputs each input has."""
    if _check(name, tensor).ndim < 2:
        raise ValueError(f"{name}: expected a tensor of at least 2 dimensions (out, in, ...), got shape {tensor.shape}")
    field = math.prod(tensor.shape[2:])
    return tensor.shape[1] * field, tensor.shape[0] * field


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0, *, rng: Any = None) -> Tensor:
    """Fill with uniform numbers in [a, b).

    Raises:
        TypeError: it is not a tensor of float32 or float64.
        ValueError: a > b.
    """
    shape, dtype = _check("uniform_", tensor).shape, tensor.dtype.type
    if not a <= b:
        raise ValueError(f"uniform_: expected a <= b, got {a} and {b}")
    return _fill(tensor, as_generator(rng).uniform(shape, a, b, dtype))


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, *, rng: Any = None) -> Tensor:
    """Fill with normal numbers.

    Raises:
        TypeError: it is not a tensor of float32 or float64.
        ValueError: std < 0.
    """
    shape, dtype = _check("normal_", tensor).shape, tensor.dtype.type
    if not std >= 0:
        raise ValueError(f"normal_: expected std of at least 0, got {std}")
    return _fill(tensor, as_generator(rng).normal(shape, mean, std, dtype))


def constant_(tensor: Tensor, val: float) -> Tensor:
    """Fill with one value.

    Raises:
        TypeError: it is not a tensor of float32 or float64.
    """
    return _fill(_check("constant_", tensor), val)


def zeros_(tensor: Tensor) -> Tensor:
    """Fill with zeros.

    Raises:
        TypeError: it is not a tensor of float32 or float64.
    """
    return _fill(_check("zeros_", tensor), 0)


def ones_(tensor: Tensor) -> Tensor:
    """Fill with ones.

    Raises:
        TypeError: it is not a tensor of float32 or float64.
    """
    return _fill(_check("ones_", tensor), 1)


def _kaiming_std(name: str, tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    fans = dict(zip(("fan_in", "fan_out"), _fans(name, tensor), strict=True))
    if mode not in fans:
        raise ValueError(f"{name}: expected mode 'fan_in' or 'fan_out', got {mode!r}")
    return calculate_gain(nonlinearity, a) / math.sqrt(max(1, fans[mode]))


def kaiming_uniform_(
    tensor: Tensor, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu", *, rng: Any = None
) -> Tensor:
    """Uniform in +-gain * sqrt(3 / fan); `a` is the slope of the leaky ReLU that follows.

    Raises:
        TypeError: it is not a tensor of float32 or float64.
        ValueError: it has fewer than 2 dimensions, or the mode or the nonlinearity is not known.
    """
    bound = math.sqrt(3) * _kaiming_std("kaiming_uniform_", tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, rng=rng)


def kaiming_normal_(
    tensor: Tensor, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu", *, rng: Any = None
) -> Tensor:
    """Normal with deviation gain / sqrt(fan); `a` is the slope of the leaky ReLU that follows.

    Raises:
        TypeError: it is not a tensor of float32 or float64.
        ValueError: it has fewer than 2 dimensions, or the mode or the nonlinearity is not known.
    """
    return normal_(tensor, 0, _kaiming_std("kaiming_normal_", tensor, a, mode, nonlinearity), rng=rng)


def xavier_uniform_(tensor: Tensor, gain: float = 1.0, *, rng: Any = None) -> Tensor:
    """Uniform in +-gain * sqrt(6 / (fan_in + fan_out)).

    Raises:
        TypeError: it is not a tensor of float32 or float64.
        ValueError: it has fewer than 2 dimensions.
    """
    bound = gain * math.sqrt(6 / max(1, sum(_fans("xavier_uniform_", tensor))))
    return uniform_(tensor, -bound, bound, rng=rng)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, *, rng: Any = None) -> Tensor:
    """Normal with deviation gain * sqrt(2 / (fan_in + fan_out)).

    Raises:
        TypeError: it is not a tensor of float32 or float64.
        ValueError: it has fewer than 2 dimensions.
    """
    return normal_(tensor, 0, gain * math.sqrt(2 / max(1, sum(_fans("xavier_normal_", tensor)))), rng=rng)


def default_weight(shape: tuple[int, ...], rng: Generator) -> Parameter:
    """A weight (out, in, ...) as PyTorch's layers start with: uniform in +-1/sqrt(fan_in)."""
    weight = Parameter(empty(shape, np.dtype(np.float32)))
    kaiming_uniform_(weight, a=math.sqrt(5), rng=rng)
    return weight


def default_bias(weight: Parameter, rng: Generator) -> Parameter:
    """A bias for such a weight as PyTorch's layers start with: uniform in +-1/sqrt(fan_in)."""
    bound = 1 / math.sqrt(max(1, _fans("bias", weight)[0]))
    bias = Parameter(empty(weight.shape[:1], np.dtype(np.float32)))
    uniform_(bias, -bound, bound, rng=rng)
    return bias
