"""Stochastic gradient descent."""

import math
import operator
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
        self._settings: dict[int, tuple[tuple, np.ndarray, np.ndarray]] = {}  # of each group, at the last step
        self._rows: dict[Tensor, tuple[np.ndarray, np.ndarray | None, np.ndarray, np.ndarray | None]] = {}

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
        for place, group in enumerate(self.param_groups):
            first, settings = self._settings_of(place, group)
            momentum = bool(group["momentum"])
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, momentum, first, settings)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_rows": {}}  # a copy's rows would be copies themselves, not its arrays' memory

    def _settings_of(self, place: int, group: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
        """What the kernel reads in a parameter's first step, and later; made anew when an option is another object."""
        options = group["lr"], group["weight_decay"], group["momentum"], group["dampening"], group["nesterov"]
        known = self._settings.get(place)
        if known is None or not all(map(operator.is_, known[0], options)):
            self._check_options(group)
            lr, weight_decay, momentum, dampening, nesterov = options
            settings = np.array([lr, weight_decay, momentum, 1 - dampening, nesterov], np.float64)
            first = settings.copy()
            first[3] = 1  # the velocity starts as the gradient, whatever the dampening
            known = self._settings[place] = options, first, settings
        return known[1], known[2]

    def _update(self, parameter: Tensor, has_momentum: bool, first: np.ndarray, settings: np.ndarray) -> None:
        state = velocity = None
        if has_momentum:
            state = self.state.get(parameter)
            if state is None:
                parameter._array = dense(parameter._array)
                state = self.state[parameter] = {"momentum_buffer": zeros_like(parameter._array)}
                settings = first
            velocity = state["momentum_buffer"]
        rows = self._rows.get(parameter)
        if rows is None or rows[0] is not parameter._array or rows[1] is not velocity:
            rows = self._rows_of(parameter, velocity)
        gradient, weight = _fitting("gradient", parameter, parameter.grad), rows[2]
        if velocity is None:
            launch(update.sgd, weight.size, weight, gradient, settings)
        else:
            launch(update.sgd_momentum, weight.size, weight, gradient, rows[3], settings)
        note_change(parameter)

    def _rows_of(self, parameter: Tensor, velocity: np.ndarray | None) -> tuple:
        """The arrays of a parameter, and each one's memory as a row; kept for as long as the arrays are the same."""
        weight = parameter._array = dense(parameter._array)
        row = None if velocity is None else _fitting("momentum_buffer", parameter, velocity)
        rows = self._rows[parameter] = weight, velocity, flat(weight), row
        return rows

    def __repr__(self) -> str:
        return super().__repr__() + "\nmomentum is PyTorch's: v = momentum * v + g, w = w - lr * v"


def _fitting(name: str, parameter: Tensor, array: Any) -> np.ndarray:
    """The array's elements in the parameter's order, if it has its shape and dtype."""
    weight = parameter._array
    if not isinstance(array, np.ndarray) or array.shape != weight.shape or array.dtype != weight.dtype:
        got = f"{array.shape} and {array.dtype}" if isinstance(array, np.ndarray) else type(array).__name__
        raise ValueError(
            f"SGD.step: expected a {name} of shape {parameter.shape} and dtype {parameter.dtype}, got {got}; make the "
            "optimizer after model.to(...)"
        )
    return flat(array)
