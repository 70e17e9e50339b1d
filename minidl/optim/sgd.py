"""Stochastic gradient descent."""

import math
from typing import Any

import numpy as np

from ..checks import check_number
from ..kernels import update
from ..kernels.launch import launch
from ..kernels.layout import dense, flat, zeros_like
from ..mutation import note_change
from ..tensor import Tensor
from .optimizer import Optimizer


class SGD(Optimizer):
    """Stochastic gradient descent with momentum, by PyTorch's convention, in which the velocity holds no learning rate:

        g = gradient + weight_decay * w
        v = momentum * v + (1 - dampening) * g        (v = g in the first step)
        w = w - lr * v                                (nesterov: w - lr * (g + momentum * v))

    `params` are tensors, or groups: dicts of `params` and of options that differ from those given here. Options are
    read from `param_groups` at each step. A parameter without a gradient is left alone.

    Raises:
        TypeError: something given is not a tensor of float32 or float64, or an option is not a number.
        ValueError: there are no parameters, one twice, or one that is not a leaf; a negative option; nesterov without
            momentum or with dampening.

    Source: Sutskever, Martens, Dahl & Hinton, "On the importance of initialization and momentum in deep learning"
    (2013), section 2; there the velocity holds the learning rate.
    """

    _arrays = ("momentum_buffer",)

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
    ):
        defaults = {"lr": lr, "momentum": momentum, "dampening": dampening, "weight_decay": weight_decay}
        super().__init__(params, {**defaults, "nesterov": nesterov})

    def _check_options(self, group: dict[str, Any]) -> None:
        for key in ("lr", "momentum", "dampening", "weight_decay"):
            check_number("SGD", key, group[key], -math.inf if key == "dampening" else 0)
        if group["nesterov"] and (not group["momentum"] or group["dampening"]):
            raise ValueError(
                f"SGD: expected momentum above 0 and dampening 0 with nesterov, got momentum {group['momentum']} and "
                f"dampening {group['dampening']}"
            )

    def step(self) -> None:
        """Update every parameter that has a gradient.

        Raises:
            ValueError: an option is out of range, or a gradient or a velocity has not its parameter's shape and dtype.
        """
        for group in self.param_groups:
            self._check_options(group)
            momentum, share = group["momentum"], 1 - group["dampening"]
            settings = np.array([group["lr"], group["weight_decay"], momentum, share, group["nesterov"]], np.float64)
            first = settings.copy()
            first[3] = 1  # the velocity starts as the gradient, whatever the dampening
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, bool(momentum), first, settings)

    def _update(self, parameter: Tensor, has_momentum: bool, first: np.ndarray, settings: np.ndarray) -> None:
        weight = parameter._array = dense(parameter._array)
        gradient = _fitting("gradient", parameter, parameter.grad)
        if not has_momentum:
            launch(update.sgd, weight.size, flat(weight), gradient, settings)
        else:
            state = self.state.get(parameter)
            if state is None:
                state, settings = self.state.setdefault(parameter, {"momentum_buffer": zeros_like(weight)}), first
            velocity = _fitting("momentum_buffer", parameter, state["momentum_buffer"])
            launch(update.sgd_momentum, weight.size, flat(weight), gradient, velocity, settings)
        note_change(parameter)

    def __repr__(self) -> str:
        return super().__repr__() + "\nmomentum is PyTorch's: v = momentum * v + g, w = w - lr * v"


def _fitting(name: str, parameter: Tensor, array: Any) -> np.ndarray:
    """The array's memory in the parameter's order, if it has its shape and dtype."""
    if not isinstance(array, np.ndarray) or array.shape != parameter.shape or array.dtype != parameter.dtype:
        got = f"{array.shape} and {array.dtype}" if isinstance(array, np.ndarray) else type(array).__name__
        raise ValueError(
            f"SGD.step: expected a {name} of shape {parameter.shape} and dtype {parameter.dtype}, got {got}; make the "
            "optimizer after model.to(...)"
        )
    return flat(dense(array))
