"""Cross-entropy and negative log-likelihood, of labels or of probabilities."""

import numpy as np

from ..autograd import Pullback, op
from ..checks import check_number, check_whole
from ..kernels import softmax as kernels
from ..kernels.elementwise import convert
from ..kernels.launch import launch, refuse_if
from ..kernels.layout import dense, flat, ordered
from .checks import check_float
from .constants import ones
from .loss import check_reduction, reduced
from .softmax import along_rows, from_rows

Rule = tuple[np.ndarray, Pullback | None]


@op
def cross_entropy(
    x: np.ndarray,
    target: np.ndarray,
    weight: np.ndarray | None = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
    needs: list[bool],
) -> Rule:
    """-sum over classes of q w log softmax(x), with q the target mixed with a share of the uniform distribution.

    The target holds labels, or probabilities in the dtype of x. A mean over labels is weighted by their class weights.

    Shape: x (C,), (N, C) or (N, C, d1, ...), target () or (N, d1, ...) of labels, or as x of probabilities,
        weight (C,), to () or, with reduction="none", the shape of labels.
    Raises: ValueError: shapes, a label out of range, NaN, an unknown reduction, an empty batch. TypeError: dtypes.
    Source: label smoothing: Szegedy et al., "Rethinking the Inception architecture" (2016), section 7.
    """
    name, soft = "cross_entropy", target.dtype.kind == "f"
    check_reduction(name, reduction)
    check_number(name, "label_smoothing", label_smoothing, 0, 1)
    check_whole(name, "ignore_index", ignore_index, -(1 << 63))
    weights = _check_class_weight(name, x, weight, needs)
    if soft:
        _check_probabilities(name, x, target, ignore_index)
        return _soft_cross_entropy(x, target, weights, reduction, label_smoothing, needs)
    labels = _check_labels(name, x, target, ignore_index)
    return _label_cross_entropy(x, labels, target.shape, weights, reduction, (ignore_index, label_smoothing))


def _label_cross_entropy(
    x: np.ndarray,
    labels: np.ndarray,
    labels_shape: tuple[int, ...],
    weights: np.ndarray,
    reduction: str,
    options: tuple[int, float],
) -> Rule:
    """The cross-entropy with labels; `options` are ignore_index and label_smoothing."""
    dim, shape = min(x.ndim - 1, 1), x.shape
    matrix = along_rows(x, dim)
    probability, losses = np.empty_like(matrix), np.empty((2, len(matrix)))
    work = 16 * matrix.size
    launch(kernels.label_loss_forward, len(matrix), matrix, labels, weights, probability, losses, *options, work=work)
    y, divisor = reduced(losses, reduction, labels_shape, x.dtype)

    def pullback(dy: np.ndarray) -> tuple:
        dx = np.empty_like(probability)
        arguments = (probability, labels, weights, dense(dy).reshape(-1), divisor, dx, *options)
        launch(kernels.label_loss_backward, len(dx), *arguments, work=dx.size)
        return from_rows(dx, shape, dim), None, None

    return y, pullback


def _soft_cross_entropy(
    x: np.ndarray, target: np.ndarray, weights: np.ndarray, reduction: str, smoothing: float, needs: list[bool]
) -> Rule:
    """The cross-entropy with target probabilities, which may themselves need a gradient."""
    dim, shape = min(x.ndim - 1, 1), x.shape
    matrix, wanted = along_rows(x, dim), along_rows(target, dim)
    count, work = len(matrix), 16 * matrix.size
    probability, normalizer, losses = np.empty_like(matrix), np.empty(count), np.empty((2, count))
    arguments = (matrix, wanted, weights, probability, normalizer, losses, smoothing)
    launch(kernels.soft_loss_forward, count, *arguments, work=work)
    y, divisor = reduced(losses, reduction, shape[:dim] + shape[dim + 1 :], x.dtype)

    def pullback(dy: np.ndarray) -> tuple:
        upstream, dx, dtarget = dense(dy).reshape(-1), None, None
        if needs[0]:
            out = np.empty_like(matrix)
            arguments = (probability, wanted, weights, upstream, divisor, out, smoothing)
            launch(kernels.soft_loss_backward, count, *arguments, work=4 * out.size)
            dx = from_rows(out, shape, dim)
        if needs[1]:
            out = np.empty_like(matrix)
            arguments = (matrix, normalizer, weights, upstream, divisor, out, smoothing)
            launch(kernels.soft_loss_target_gradient, count, *arguments, work=out.size)
            dtarget = from_rows(out, shape, dim)
        return dx, dtarget, None

    return y, pullback


@op
def nll_loss(
    x: np.ndarray,
    target: np.ndarray,
    weight: np.ndarray | None = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
    needs: list[bool],
) -> Rule:
    """-w x at the label: the negative log-likelihood of labels, for x of log-probabilities.

    The mean is weighted by the labels' class weights.

    Shape: x (C,), (N, C) or (N, C, d1, ...), target () or (N, d1, ...), weight (C,), to () or the shape of the target.
    Raises: ValueError: shapes, a label out of range, an unknown reduction, an empty batch. TypeError: dtypes.
    """
    check_reduction("nll_loss", reduction)
    check_whole("nll_loss", "ignore_index", ignore_index, -(1 << 63))
    weights = _check_class_weight("nll_loss", x, weight, needs)
    labels, dim, shape = _check_labels("nll_loss", x, target, ignore_index), min(x.ndim - 1, 1), x.shape
    matrix = along_rows(x, dim)
    extent, dtype, losses = matrix.shape, x.dtype, np.empty((2, len(matrix)))
    launch(kernels.nll_forward, extent[0], matrix, labels, weights, losses, ignore_index)
    y, divisor = reduced(losses, reduction, target.shape, dtype)

    def pullback(dy: np.ndarray) -> tuple:
        dx = np.empty(extent, dtype)
        arguments = (labels, weights, dense(dy).reshape(-1), divisor, dx, ignore_index)
        launch(kernels.nll_backward, extent[0], *arguments, work=dx.size)
        return from_rows(dx, shape, dim), None, None

    return y, pullback


def _check_class_weight(name: str, x: np.ndarray, weight: np.ndarray | None, needs: list[bool]) -> np.ndarray:
    """One weight a class, ones where none are given, after a look at the logits."""
    check_float(name, x=x, weight=weight)
    if not x.ndim:
        raise ValueError(f"{name}: expected x of shape (C,), (N, C) or (N, C, d1, ...), got {x.shape}")
    if not x.size:
        raise ValueError(
            f"{name}: expected at least one example and one class, got shape {x.shape}; an empty batch has no loss"
        )
    classes = x.shape[min(x.ndim - 1, 1)]
    if weight is None:
        return ones(classes, x.dtype)
    if weight.shape != (classes,):
        raise ValueError(f"{name}: expected one weight a class, shape ({classes},) for x {x.shape}, got {weight.shape}")
    if needs[2]:
        raise ValueError(f"{name}: expected class weights without a gradient, got some that require it; use detach()")
    return ordered(weight)


def _check_labels(name: str, x: np.ndarray, target: np.ndarray, ignore_index: int) -> np.ndarray:
    """The labels in one row, int64, each of them a class of `x` or `ignore_index`."""
    dim = min(x.ndim - 1, 1)
    classes, shape = x.shape[dim], x.shape[:dim] + x.shape[dim + 1 :]
    if target.dtype.kind not in "iu":
        nan = " with NaN" if target.dtype.kind == "f" and np.isnan(target).any() else ""
        raise TypeError(
            f"{name}: expected whole-number labels of shape {shape} for x {x.shape}, got {target.dtype}{nan} of shape "
            f"{target.shape}; convert them with .astype('int64')"
        )
    if target.shape != shape:
        raise ValueError(f"{name}: expected labels of shape {shape} for x {x.shape}, got {target.shape}")
    labels, flag = _whole_numbers(target), np.empty(1, np.int64)
    launch(kernels.check_labels, 1, labels, flag, classes, ignore_index)
    refuse_if(flag, lambda found: _refuse_label(name, found, shape, classes, ignore_index))
    return labels


def _whole_numbers(target: np.ndarray) -> np.ndarray:
    """The labels in one row, int64, in the order of their shape."""
    row = ordered(target).reshape(-1)
    if row.dtype == np.int64:
        return row
    labels = np.empty(row.size, np.int64)
    launch(convert, row.size, row, labels)
    return labels


def _refuse_label(name: str, found: int, shape: tuple[int, ...], classes: int, ignore_index: int) -> None:
    label, place = found >> 32, tuple(int(i) for i in np.unravel_index((found & 0xFFFFFFFF) - 1, shape))
    raise ValueError(
        f"{name}: expected labels from 0 to {classes - 1} ({classes} classes) or ignore_index {ignore_index}, got "
        f"{label} at {place}"
    )


def _refuse_nan(name: str, found: int, shape: tuple[int, ...]) -> None:
    images = len(shape) == 4  # whose memory runs through N, H, W, C
    order = (shape[0], *shape[2:], shape[1]) if images else shape
    n, *rest = (int(i) for i in np.unravel_index(found - 1, order))
    place = (n, rest[-1], *rest[:-1]) if images else (n, *rest)
    raise ValueError(f"{name}: expected probabilities, got NaN at {place}")


def _check_probabilities(name: str, x: np.ndarray, target: np.ndarray, ignore_index: int) -> None:
    if target.shape != x.shape:
        nan = ", with NaN" if np.isnan(target).any() else ""
        dim = min(x.ndim - 1, 1)
        raise ValueError(
            f"{name}: expected whole-number labels of shape {x.shape[:dim] + x.shape[dim + 1 :]} or probabilities of "
            f"shape {x.shape}, got {target.dtype} of shape {target.shape}{nan}; convert labels with .astype('int64')"
        )
    check_float(name, x=x, target=target)
    flag, shape = np.empty(1, np.int64), target.shape
    launch(kernels.find_nan, 1, flat(target), flag)
    refuse_if(flag, lambda found: _refuse_nan(name, found, shape))
    if ignore_index >= 0:
        raise ValueError(
            f"{name}: expected no ignore_index with probabilities, got {ignore_index}; set their rows to 0"
        )
