"""The networks of the experiments, with and without normalization.

Weights are drawn layer by layer from streams of their own, so that networks of one seed agree wherever their shapes
do, whatever stands between the layers: Xavier for sigmoid and tanh, Kaiming for the ReLUs (with PyTorch's default, a
deep sigmoid network without normalization hardly starts to learn). Biases start at zero, and a layer before a
normalization has none, since the normalization's own takes its role.
"""

from typing import Any

from minidl import Generator, nn

ACTIVATIONS = {"sigmoid": nn.Sigmoid, "tanh": nn.Tanh, "relu": nn.ReLU, "leaky_relu": nn.LeakyReLU}
NORMS = {"none": "no normalization", "batch": "batch norm", "layer": "layer norm"}


def mlp(norm: str, activation: str, seed: int) -> nn.Sequential:
    """784-100-100-100-10, the network of figure 1 of Ioffe & Szegedy (2015); normalization before the activation."""
    layers: list[Any] = [nn.Flatten()]
    for index, (inputs, outputs) in enumerate(((784, 100), (100, 100), (100, 100))):
        linear = nn.Linear(inputs, outputs, bias=norm == "none")
        layers.append(initialise(linear, activation, seed, index))
        if norm != "none":
            layers.append(nn.BatchNorm1d(outputs) if norm == "batch" else nn.LayerNorm(outputs))
        layers.append(ACTIVATIONS[activation]())
    return nn.Sequential(*layers, initialise(nn.Linear(100, 10), "linear", seed, 3))


def cnn(norm: str, activation: str, seed: int) -> nn.Sequential:
    """Two stages of 3x3 convolution (to 16, to 32), normalization, activation and 2x2 pooling; then a linear layer."""
    layers: list[Any] = []
    for index, (inputs, outputs, side) in enumerate(((1, 16, 28), (16, 32, 14))):
        convolution = nn.Conv2d(inputs, outputs, 3, padding=1, bias=norm == "none")
        layers.append(initialise(convolution, activation, seed, index))
        if norm != "none":
            layers.append(nn.BatchNorm2d(outputs) if norm == "batch" else nn.LayerNorm((outputs, side, side)))
        layers += [ACTIVATIONS[activation](), nn.MaxPool2d(2)]
    return nn.Sequential(*layers, nn.Flatten(), initialise(nn.Linear(32 * 7 * 7, 10), "linear", seed, 2))


def initialise(layer: Any, activation: str, seed: int, index: int) -> Any:
    """Draw the weight of layer `index` for the activation that follows it."""
    rng = Generator(seed, stream=index)
    if activation in ("relu", "leaky_relu"):
        nn.init.kaiming_normal_(layer.weight, a=0.01, nonlinearity=activation, rng=rng)
    else:
        nn.init.xavier_uniform_(layer.weight, rng=rng)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
