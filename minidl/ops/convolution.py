"""Convolution in two dimensions: sums of products that follow the windows in memory, where images lie channels last."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from ..autograd import Pullback, op
from ..checks import Pair, Sizes, check_pair, check_whole
from ..kernels.convolution import depthwise, depthwise_weight
from ..kernels.launch import launch
from ..kernels.layout import dense, empty, flat, images, rows, zeros_like
from ..kernels.product import multiply, nothing, panels_of_columns, sum_blocks
from ..kernels.simd import VECTORS
from ..kernels.vectors import REGISTER
from .geometry import Axis, axis, batched, check_images, count_windows, unbatched
from .linear import sum_rows
from .windows import Extents, Plan, correlating, runs, sliding

Rule = tuple[np.ndarray, Pullback]


class Geometry(NamedTuple):
    """Everything that a plan depends on; along each axis: size, kernel, stride, padding before, dilation, windows."""

    images: int
    channels: int
    outputs: int
    groups: int
    down: tuple[int, int, int, int, int, int]
    across: tuple[int, int, int, int, int, int]
    itemsize: int

    @property
    def axes(self) -> tuple[Axis, Axis]:
        """Which input each window sees at each place, and the inverse, down and across."""
        return axis(*self.down), axis(*self.across)

    @property
    def source(self) -> Extents:
        """The extents of an input image."""
        return Extents(self.down[0], self.across[0], self.channels)

    @property
    def target(self) -> Extents:
        """The extents of an output image."""
        return Extents(self.down[5], self.across[5], self.outputs)

    @property
    def window(self) -> Pair:
        """Height and width of the kernel."""
        return self.down[1], self.across[1]

    @property
    def width(self) -> int:
        """Columns of a panel."""
        return VECTORS * REGISTER // self.itemsize

    @property
    def work(self) -> int:
        """Multiplications, counted as elements that pass through memory would be."""
        terms = self.channels // self.groups * self.window[0] * self.window[1]
        return self.images * self.target.image * terms // 16


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
    g = _geometry(x, weight, stride, padding, dilation, groups)
    rule = _depthwise if groups > 1 and weight.shape[1] == 1 else _grouped
    y, pull = rule(g, x, weight, nothing(x.dtype) if bias is None else dense(bias), needs)

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


def _geometry(
    x: np.ndarray, weight: np.ndarray, stride: Sizes, padding: Sizes | str, dilation: Sizes, groups: int
) -> Geometry:
    stride, dilation = check_pair("conv2d", "stride", stride, 1), check_pair("conv2d", "dilation", dilation, 1)
    size, kernel = x.shape[2:], weight.shape[2:]
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
    down, across = zip(size, kernel, stride, before, dilation, count, strict=True)
    return Geometry(x.shape[0], x.shape[1], weight.shape[0], groups, down, across, x.itemsize)


def _named_padding(padding: str, kernel: tuple, stride: Pair, dilation: Pair) -> tuple[Pair, Pair]:
    """Padding before, and before and after together."""
    if padding not in ("same", "valid"):
        raise ValueError(f"conv2d: expected padding 'same', 'valid', a whole number or a pair, got {padding!r}")
    if padding == "same" and stride != (1, 1):
        raise ValueError(f"conv2d: expected stride 1 with padding='same', got {stride}; give the padding as a number")
    named = padding == "same"
    total = dilation[0] * (kernel[0] - 1) * named, dilation[1] * (kernel[1] - 1) * named
    return (total[0] // 2, total[1] // 2), total


@lru_cache(512)
def _forward_plan(g: Geometry) -> Plan:
    down, across = (runs(table.taps, 1) for table in g.axes)
    inputs, outputs = g.channels // g.groups, g.outputs // g.groups
    panel = g.window[0] * g.window[1] * inputs * g.width
    strides = (inputs * g.width, g.width, -(-outputs // g.width) * panel, panel)
    return sliding(down, across, g.source, g.target, g.images, g.groups, g.window[1], strides, g.width, g.itemsize)


@lru_cache(512)
def _input_plan(g: Geometry) -> Plan:
    down, across = (runs(table.back, of_axis[2]) for table, of_axis in zip(g.axes, (g.down, g.across), strict=True))
    inputs, outputs = g.channels // g.groups, g.outputs // g.groups
    row = g.window[0] * g.window[1] * inputs
    strides = (inputs, row, outputs * row, g.width)
    return sliding(down, across, g.target, g.source, g.images, g.groups, g.window[1], strides, g.width, g.itemsize)


@lru_cache(512)
def _weight_plan(g: Geometry) -> Plan:
    down, across = (runs(table.taps, 1) for table in g.axes)
    return correlating(down, across, g.source, g.target, g.images, g.groups, g.window, g.width)


def _run(g: Geometry, plan: Plan, a: np.ndarray, b: np.ndarray, bias: np.ndarray, c: np.ndarray) -> None:
    tables = plan.a_steps, plan.b_steps, plan.jobs, plan.grid
    launch(multiply, plan.items, a, b, bias, c, *tables, work=g.work)


def _grouped(g: Geometry, x: np.ndarray, weight: np.ndarray, bias: np.ndarray, needs: list[bool]) -> Rule:
    """Channels of each group are summed over."""
    none = nothing(x.dtype)

    def pull(dy: np.ndarray) -> tuple:
        dx = dweight = None
        if needs[0]:
            dx = empty(x.shape, dy.dtype)
            _run(g, _input_plan(g), flat(dy), flat(weight), none, flat(dx))
        if needs[1]:
            dweight = _weight_gradient(g, x, dy, weight)
        return dx, dweight

    outputs, terms = g.outputs // g.groups, weight.size // g.outputs
    panels = np.empty((g.groups * -(-outputs // g.width), terms, g.width), x.dtype)
    matrix = images(weight).reshape(g.outputs, terms)
    launch(panels_of_columns, len(panels), matrix, panels, outputs, REGISTER // x.itemsize, work=weight.size)
    y = empty((g.images, g.outputs, *g.target[:2]), x.dtype)
    _run(g, _forward_plan(g), flat(x), panels.reshape(-1), bias, flat(y))
    return y, pull


def _weight_gradient(g: Geometry, x: np.ndarray, dy: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Partial sums over blocks of images, which are then summed in order."""
    plan, dweight = _weight_plan(g), empty(weight.shape, x.dtype)
    if plan.covered and plan.grid[0] == 1:
        _run(g, plan, flat(dy), flat(x), nothing(x.dtype), flat(dweight))
        return dweight
    partial = (np.empty if plan.covered else np.zeros)((plan.grid[0], weight.size), x.dtype)
    _run(g, plan, flat(dy), flat(x), nothing(x.dtype), partial.reshape(-1))
    launch(sum_blocks, weight.size, partial, flat(dweight), work=partial.size)
    return dweight


def _depthwise(g: Geometry, x: np.ndarray, weight: np.ndarray, bias: np.ndarray, needs: list[bool]) -> Rule:
    """Every group is one channel, seen by one output or more: no sums over channels, so no matrices."""
    groups, each = g.groups, len(weight) // g.groups
    repeated = x if each == 1 else dense(np.repeat(x, each, 1))
    kernel = np.ascontiguousarray(weight[:, 0].transpose(1, 2, 0))
    n, channels = repeated.shape[:2]
    y = empty((n, channels, *g.target[:2]), x.dtype)
    work = y.size * kernel.size // channels
    (down, down_back), (across, across_back) = g.axes
    launch(depthwise, n * len(down), images(repeated), kernel, down, across, images(y), work=work)
    if len(bias):
        y += bias[:, None, None]

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
