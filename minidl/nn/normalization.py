"""BatchNorm1d, BatchNorm2d and LayerNorm."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import ops
from ..autograd import chain
from ..checks import check_number, check_whole
from ..mutation import note_change
from ..tensor import Tensor, tensor
from .activation import ReLU, Sigmoid, Tanh
from .module import Module, Parameter

_BOTH = {Sigmoid: chain(ops.batch_norm, ops.sigmoid), Tanh: chain(ops.batch_norm, ops.tanh)}


class _BatchNorm(Module):
    no_decay = True
    _dims: tuple[int, ...]
    _form: str
    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        *,
        bias: bool = True,
    ):
        super().__init__()
        name = type(self).__name__
        self.num_features = check_whole(name, "num_features", num_features, 1)
        self.eps = check_number(name, "eps", eps, 0)
        self.momentum = momentum if momentum is None else check_number(name, "momentum", momentum, 0, 1)
        self.affine, self.track_running_stats = affine, track_running_stats
        self.weight = Parameter(np.ones(num_features, np.float32)) if affine else None
        self.bias = Parameter(np.zeros(num_features, np.float32)) if affine and bias else None
        tracked = track_running_stats
        self.register_buffer("running_mean", tensor(np.zeros(num_features, np.float32)) if tracked else None)
        self.register_buffer("running_var", tensor(np.ones(num_features, np.float32)) if tracked else None)
        self.register_buffer("num_batches_tracked", tensor(0) if tracked else None)

    def forward(self, x: Any) -> Tensor:
        """The normalized batch."""
        return self._normalize(x, None)

    def fused_with(self, following: Module) -> Callable[[Any], Tensor] | None:
        """This layer and a ReLU in one pass each way, or another activation as one op, with the same bits."""
        if type(self) not in (BatchNorm1d, BatchNorm2d):
            return None
        if type(following) is ReLU:
            return functools.partial(self._normalize, activation="relu")
        both = _BOTH.get(type(following))
        return None if both is None else functools.partial(self._normalize, activation=None, op=both)

    def _normalize(self, x: Any, activation: str | None, op: Callable[..., Tensor] = ops.batch_norm) -> Tensor:
        shape = np.shape(x) if not isinstance(x, Tensor) else x.shape
        if len(shape) not in self._dims or shape[1] != self.num_features:
            raise ValueError(
                f"{type(self).__name__}: expected x of shape {self._form} with C = {self.num_features}, got {shape}"
            )
        learns = self.training and self.running_mean is not None
        mean, var, count = self.running_mean, self.running_var, self.num_batches_tracked
        out = op(
            x,
            self.weight,
            self.bias,
            running_mean=None if mean is None else mean._array,
            running_var=None if var is None else var._array,
            num_batches_tracked=None if count is None else count._array,
            training=self.training or mean is None,
            momentum=self.momentum if count is not None else self.momentum or 0.0,
            eps=self.eps,
            activation=activation,
            name=type(self).__name__,
        )
        if learns:
            self._note_batch()
        return out

    def _note_batch(self) -> None:
        for buffer in (self.running_mean, self.running_var, self.num_batches_tracked):
            if buffer is not None:
                note_change(buffer)

    def extra_repr(self) -> str:
        """As PyTorch's: momentum is the weight of the new value."""
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"bias={self.bias is not None}, track_running_stats={self.track_running_stats}"
        )


class BatchNorm1d(_BatchNorm):
    """y = (x - mean) / sqrt(var + eps) * weight + bias, with each channel's mean and (biased) variance over the batch.

    In training the running statistics follow, by PyTorch's convention, in which momentum is the weight of the new
    value: running = (1 - momentum) * running + momentum * new, with the unbiased variance; `momentum=None` gives the
    cumulative mean over all batches. (Keras weighs the old value: its 0.9 is 0.1 here.) In evaluation the running
    statistics are used, unless `track_running_stats=False`.

    Shape: x (N, C) or (N, C, L), weight and bias (C,), to the same as x; statistics over N, or over N and L.
    Raises: TypeError, ValueError: a constructor's number is out of range, x does not fit, or in training there is only
    one value per channel.
    Source: Ioffe & Szegedy, "Batch normalization" (2015), algorithms 1 and 2.
    """

    _dims, _form = (2, 3), "(N, C) or (N, C, L)"


class BatchNorm2d(_BatchNorm):
    """y = (x - mean) / sqrt(var + eps) * weight + bias, with each channel's mean and (biased) variance over N, H and W.

    In training the running statistics follow, by PyTorch's convention, in which momentum is the weight of the new
    value: running = (1 - momentum) * running + momentum * new, with the unbiased variance; `momentum=None` gives the
    cumulative mean over all batches. (Keras weighs the old value: its 0.9 is 0.1 here.) In evaluation the running
    statistics are used, unless `track_running_stats=False`.

    Shape: x (N, C, H, W), weight and bias (C,), to the same as x.
    Raises: TypeError, ValueError: a constructor's number is out of range, x does not fit, or in training there is only
    one value per channel.
    Source: Ioffe & Szegedy, "Batch normalization" (2015), section 3.2.
    """

    _dims, _form = (4,), "(N, C, H, W)"


class LayerNorm(Module):
    """y = (x - mean) / sqrt(var + eps) * weight + bias, with each example's mean and variance over its last dimensions.

    Shape: x (..., *normalized_shape), weight and bias normalized_shape, to the same as x.
    Raises: TypeError, ValueError: a size is not a positive whole number, eps is negative, or x does not fit.
    Source: Ba, Kiros & Hinton, "Layer normalization" (2016), section 3.
    """

    no_decay = True

    def __init__(
        self,
        normalized_shape: int | tuple[int, ...] | list[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
    ):
        super().__init__()
        shape = tuple(normalized_shape) if isinstance(normalized_shape, tuple | list) else (normalized_shape,)
        if not shape:
            raise ValueError("LayerNorm: expected normalized_shape of at least one dimension, got ()")
        self.normalized_shape = tuple(check_whole("LayerNorm", "normalized_shape", size, 1) for size in shape)
        self.eps = check_number("LayerNorm", "eps", eps, 0)
        self.elementwise_affine = elementwise_affine
        self.weight = Parameter(np.ones(self.normalized_shape, np.float32)) if elementwise_affine else None
        self.bias = Parameter(np.zeros(self.normalized_shape, np.float32)) if elementwise_affine and bias else None

    def forward(self, x: Any) -> Tensor:
        """The normalized examples."""
        return ops.layer_norm(x, self.weight, self.bias, normalized_shape=self.normalized_shape, eps=self.eps)

    def extra_repr(self) -> str:
        """As PyTorch's."""
        return (
            f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}, "
            f"bias={self.bias is not None}"
        )
