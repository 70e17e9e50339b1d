"""Convolution in two dimensions: images become columns, block by block, and columns are multiplied."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from ..autograd import Pullback, op
from ..checks import Pair, Sizes, check_pair, check_whole
from ..kernels.convolution import add_bias, depthwise, depthwise_weight, gather_columns, sum_columns
from ..kernels.launch import launch
from ..kernels.layout import dense, empty, flat, images, rows, zeros_like
from ..kernels.matmul import matmul
from ..kernels.pointwise import add
from .geometry import Axis, axis, batched, check_images, count_windows, unbatched
from .linear import sum_rows

Rule = tuple[np.ndarray, Pullback]
BLOCK = 1 << 18  # elements of columns made at a time: they are still in the second-level cache when multiplied


class Plan(NamedTuple):
    """Where the windows lie."""

    down: Axis
    across: Axis
    pointwise: bool  # 1x1 windows at every pixel: the image is its own columns

    @property
    def output(self) -> Pair:
        """Height and width of the output."""
        return len(self.down.taps), len(self.across.taps)

    @property
    def window(self) -> Pair:
        """Height and width of the kernel."""
        return self.down.taps.shape[1], self.across.taps.shape[1]

    def blocks(self, count: int, channels: int) -> Iterator[slice]:
        """The images in blocks whose columns hold about `BLOCK` elements: a function of the shapes alone."""
        (height, width), (kh, kw) = self.output, self.window
        step = count if self.pointwise else max(1, BLOCK // (height * width * kh * kw * channels))
        return (slice(start, min(start + step, count)) for start in range(0, count, step))


@op
def conv2d(
    x: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray | None = None,
    *,
    stride: Sizes = 1,
    padding: Sizes | str = 0,
    dilation: Sizes = 1,
    groups: int = 1,
    needs: list[bool],
) -> Rule:
    """y[n, o, oy, ox] = bias[o] + sum over c, ky, kx of weight[o, c, ky, kx] x[n, c, iy, ix] with
    iy = oy stride - padding + ky dilation and ix likewise, x being 0 outside.

    `padding` may be 'valid' (none) or 'same' (output as large as input, stride 1; what is odd goes to the end). Output
    channels in `groups` equal parts see the channels of their part alone.

    Shape: x (N, C, H, W) or (C, H, W), weight (out, C / groups, kh, kw), bias (out,), to (N, out, H', W') or
    (out, H', W'), H' = floor((H + 2 padding - dilation (kh - 1) - 1) / stride) + 1.
    Raises: ValueError: the shapes do not fit each other, the groups or the window. TypeError: the dtypes differ.
    Source: LeCun et al., "Gradient-based learning applied to document recognition" (1998), II.A.
    """
    check_images("conv2d", x, weight=weight, bias=bias)
    _check_channels(x, weight, bias, groups)
    ndim, x, weight = x.ndim, dense(batched(x)), dense(weight)
    plan = _plan(x.shape[2:], weight.shape[2:], stride, padding, dilation)
    bias = bias if bias is None else dense(bias)
    rule = _depthwise if groups > 1 and weight.shape[1] == 1 else _grouped
    y, pull = rule(plan, x, weight, groups, needs)
    if bias is not None:
        launch(add_bias, y.size // len(bias), rows(y), bias, work=y.size)

    def pullback(dy: np.ndarray) -> tuple:
        dy = dense(batched(dy))
        dx, dweight = pull(dy)
        return dx if dx is None else unbatched(dx, ndim), dweight, sum_rows(rows(dy)) if needs[2] else None

    return unbatched(y, ndim), pullback


def _check_channels(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None, groups: int) -> None:
    check_whole("conv2d", "groups", groups, 1)
    if weight.ndim != 4 or not weight.size:
        raise ValueError(
            f"conv2d: expected weight (out, in / groups, kh, kw) without an extent of 0, got {weight.shape}"
        )
    channels, (outputs, inputs) = x.shape[-3], weight.shape[:2]
    if channels % groups or outputs % groups:
        raise ValueError(
            f"conv2d: expected groups that divide the {channels} channels of x {x.shape} and the {outputs} of weight "
            f"{weight.shape}, got {groups}"
        )
    if channels != inputs * groups:
        raise ValueError(
            f"conv2d: expected x with {inputs * groups} channels for weight {weight.shape} (out, in / groups, kh, kw) "
            f"and groups={groups}, got x {x.shape}; channels come before height and width"
        )
    if bias is not None and bias.shape != (outputs,):
        raise ValueError(f"conv2d: expected bias of shape {(outputs,)} for weight {weight.shape}, got {bias.shape}")


def _plan(size: tuple, kernel: tuple, stride: Sizes, padding: Sizes | str, dilation: Sizes) -> Plan:
    stride, dilation = check_pair("conv2d", "stride", stride, 1), check_pair("conv2d", "dilation", dilation, 1)
    if isinstance(padding, str):
        before, total = _named_padding(padding, kernel, stride, dilation)
    else:
        before = check_pair("conv2d", "padding", padding, 0)
        total = (2 * before[0], 2 * before[1])
    count = [count_windows(*of_axis) for of_axis in zip(size, kernel, stride, total, dilation, strict=True)]
    if min(count) < 1:
        padded = tuple(s + p for s, p in zip(size, total, strict=True))
        reach = tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True))
        raise ValueError(
            f"conv2d: expected a kernel no larger than the padded input {padded}, got kernel {tuple(kernel)}, which "
            f"reaches over {reach} with dilation {dilation}; use more padding or larger images"
        )
    plan = [axis(*of_axis) for of_axis in zip(size, kernel, stride, before, dilation, count, strict=True)]
    return Plan(plan[0], plan[1], (*kernel, *stride, *total) == (1, 1, 1, 1, 0, 0))


def _named_padding(padding: str, kernel: tuple, stride: Pair, dilation: Pair) -> tuple[Pair, Pair]:
    """Padding before, and before and after together."""
    if padding not in ("same", "valid"):
        raise ValueError(f"conv2d: expected padding 'same', 'valid', a whole number or a pair, got {padding!r}")
    if padding == "same" and stride != (1, 1):
        raise ValueError(f"conv2d: expected stride 1 with padding='same', got {stride}; give the padding as a number")
    named = padding == "same"
    total = dilation[0] * (kernel[0] - 1) * named, dilation[1] * (kernel[1] - 1) * named
    return (total[0] // 2, total[1] // 2), total


def _grouped(plan: Plan, x: np.ndarray, weight: np.ndarray, groups: int, needs: list[bool]) -> Rule:
    """Each group of channels is a convolution of its own."""
    xs, weights = _split(x, groups, 1), _split(weight, groups, 0)

    def pull(dy: np.ndarray) -> tuple:
        dys = _split(dy, groups, 1)
        dx = dweight = None
        if needs[0]:
            dx = _join([_input_gradient(plan, *parts, xs[0].shape) for parts in zip(dys, weights, strict=True)], 1)
        if needs[1]:
            dweight = _join([_weight_gradient(plan, *parts) for parts in zip(xs, dys, strict=True)], 0)
        return dx, dweight

    return _join([_forward(plan, *parts) for parts in zip(xs, weights, strict=True)], 1), pull


def _split(x: np.ndarray, groups: int, dim: int) -> list[np.ndarray]:
    return [x] if groups == 1 else [dense(part) for part in np.split(x, groups, dim)]


def _join(parts: list[np.ndarray], dim: int) -> np.ndarray:
    return parts[0] if len(parts) == 1 else dense(np.concatenate(parts, dim))


def _matrix(weight: np.ndarray) -> np.ndarray:
    """The weight (out, in, kh, kw) as a matrix (out, kh * kw * in), without a copy."""
    return images(weight).reshape(len(weight), -1)


def _buffer(plan: Plan, x: np.ndarray, block: slice) -> np.ndarray:
    """Room for a block's columns: (images * H', W', kh, kw * C)."""
    (height, width), (kh, kw) = plan.output, plan.window
    return np.empty((block.stop * height, width, kh, kw * x.shape[1]), x.dtype)


def _columns(plan: Plan, x: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Block after block of images, and its columns as a matrix (images * H' * W', kh * kw * C), each over the last."""
    if plan.pointwise:
        yield slice(None), rows(x)
        return
    memory, buffer = images(x).reshape(len(x), x.shape[2], -1), None
    for block in plan.blocks(*x.shape[:2]):
        part = memory[block]
        buffer = _buffer(plan, x, block) if buffer is None else buffer
        columns = buffer[: len(part) * plan.output[0]]
        launch(gather_columns, len(columns), part, plan.down.taps, plan.across.taps, columns, work=columns.size)
        yield block, columns.reshape(-1, columns.shape[2] * columns.shape[3])


def _forward(plan: Plan, x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    y, matrix = empty((len(x), len(weight), *plan.output), x.dtype), _matrix(weight)
    for block, columns in _columns(plan, x):
        matmul(columns, matrix.T, out=rows(y[block]))
    return y


def _input_gradient(plan: Plan, dy: np.ndarray, weight: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    dx, matrix = empty(shape, dy.dtype), _matrix(weight)
    if plan.pointwise:
        matmul(rows(dy), matrix, out=rows(dx))
        return dx
    buffer = None
    for block in plan.blocks(*shape[:2]):
        part = images(dx[block])
        buffer = _buffer(plan, dx, block) if buffer is None else buffer
        columns = buffer[: len(part) * plan.output[0]]
        matmul(rows(dy[block]), matrix, out=columns.reshape(-1, matrix.shape[1]))
        columns = columns.reshape(len(part), -1, *columns.shape[1:])
        items = len(part) * part.shape[1]
        launch(sum_columns, items, columns, plan.down.back, plan.across.back, part, work=columns.size)
    return dx


def _weight_gradient(plan: Plan, x: np.ndarray, dy: np.ndarray) -> np.ndarray:
    total = None
    for block, columns in _columns(plan, x):
        part = matmul(rows(dy[block]).T, columns)
        if total is None:
            total = part
        else:
            launch(add, total.size, flat(total), flat(part), flat(total))
    assert total is not None
    return total.reshape(dy.shape[1], *plan.window, x.shape[1]).transpose(0, 3, 1, 2)


def _depthwise(plan: Plan, x: np.ndarray, weight: np.ndarray, groups: int, needs: list[bool]) -> Rule:
    """Every group is one channel, seen by one output or more: no sums over channels, so no matrices."""
    each = len(weight) // groups
    repeated = x if each == 1 else dense(np.repeat(x, each, 1))
    kernel = np.ascontiguousarray(weight[:, 0].transpose(1, 2, 0))
    n, channels = repeated.shape[:2]
    y = empty((n, channels, *plan.output), x.dtype)
    work = y.size * kernel.size // channels
    (down, down_back), (across, across_back) = plan.down, plan.across
    launch(depthwise, n * len(down), images(repeated), kernel, down, across, images(y), work=work)

    def pull(dy: np.ndarray) -> tuple:
        dx = dweight = None
        if needs[0]:
            dx = zeros_like(repeated)
            items = n * len(down_back)
            launch(depthwise, items, images(dy), kernel, down_back, across_back, images(dx), work=work)
            dx = dx if each == 1 else dx.reshape(n, groups, each, *dx.shape[2:]).sum(2)
        if needs[1]:
            partial = np.empty((n * len(down), *kernel.shape), x.dtype)
            arguments = images(repeated), images(dy), down, across, partial
            launch(depthwise_weight, len(partial), *arguments, work=work)
            dweight = sum_rows(partial.reshape(len(partial), -1)).reshape(kernel.shape).transpose(2, 0, 1)[:, None]
        return dx, dweight

    return y, pull
