"""Every op, and the tensor methods and operators that are ops."""

from typing import Any

from ..tensor import Tensor
from . import shaping as _shaping
from .activation import leaky_relu, relu, sigmoid, tanh
from .arithmetic import (
    absolute,
    add,
    cast,
    divide,
    equal,
    exp,
    greater,
    greater_equal,
    less,
    less_equal,
    log,
    maximum,
    minimum,
    multiply,
    negative,
    not_equal,
    power,
    sqrt,
    subtract,
    where,
)
from .convolution import conv2d
from .cross_entropy import cross_entropy, nll_loss
from .dropout import dropout
from .layer_norm import layer_norm
from .linear import linear, matmul
from .loss import binary_cross_entropy_with_logits, mse_loss
from .normalization import batch_norm
from .pooling import adaptive_avg_pool2d, avg_pool2d, max_pool2d
from .reduction import argmax, argmin, max, mean, min, std, sum, var
from .shaping import concatenate, expand, flatten, index, permute, reshape, squeeze, stack, transpose, unsqueeze
from .softmax import log_softmax, softmax


def _sizes(arguments: tuple) -> tuple:
    """`x.reshape(2, 3)` and `x.reshape((2, 3))` mean the same."""
    return tuple(arguments[0]) if len(arguments) == 1 and isinstance(arguments[0], tuple | list) else arguments


def _reduction(function: Any) -> Any:
    def method(self: Tensor, dim: Any = None, keepdim: bool = False, **options: Any) -> Tensor:
        return function(self, dim=dim, keepdim=keepdim, **options)

    return method


_METHODS: dict[str, Any] = {
    "__add__": add,
    "__radd__": lambda self, other: add(other, self),
    "__sub__": subtract,
    "__rsub__": lambda self, other: subtract(other, self),
    "__mul__": multiply,
    "__rmul__": lambda self, other: multiply(other, self),
    "__truediv__": divide,
    "__rtruediv__": lambda self, other: divide(other, self),
    "__pow__": power,
    "__rpow__": lambda self, other: power(other, self),
    "__matmul__": matmul,
    "__rmatmul__": lambda self, other: matmul(other, self),
    "__neg__": negative,
    "__abs__": absolute,
    "__eq__": equal,
    "__ne__": not_equal,
    "__lt__": less,
    "__le__": less_equal,
    "__gt__": greater,
    "__ge__": greater_equal,
    "__getitem__": _shaping.getitem,
    "__setitem__": _shaping.setitem,
    "to": lambda self, dtype: self if self.dtype == dtype else cast(self, dtype=dtype),
    "sum": _reduction(sum),
    "mean": _reduction(mean),
    "max": _reduction(max),
    "min": _reduction(min),
    "var": _reduction(var),
    "std": _reduction(std),
    "argmax": lambda self, dim=None: argmax(self, dim=dim),
    "argmin": lambda self, dim=None: argmin(self, dim=dim),
    "exp": exp,
    "log": log,
    "sqrt": sqrt,
    "abs": absolute,
    "relu": relu,
    "tanh": tanh,
    "sigmoid": sigmoid,
    "reshape": lambda self, *shape: reshape(self, shape=_sizes(shape)),
    "flatten": lambda self, start_dim=0, end_dim=-1: flatten(self, start_dim=start_dim, end_dim=end_dim),
    "transpose": lambda self, dim0, dim1: transpose(self, dim0=dim0, dim1=dim1),
    "permute": lambda self, *dims: permute(self, dims=_sizes(dims)),
    "squeeze": lambda self, dim=None: squeeze(self, dim=dim),
    "unsqueeze": lambda self, dim: unsqueeze(self, dim=dim),
    "expand": lambda self, *shape: expand(self, shape=_sizes(shape)),
}
for _name, _method in _METHODS.items():
    setattr(Tensor, _name, _method)

__all__ = [
    "absolute",
    "adaptive_avg_pool2d",
    "add",
    "argmax",
    "argmin",
    "avg_pool2d",
    "batch_norm",
    "binary_cross_entropy_with_logits",
    "cast",
    "concatenate",
    "conv2d",
    "cross_entropy",
    "divide",
    "dropout",
    "equal",
    "exp",
    "expand",
    "flatten",
    "greater",
    "greater_equal",
    "index",
    "layer_norm",
    "leaky_relu",
    "less",
    "less_equal",
    "linear",
    "log",
    "log_softmax",
    "matmul",
    "max",
    "max_pool2d",
    "maximum",
    "mean",
    "min",
    "minimum",
    "mse_loss",
    "multiply",
    "negative",
    "nll_loss",
    "not_equal",
    "permute",
    "power",
    "relu",
    "reshape",
    "sigmoid",
    "softmax",
    "sqrt",
    "squeeze",
    "stack",
    "std",
    "subtract",
    "sum",
    "tanh",
    "transpose",
    "unsqueeze",
    "var",
    "where",
]
