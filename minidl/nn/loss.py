"""Losses."""

from typing import Any

from .. import ops
from ..checks import check_number, check_whole
from ..ops.loss import check_reduction
from ..tensor import Tensor, tensor
from .module import Module


class _Loss(Module):
    def __init__(self, reduction: str):
        super().__init__()
        self.reduction = check_reduction(type(self).__name__, reduction)

    def _hold(self, name: str, values: Any) -> None:
        """A tensor of weights is a buffer, as in PyTorch."""
        self.register_buffer(name, values if values is None or isinstance(values, Tensor) else tensor(values))


class CrossEntropyLoss(_Loss):
    """-log softmax(x)[target], the negative log-likelihood of the right class, from scores before any softmax.

    `target` is a class each, or a distribution over the classes (soft targets). `weight` weighs classes; those equal to
    `ignore_index` count nothing; `label_smoothing` mixes the target with the uniform distribution. The mean is over the
    weights of the targets.

    Shape: x (N, C), (C,) or (N, C, d1, ...), target (N,), () or (N, d1, ...) of whole numbers, or like x; to a scalar,
    or with reduction "none" to the shape of the classes.
    Raises: TypeError, ValueError: an option is out of range, shapes or dtypes do not fit, or a label is not a class.
    """

    weight: Any

    def __init__(
        self, weight: Any = None, *, ignore_index: int = -100, reduction: str = "mean", label_smoothing: float = 0.0
    ):
        super().__init__(reduction)
        self._hold("weight", weight)
        self.ignore_index = check_whole("CrossEntropyLoss", "ignore_index", ignore_index, -(1 << 31))
        self.label_smoothing = check_number("CrossEntropyLoss", "label_smoothing", label_smoothing, 0, 1)

    def forward(self, x: Any, target: Any) -> Tensor:
        """The loss."""
        return ops.cross_entropy(
            x,
            target,
            self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            label_smoothing=self.label_smoothing,
        )


class NLLLoss(_Loss):
    """-x[target]: the negative log-likelihood of the right class, from log-probabilities (LogSoftmax's output).

    Shape: x (N, C), (C,) or (N, C, d1, ...), target (N,), () or (N, d1, ...); to a scalar, or with reduction "none" to
    the target's shape.
    Raises: TypeError, ValueError: an option is out of range, shapes or dtypes do not fit, or a label is not a class.
    """

    weight: Any

    def __init__(self, weight: Any = None, *, ignore_index: int = -100, reduction: str = "mean"):
        super().__init__(reduction)
        self._hold("weight", weight)
        self.ignore_index = check_whole("NLLLoss", "ignore_index", ignore_index, -(1 << 31))

    def forward(self, x: Any, target: Any) -> Tensor:
        """The loss."""
        return ops.nll_loss(x, target, self.weight, ignore_index=self.ignore_index, reduction=self.reduction)


class MSELoss(_Loss):
    """(x - target)^2, averaged over all elements.

    Shape: x and target the same; to a scalar, or with reduction "none" to the same.
    Raises: TypeError, ValueError: the reduction is not known, or shapes or dtypes do not fit.
    """

    def __init__(self, *, reduction: str = "mean"):
        super().__init__(reduction)

    def forward(self, x: Any, target: Any) -> Tensor:
        """The loss."""
        return ops.mse_loss(x, target, reduction=self.reduction)


class BCEWithLogitsLoss(_Loss):
    """-(t log s(x) + (1 - t) log(1 - s(x))) with the sigmoid s, from scores before it, averaged over all elements.

    `weight` weighs elements, `pos_weight` the first term.

    Shape: x and target the same, weight and pos_weight broadcast to it; to a scalar, or with reduction "none" to the
    same.
    Raises: TypeError, ValueError: the reduction is not known, or shapes or dtypes do not fit.
    """

    weight: Any
    pos_weight: Any

    def __init__(self, weight: Any = None, *, reduction: str = "mean", pos_weight: Any = None):
        super().__init__(reduction)
        self._hold("weight", weight)
        self._hold("pos_weight", pos_weight)

    def forward(self, x: Any, target: Any) -> Tensor:
        """The loss."""
        return ops.binary_cross_entropy_with_logits(
            x, target, self.weight, pos_weight=self.pos_weight, reduction=self.reduction
        )
