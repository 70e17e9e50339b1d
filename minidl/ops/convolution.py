"""Convolution in two dimensions: sums of products that follow the windows in memory, where images lie channels last."""

from functools import lru_cache

import numpy as np

from ..autograd import Pullback, op
from ..checks import Pair, Sizes, check_pair, check_whole
from ..kernels.convolution import sum_columns
from ..kernels.copying import fill
from ..kernels.launch import launch
from ..kernels.layout import dense, empty, flat, images, ordered, rows
from ..kernels.product import multiply, nothing, panels_of_columns, panels_of_rows
from ..kernels.reduce import merge
from ..kernels.vectors import REGISTER
from . import winograd
from .correlation import correlating
from .depthwise import depthwise
from .geometry import Geometry, batched, check_images, count_windows, unbatched
from .linear import sum_rows
from .windows import Extents, Layout, Plan, Run, runs, sliding

Rule = tuple[np.ndarray, Pullback]


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
    Source: LeCun et al., "Gradient-based learning applied to document recognition" (1998), II.A. Windows of 3 x 3 with
    stride 1 over many channels are computed as in Lavin, Gray, "Fast algorithms for convolutional neural networks"
    (2016), 4.1.
    """
    check_images("conv2d", x, weight=weight, bias=bias)
    _check_channels(x, weight, bias, groups)
    ndim, x, weight = x.ndim, dense(batched(x)), dense(weight)
    g = _geometry(x, weight, stride, padding, dilation, groups)
    rule = depthwise if groups > 1 and weight.shape[1] == 1 else _tiled if winograd.multiplies_less(g) else _grouped
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


def _layout(g: Geometry, sums: int, columns: int) -> Layout:
    """How the weight lies for sums over so many channels, into so many."""
    sums, panels = sums // g.groups, -(-columns // (g.groups * g.width))
    panel = g.window[0] * g.window[1] * sums * g.width
    return Layout(sums * g.width, g.width, panels * panel, panel, g.width)


@lru_cache(512)
def _forward_plan(g: Geometry) -> Plan:
    axes, layout = (runs(table.taps, 1) for table in g.axes), _layout(g, g.channels, g.outputs)
    return sliding(axes, g.source, g.target, g.images, g.groups, g.window[1], layout, g.itemsize)


@lru_cache(512)
def _input_plan(g: Geometry) -> Plan:
    axes = (runs(table.back, of_axis[2]) for table, of_axis in zip(g.axes, (g.down, g.across), strict=True))
    layout = _layout(g, g.outputs, g.channels)
    return sliding(axes, g.target, g.source, g.images, g.groups, g.window[1], layout, g.itemsize)


@lru_cache(512)
def _columns_plan(g: Geometry) -> Plan:
    """Of sums over rows of the window alone: the places in a row are columns, at every output pixel of an input row."""
    down, across = runs(g.axes[0].back, g.down[2]), Run(0, 1, g.target.width, (0,), (0,), 1)
    columns = g.window[1] * g.channels
    layout, target = (
        Layout(columns, g.window[0] * columns, 0, g.width, g.width),
        Extents(g.down[0], g.across[5], columns),
    )
    return sliding((down, [across]), g.target, target, g.images, 1, 1, layout, g.itemsize)


@lru_cache(512)
def _weight_plan(g: Geometry) -> Plan:
    axes = tuple(runs(table.taps, 1) for table in g.axes)
    return correlating(axes, g.source, g.target, g.images, g.groups, g.window, g.width, g.narrow)


def _run(g: Geometry, plan: Plan, a: np.ndarray, b: np.ndarray, bias: np.ndarray, c: np.ndarray) -> None:
    tables = plan.a_runs, plan.b_runs, plan.jobs, plan.grid
    launch(multiply, plan.items, a, b, bias, c, *tables, work=g.work)


def _grouped(g: Geometry, x: np.ndarray, weight: np.ndarray, bias: np.ndarray, needs: list[bool]) -> Rule:
    """Channels of each group are summed over."""
    y = empty((g.images, g.outputs, *g.target[:2]), x.dtype)
    outputs, terms = g.outputs // g.groups, weight.size // g.outputs
    panels = np.empty((g.groups * -(-outputs // g.width), terms, g.width), x.dtype)
    matrix, lanes = images(weight).reshape(g.outputs, terms), REGISTER // x.itemsize
    launch(panels_of_columns, g.groups * -(-outputs // lanes), matrix, panels, outputs, lanes, work=weight.size)
    _run(g, _forward_plan(g), flat(x), panels.reshape(-1), bias, flat(y))

    def pull(dy: np.ndarray) -> tuple:
        gradient = (_narrow_input_gradient if g.narrow else _input_gradient)(g, dy, weight) if needs[0] else None
        return gradient, _weight_gradient(g, x, dy) if needs[1] else None

    return y, pull


def _tiled(g: Geometry, x: np.ndarray, weight: np.ndarray, bias: np.ndarray, needs: list[bool]) -> Rule:
    """The same by Winograd's algorithm."""
    u = winograd.transformed(weight)
    y = winograd.convolved(g, x, u, bias)

    def pull(dy: np.ndarray) -> tuple:
        padded = g.down[3] == g.across[3] == 1  # else dy is padded by more than that
        dx = None
        if needs[0]:
            dx = winograd.input_gradient(g, dy, u) if padded else _input_gradient(g, dy, weight)
        weight_gradient = winograd.weight_gradient if winograd.sums_pay(g) else _weight_gradient
        return dx, weight_gradient(g, x, dy) if needs[1] else None

    return y, pull


def _input_gradient(g: Geometry, dy: np.ndarray, weight: np.ndarray) -> np.ndarray:
    dx = empty((g.images, g.channels, *g.source[:2]), dy.dtype)
    inputs, places = g.channels // g.groups, g.window[0] * g.window[1]
    each = -(-inputs // g.width)
    panels = np.empty((g.groups * each, places * (g.outputs // g.groups), g.width), dy.dtype)
    rows = images(weight).reshape(g.outputs, places, inputs)
    launch(panels_of_rows, g.outputs, rows, panels, each, work=panels.size)
    _run(g, _input_plan(g), flat(dy), panels.reshape(-1), nothing(dy.dtype), flat(dx))
    return dx


def _narrow_input_gradient(g: Geometry, dy: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """For few channels: a register holds those of all places in a row of the window, which are then added up."""
    dx = empty((g.images, g.channels, *g.source[:2]), dy.dtype)
    columns = np.empty((g.images * g.source.height, g.target.width, g.window[1] * g.channels), dy.dtype)
    _run(g, _columns_plan(g), flat(dy), flat(weight), nothing(dy.dtype), columns.reshape(-1))
    by_row = images(dx).reshape(len(columns), g.source.width, g.channels)
    launch(sum_columns, len(columns), columns, g.axes[1].back, by_row, work=columns.size)
    return dx


def _weight_gradient(g: Geometry, x: np.ndarray, dy: np.ndarray) -> np.ndarray:
    """Sums over blocks of images, which are then added in order."""
    plan, size = _weight_plan(g), g.outputs * (g.channels // g.groups) * g.window[0] * g.window[1]
    partial = np.empty((plan.grid[0], size), x.dtype)
    if not plan.covered:
        launch(fill, partial.size, partial.reshape(-1), 0.0)
    operands = (flat(x), flat(dy)) if g.narrow else (flat(dy), flat(x))
    under = nothing(x.dtype) if plan.covered else partial.reshape(-1)
    _run(g, plan, *operands, under, partial.reshape(-1))
    total = partial[0]
    if len(partial) > 1:
        total = np.empty(size, x.dtype)
        merge(partial, total)
    if g.narrow:
        total = ordered(total.reshape(-1, g.outputs).T)
    return total.reshape(g.outputs, *g.window, -1).transpose(0, 3, 1, 2)
