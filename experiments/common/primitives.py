"""The primitives that `speed` measures: each a layer on an input of one shape, with the work that it takes.

Knows no framework: a layer's class has the same name and arguments in minidl and in PyTorch. Operations are counted as
is the custom: a multiplication and an addition are two, those with the zeros of the padding count, and a convolution
has those of the direct sum, however it is computed. Bytes are what no implementation can do without: every input read
once and every output written once, each way.
"""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

ITEM = 4  # bytes of a float32
FORWARD, INPUT, WEIGHT, BACKWARD, BOTH = "forward", "input gradient", "weight gradient", "backward", "forward+backward"
STEP = "step"


class Work(NamedTuple):
    """Floating-point operations, bytes read and written, and how many bytes there are to go over at a time."""

    flops: float
    reads: float
    writes: float
    size: float

    def plus(self, other: "Work") -> "Work":
        """One after the other."""
        flops, reads, writes = (a + b for a, b in zip(self[:3], other[:3], strict=True))
        return Work(flops, reads, writes, max(self.size, other.size))


def _work(flops: float, reads: float, writes: float) -> Work:
    return Work(flops, reads, writes, reads + writes)


@dataclass(frozen=True)
class Primitive:
    """`layer` is a class of `nn` (or of `optim`), made with `arguments` and `options`; `label` says its size.

    `wide`: a product without groups, with at least 16 channels on both sides.
    """

    family: str
    layer: str
    shape: tuple[int, ...]
    label: str
    work: dict[str, Work]
    arguments: tuple[int, ...] = ()
    options: tuple[tuple[str, Any], ...] = ()
    wide: bool = False


def _product(m: int, k: int, n: int) -> Primitive:
    x, w, y = m * k * ITEM, k * n * ITEM, m * n * ITEM
    work = _three_forms(2 * m * k * n, x, w, y)
    return Primitive(
        "products", "Linear", (m, k), f"{m}x{k}x{n}", work, (k, n), (("bias", False),), wide=min(k, n) >= 16
    )


def _convolution(n: int, c: int, h: int, out: int, kernel: int, stride: int, groups: int = 1) -> Primitive:
    pixels = n * math.ceil(h / stride) ** 2
    x, w, y = n * c * h * h * ITEM, out * c // groups * kernel**2 * ITEM, pixels * out * ITEM
    work = _three_forms(2 * pixels * out * c // groups * kernel**2, x, w, y)
    options = ("stride", stride), ("padding", kernel // 2), ("groups", groups), ("bias", False)
    label = f"{n}x{c}x{h}x{h} to {out}, {kernel}x{kernel}"
    label += (f" /{stride}" if stride > 1 else "") + (" depthwise" if groups == c > 1 else "")
    wide = groups == 1 and min(c, out) >= 16
    return Primitive("convolutions", "Conv2d", (n, c, h, h), label, work, (c, out, kernel), options, wide)


def _three_forms(flops: float, x: float, w: float, y: float) -> dict[str, Work]:
    forms = {FORWARD: _work(flops, x + w, y), INPUT: _work(flops, y + w, x), WEIGHT: _work(flops, x + y, w)}
    return {**forms, BOTH: forms[FORWARD].plus(forms[INPUT]).plus(forms[WEIGHT])}


def _streamed(
    family: str, layer: str, shape: tuple[int, ...], forward: tuple, backward: tuple, *arguments: int
) -> Primitive:
    """A layer whose (operations, reads, writes) are so many for each element of its input."""
    size = math.prod(shape)
    there, back = (_work(flops * size, r * size * ITEM, w * size * ITEM) for flops, r, w in (forward, backward))
    work = {FORWARD: there, BACKWARD: back, BOTH: there.plus(back)}
    return Primitive(family, layer, shape, "x".join(map(str, shape)), work, arguments)


def _batch_norm(*shape: int) -> Primitive:
    layer = "BatchNorm2d" if len(shape) == 4 else "BatchNorm1d"
    return _streamed("norms", layer, shape, (6, 1, 1), (9, 2, 1), shape[1])


def _layer_norm(*shape: int) -> Primitive:
    return _streamed("norms", "LayerNorm", shape, (7, 1, 1), (11, 2, 1), shape[1])


def _sgd(*shape: int) -> Primitive:
    size = math.prod(shape)
    work = {STEP: _work(4 * size, 3 * size * ITEM, 0)}  # what is written takes the place of what was read
    return Primitive("others", "SGD", shape, "x".join(map(str, shape)), work, options=(("lr", 1e-3), ("momentum", 0.9)))


IMAGES, FEATURES = (64, 16, 28, 28), (64, 128)
# Of an elementwise function: operations, reads and writes, forward and backward. A polynomial counts about 20.
ELEMENTWISE = {
    "ReLU": ((1, 1, 1), (1, 2, 1)),
    "Tanh": ((20, 1, 1), (3, 2, 1)),
    "Sigmoid": ((20, 1, 1), (3, 2, 1)),
    "Dropout": ((1, 1, 1), (1, 1, 1)),
}
PRIMITIVES = (
    *(
        _product(*sizes)
        for sizes in (
            *((60, 784, 100), (60, 100, 100), (128, 784, 1000), (128, 1000, 1000)),
            *((512, 512, 512), (2048, 2048, 2048), (100352, 27, 32)),
        )
    ),
    *(
        _convolution(*sizes)
        for sizes in (
            *((64, 1, 28, 16, 3, 1), (64, 3, 32, 32, 3, 1), (64, 16, 14, 32, 3, 1), (64, 32, 16, 64, 3, 1)),
            *((64, 64, 8, 128, 3, 1), (64, 64, 16, 64, 3, 1), (64, 32, 32, 32, 3, 1), (64, 32, 14, 64, 5, 1)),
            *((64, 16, 32, 32, 3, 2), (64, 32, 16, 64, 1, 2), (64, 64, 16, 64, 3, 1, 64)),
        )
    ),
    *(
        _batch_norm(*shape)
        for shape in (
            *((64, 16, 28, 28), (64, 32, 32, 32), (64, 64, 16, 16), (64, 128, 8, 8)),
            *((128, 1000), (60, 100)),
        )
    ),
    *(_layer_norm(*shape) for shape in ((128, 1000), (60, 100), (1024, 1024))),
    *(
        _streamed("activations", layer, shape, *costs)
        for layer, costs in ELEMENTWISE.items()
        for shape in (IMAGES, FEATURES)
    ),
    *(_streamed("activations", layer, IMAGES, (1, 1, 0.25), (1, 0.25, 1), 2) for layer in ("MaxPool2d", "AvgPool2d")),
    *(_streamed("others", "CrossEntropyLoss", shape, (25, 1, 0), (3, 1, 1)) for shape in ((128, 10), (128, 1000))),
    *(_sgd(*shape) for shape in ((100, 784), (1000, 1000))),
)
FAMILIES = tuple(dict.fromkeys(primitive.family for primitive in PRIMITIVES))
