"""Losses element by element, and what every loss has: checks of its arguments, and its reduction."""

from functools import lru_cache

import numpy as np

from ..autograd import Pullback, op
from ..checks import check_choice
from ..kernels import loss as kernels
from ..kernels.elementwise import convert
from ..kernels.launch import launch
from ..kernels.layout import dense, empty_like, flat, stretched
from .checks import check_float

Rule = tuple[np.ndarray, Pullback | None]
_WIDE = np.dtype(np.float64)


def check_reduction(name: str, reduction: str) -> str:
    """Answer a reduction that there is.

    Raises:
        ValueError: there is none of this name.
    """
    return check_choice(name, "reduction", reduction, ("none", "mean", "sum"))


def reduced(
    losses: np.ndarray, reduction: str, shape: tuple[int, ...], dtype: np.dtype
) -> tuple[np.ndarray, np.ndarray]:
    """The losses of losses[0] as the reduction wants them, and what it divided by; losses[1] holds their weights."""
    if reduction == "none":
        y = np.empty(losses.shape[1], dtype)
        launch(convert, y.size, losses[0], y)
        return y.reshape(shape), _number(1.0)
    sums = _sums(losses)
    divisor = sums[1:] if reduction == "mean" else _number(1.0)
    y = np.empty(1, dtype)
    launch(kernels.quotient, 1, sums, divisor, y)
    return y.reshape(()), divisor


@lru_cache(256)
def _number(value: float, dtype: np.dtype = _WIDE) -> np.ndarray:
    """A number for kernels to read, at the same place in every step."""
    return np.full(1, value, dtype)


def _sums(values: np.ndarray) -> np.ndarray:
    """The sum of each row, in float64: blocks of fixed size, merged in order."""
    count, size = values.shape
    partial = np.empty((count, -(-size // kernels.BLOCK)))
    launch(kernels.block_sums, partial.shape[1], values, partial, work=values.size)
    if partial.shape[1] == 1:  # nothing to merge
        return partial.reshape(count)
    sums = np.empty(count)
    launch(kernels.merge_rows, count, partial, sums, work=partial.size)
    return sums


@op
def mse_loss(x: np.ndarray, target: np.ndarray, *, reduction: str = "mean", needs: list[bool]) -> Rule:
    """(x - target)^2.

    Shape: any, the same for both, to () or, with reduction="none", the same.
    Raises: ValueError: the shapes differ, an unknown reduction, an empty batch. TypeError: dtypes.
    """
    _check_pair("mse_loss", x, target, reduction, {})
    x, target = dense(x), dense(target)
    difference, squares = empty_like(x), empty_like(x)
    launch(kernels.squared_error_forward, x.size, flat(x), flat(target), flat(difference), flat(squares))
    y, factor = _reduced_elements(squares, reduction)

    def pullback(dy: np.ndarray) -> tuple:
        upstream, gradients = _stretched(dy, difference), []
        for need, sign in zip(needs, (2, -2), strict=True):
            gradients.append(empty_like(difference) if need else None)
            if need:
                arguments = (flat(difference), upstream, flat(gradients[-1]), sign * factor)
                launch(kernels.squared_error_backward, difference.size, *arguments)
        return tuple(gradients)

    return y, pullback


@op
def binary_cross_entropy_with_logits(
    x: np.ndarray,
    target: np.ndarray,
    weight: np.ndarray | None = None,
    pos_weight: np.ndarray | None = None,
    *,
    reduction: str = "mean",
    needs: list[bool],
) -> Rule:
    """-weight (pos_weight target log sigmoid(x) + (1 - target) log(1 - sigmoid(x))), without overflow.

    Shape: x and target any, the same for both; weight and pos_weight broadcast to it; to () or the same.
    Raises: ValueError: the shapes do not fit, an unknown reduction, an empty batch. TypeError: dtypes.
    """
    name = "binary_cross_entropy_with_logits"
    _check_pair(name, x, target, reduction, {"weight": weight, "pos_weight": pos_weight})
    for key, need in zip(("weight", "pos_weight"), needs[2:], strict=True):
        if need:
            raise ValueError(f"{name}: expected {key} without a gradient, got one that requires it; use detach()")
    x, target = dense(x), dense(target)
    y, size = empty_like(x), x.size
    one = _number(1.0, x.dtype).reshape(())
    weights, positives = (_stretched(one if w is None else w, x) for w in (weight, pos_weight))
    launch(kernels.logits_loss_forward, size, flat(x), flat(target), weights, positives, flat(y), work=16 * size)
    y, factor = _reduced_elements(y, reduction)

    def pullback(dy: np.ndarray) -> tuple:
        upstream = _stretched(dy, x)
        dx, dtarget = (empty_like(x) if need else None for need in needs[:2])
        if dx is not None:
            arguments = (flat(x), flat(target), weights, positives, upstream, flat(dx), factor)
            launch(kernels.logits_loss_backward, size, *arguments, work=16 * size)
        if dtarget is not None:
            arguments = (flat(x), weights, positives, upstream, flat(dtarget), factor)
            launch(kernels.logits_loss_target_gradient, size, *arguments, work=16 * size)
        return dx, dtarget, None, None

    return y, pullback


def _check_pair(
    name: str, x: np.ndarray, target: np.ndarray, reduction: str, weights: dict[str, np.ndarray | None]
) -> None:
    check_reduction(name, reduction)
    check_float(name, x=x, target=target, **weights)
    if x.shape != target.shape:
        raise ValueError(f"{name}: expected a target of x's shape {x.shape}, got {target.shape}; reshape one of them")
    if not x.size:
        raise ValueError(f"{name}: expected at least one element, got shape {x.shape}; an empty batch has no loss")
    for key, array in weights.items():
        extra = () if array is None else array.shape
        if len(extra) > x.ndim or any(e not in (1, of) for e, of in zip(extra[::-1], x.shape[::-1], strict=False)):
            raise ValueError(f"{name}: expected {key} that broadcasts to x's shape {x.shape}, got {extra}")


def _stretched(values: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Values that broadcast to the shape of `x`, one an element, in the order of its memory."""
    return flat(values if values.shape == x.shape else stretched(values, x.shape))


def _reduced_elements(losses: np.ndarray, reduction: str) -> tuple[np.ndarray, float]:
    """The losses as the reduction wants them, and the factor that it multiplied by."""
    if reduction == "none":
        return losses, 1.0
    factor, y = 1 / losses.size if reduction == "mean" else 1.0, np.empty(1, losses.dtype)
    launch(kernels.quotient, 1, _sums(flat(losses)[None]), _number(1 / factor), y)
    return y.reshape(()), factor
