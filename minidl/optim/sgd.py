"""Stochastic gradient descent."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..checks import check_number
from ..kernels import update
from ..kernels.launch import launch
from ..kernels.layout import dense, flat, zeros_like
from ..mutation import Watched, note_change, note_structure, structure
from ..tensor import Tensor
from .groups import ParamGroup
from .optimizer import Optimizer

Row = tuple[int, np.ndarray, np.ndarray | None, np.ndarray, tuple[int, ...], np.dtype]


class SGD(Optimizer):
    """Stochastic gradient descent with momentum, by PyTorch's convention, in which the velocity holds no learning rate:

        g = gradient + weight_decay * w
        v = momentum * v + (1 - dampening) * g        (v = g in the first step)
        w = w - lr * v                                (nesterov: w - lr * (g + momentum * v))

    `params` are tensors, or groups: dicts of `params` and of options that differ from those given here. Options can be
    changed in `param_groups` at any time. A parameter without a gradient is left alone.

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
        self._rows: dict[Tensor, Row] = {}  # see `_row_of`; as long as `structure` is ...
        self._known = [0]  # ... this

    @staticmethod
    def check_options(group: Mapping[str, Any]) -> None:
        """Refuse options out of range."""
        for key in ("lr", "momentum", "dampening", "weight_decay"):
            check_number("SGD", key, group[key], -math.inf if key == "dampening" else 0)
        if group["nesterov"] and (not group["momentum"] or group["dampening"]):
            raise ValueError(
                f"SGD: expected momentum above 0 and dampening 0 with nesterov, got momentum {group['momentum']} and "
                f"dampening {group['dampening']}"
            )

    @staticmethod
    def numbers(group: Mapping[str, Any]) -> list[float]:
        """The options as kernels read them."""
        return [group["lr"], group["weight_decay"], group["momentum"], 1 - group["dampening"], bool(group["nesterov"])]

    def step(self) -> None:
        """Update every parameter that has a gradient.

        Raises:
            ValueError: an option is out of range, or a gradient or a velocity has not its parameter's shape and dtype.
        """
        if self._known[0] != structure():
            self._rows.clear()
            self._known[0] = structure()
        row_of, sgd, sgd_momentum = self._rows.get, update.sgd, update.sgd_momentum
        for group in self.param_groups:
            if group.form is None:
                self.check_options(group)
            for parameter in group["params"]:  # a tight loop: it costs as much as a small network's kernels
                gradient = parameter.grad
                if gradient is None:
                    continue
                size, weight, velocity, settings, shape, dtype = row_of(parameter) or self._row_of(parameter, group)
                if type(gradient) is not np.ndarray or gradient.shape != shape or gradient.dtype is not dtype:
                    _check("gradient", parameter, gradient)
                if velocity is None:
                    launch(sgd, size, weight, flat(gradient), settings)
                else:
                    launch(sgd_momentum, size, weight, flat(gradient), velocity, settings)
                note_change(parameter)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_rows": {}}  # a copy's rows would be copies themselves, not its arrays' memory

    def _row_of(self, parameter: Tensor, group: ParamGroup) -> Row:
        """The memory of a parameter and of its velocity as rows, its settings, and what its gradient must be."""
        weight, settings = dense(parameter._array), group.settings
        if weight is not parameter._array:
            parameter._array = weight
            note_structure()
        first = bool(group["momentum"]) and parameter not in self.state
        if first:
            self.state[parameter] = Watched(momentum_buffer=zeros_like(weight))
            settings = settings.copy()
            settings[3] = 1  # the velocity starts as the gradient, whatever the dampening
        velocity = flat(self._velocity_of(parameter)) if group["momentum"] else None
        row = weight.size, flat(weight), velocity, settings, weight.shape, weight.dtype
        if not first:
            self._rows[parameter] = row
        return row

    def _velocity_of(self, parameter: Tensor) -> np.ndarray:
        """The velocity, in the memory order of the parameter."""
        velocity = self.state[parameter]["momentum_buffer"]
        _check("momentum_buffer", parameter, velocity)
        ordered = dense(velocity)
        if ordered is not velocity:
            self.state[parameter]["momentum_buffer"] = ordered
        return ordered

    def __repr__(self) -> str:
        return super().__repr__() + "\nmomentum is PyTorch's: v = momentum * v + g, w = w - lr * v"


def _check(name: str, parameter: Tensor, array: Any) -> None:
    """Refuse an array that has not its parameter's shape and dtype."""
    if isinstance(array, np.ndarray) and array.shape == parameter.shape and array.dtype == parameter.dtype:
        return
    got = f"{array.shape} and {array.dtype}" if isinstance(array, np.ndarray) else type(array).__name__
    raise ValueError(
        f"SGD.step: expected a {name} of shape {parameter.shape} and dtype {parameter.dtype}, got {got}; make the "
        "optimizer after model.to(...)"
    )
