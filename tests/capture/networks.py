"""Ten networks of the kinds that are trained from scratch on a processor, at full size and small."""

import itertools
from collections.abc import Callable
from typing import Any

from minidl import nn

Layers = list[nn.Module]


class Residual(nn.Module):
    """The sum of two branches."""

    def __init__(self, main: Layers, shortcut: Layers):
        super().__init__()
        self.main, self.shortcut = nn.Sequential(*main), nn.Sequential(*shortcut)

    def forward(self, x: Any) -> Any:
        return self.main(x) + self.shortcut(x)


def mlp(widths: list[int], activation: Callable[[], nn.Module], norm: Any = None, dropout: float = 0.0) -> Layers:
    """Layers of these widths; `norm` makes one of a width."""
    layers: Layers = []
    for a, b in itertools.pairwise(widths[:-1]):
        layers += [nn.Linear(a, b, bias=norm is not nn.BatchNorm1d), *([norm(b)] if norm else []), activation()]
        layers += [nn.Dropout(dropout)] if dropout else []
    return [*layers, nn.Linear(widths[-2], widths[-1])]


def block(a: int, b: int, stride: int = 1, norm: bool = True) -> Layers:
    """A convolution with batch normalization and ReLU."""
    conv = nn.Conv2d(a, b, 3, stride=stride, padding=1, bias=not norm)
    return [conv, *([nn.BatchNorm2d(b)] if norm else []), nn.ReLU()]


def plain(channels: list[int], size: int, norm: bool = True) -> Layers:
    """Convolutions with pools, then a linear layer."""
    layers: Layers = []
    for a, b in itertools.pairwise(channels):
        layers += [*block(a, b, norm=norm), nn.MaxPool2d(2)]
        size //= 2
    return [*layers, nn.Flatten(), nn.Linear(channels[-1] * size * size, 10)]


def averaged(width: int) -> Layers:
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 10)]


def vgg(plan: list[int]) -> Layers:
    """Convolutions of these widths; 0 is a pool."""
    layers, a = [], 3
    for b in plan:
        layers += block(a, b) if b else [nn.MaxPool2d(2)]
        a = b or a
    return [*layers, *averaged(a)]


def resnet(width: int, blocks: int) -> Layers:
    """Residual blocks in three stages."""
    layers, a = block(3, width), width
    for stage in range(3):
        b = width << stage
        for i in range(blocks):
            stride = 2 if stage and i == 0 else 1
            main = [*block(a, b, stride), nn.Conv2d(b, b, 3, padding=1, bias=False), nn.BatchNorm2d(b)]
            short = [nn.Conv2d(a, b, 1, stride=stride, bias=False), nn.BatchNorm2d(b)] if stride > 1 or a != b else []
            layers += [Residual(main, short), nn.ReLU()]
            a = b
    return [*layers, *averaged(a)]


SMALL: dict[str, tuple[tuple[int, ...], int, Callable[[], Layers]]] = {  # a batch's shape, classes, the layers
    "mlp-moons": ((32, 2), 2, lambda: mlp([2, 16, 16, 2], nn.Tanh)),
    "mlp-sigmoid": ((20, 40), 10, lambda: mlp([40, 30, 30, 30, 10], nn.Sigmoid)),
    "mlp-sigmoid-bn": ((20, 40), 10, lambda: mlp([40, 30, 30, 30, 10], nn.Sigmoid, nn.BatchNorm1d)),
    "mlp-wide-bn": ((24, 50), 10, lambda: mlp([50, 90, 90, 10], nn.ReLU, nn.BatchNorm1d)),
    "mlp-wide-ln": ((24, 50), 10, lambda: mlp([50, 90, 90, 10], nn.ReLU, nn.LayerNorm, 0.5)),
    "cnn-mnist": ((6, 1, 12, 12), 10, lambda: plain([1, 6, 9], 12, norm=False)),
    "cnn-mnist-bn": ((6, 1, 12, 12), 10, lambda: plain([1, 6, 9], 12)),
    "cnn-cifar-bn": ((6, 3, 16, 16), 10, lambda: plain([3, 5, 8, 16], 16)),
    "vgg11-half-bn": ((4, 3, 16, 16), 10, lambda: vgg([4, 0, 8, 0, 16, 16, 0, 16, 16])),
    "resnet20-bn": ((4, 3, 12, 12), 10, lambda: resnet(4, 1)),
}
FULL: dict[str, tuple[tuple[int, ...], int, Callable[[], Layers]]] = {
    "mlp-sigmoid": ((60, 784), 10, lambda: mlp([784, 100, 100, 100, 10], nn.Sigmoid)),
    "mlp-sigmoid-bn": ((60, 784), 10, lambda: mlp([784, 100, 100, 100, 10], nn.Sigmoid, nn.BatchNorm1d)),
    "mlp-wide-bn": ((128, 784), 10, lambda: mlp([784, 1000, 1000, 10], nn.ReLU, nn.BatchNorm1d)),
    "mlp-wide-ln": ((128, 784), 10, lambda: mlp([784, 1000, 1000, 10], nn.ReLU, nn.LayerNorm, 0.5)),
    "cnn-mnist": ((64, 1, 28, 28), 10, lambda: plain([1, 16, 32], 28, norm=False)),
    "cnn-mnist-bn": ((64, 1, 28, 28), 10, lambda: plain([1, 16, 32], 28)),
    "cnn-cifar-bn": ((64, 3, 32, 32), 10, lambda: plain([3, 32, 64, 128], 32)),
    "vgg11-half-bn": ((64, 3, 32, 32), 10, lambda: vgg([32, 0, 64, 0, 128, 128, 0, 256, 256, 0, 256, 256, 0])),
    "resnet20-bn": ((64, 3, 32, 32), 10, lambda: resnet(16, 3)),
}
