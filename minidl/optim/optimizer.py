"""What optimizers share: parameter groups, per-parameter state, saving and loading both."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from ..kernels.layout import dense
from ..mutation import Watched, note_structure
from ..tensor import FLOATS, Tensor, note_reading
from .groups import ParamGroup


class Optimizer:
    """Holds `param_groups`, dicts of `params` and of options that may be changed between steps, and `state`: for each
    parameter the arrays that its update needs."""

    _arrays: tuple[str, ...] = ()  # names of the arrays in `state`, each of its parameter's shape

    def __init__(self, params: Any, defaults: dict[str, Any]):
        self.defaults = defaults
        self.state: dict[Tensor, dict[str, np.ndarray]] = Watched()
        self.param_groups: tuple[ParamGroup, ...] = ()
        name = type(self).__name__
        if isinstance(params, Tensor | np.ndarray | str) or not isinstance(params, Iterable):
            raise TypeError(
                f"{name}: expected parameters or groups of them (dicts), got {type(params).__name__}; pass "
                "model.parameters(), or [tensor]"
            )
        given = list(params)
        if not given:
            raise ValueError(
                f"{name}: expected at least one parameter, got none; was model.parameters() used up before?"
            )
        if any(isinstance(group, dict) for group in given) and not all(isinstance(group, dict) for group in given):
            raise TypeError(f"{name}: expected parameters or groups (dicts), got a mix of both")
        for group in given if isinstance(given[0], dict) else [{"params": given}]:
            self._add_group(group)

    def _add_group(self, given: dict[str, Any]) -> None:
        name = type(self).__name__
        if "params" not in given:
            raise ValueError(f"{name}: expected 'params' in each group, got a group of {', '.join(map(repr, given))}")
        unknown = [key for key in given if key != "params" and key not in self.defaults]
        if unknown:
            raise ValueError(
                f"{name}: expected options among {', '.join(self.defaults)} in a group, got {', '.join(unknown)}"
            )
        params = [given["params"]] if isinstance(given["params"], Tensor) else given["params"]
        if not isinstance(params, Iterable):
            raise TypeError(f"{name}: expected parameters as 'params' of a group, got {type(params).__name__}")
        params = list(params)
        group = {"params": params, **self.defaults, **{key: value for key, value in given.items() if key != "params"}}
        taken = {id(parameter) for other in self.param_groups for parameter in other["params"]}
        for place, parameter in enumerate(params):
            _check_parameter(name, place, parameter)
            if id(parameter) in taken:
                raise ValueError(
                    f"{name}: expected each parameter once, got one of shape {parameter.shape} twice (parameter "
                    f"{place} of group {len(self.param_groups)})"
                )
            taken.add(id(parameter))
        self.check_options(group)
        self.param_groups += (ParamGroup(type(self), group),)

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        note_structure()

    @staticmethod
    def check_options(group: Mapping[str, Any]) -> None:
        """Refuse options out of range."""
        raise NotImplementedError

    @staticmethod
    def numbers(group: Mapping[str, Any]) -> list[float]:
        """The options as kernels read them."""
        raise NotImplementedError

    def zero_grad(self) -> None:
        """Forget the gradients (`grad = None`), so that the next backward starts anew."""
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.grad = None

    def state_dict(self) -> dict[str, Any]:
        """What an exact resume needs, laid out as PyTorch's: options as numbers, state as arrays (copies, in C order).

        Parameters are counted through all groups: `{"state": {0: {...}}, "param_groups": [{"params": [0, ...], ...}]}`.
        """
        note_reading("state_dict()")
        places, groups = {}, []
        for group in self.param_groups:
            indices = [places.setdefault(id(parameter), len(places)) for parameter in group["params"]]
            groups.append({**{key: value for key, value in group.items() if key != "params"}, "params": indices})
        state = {
            places[id(parameter)]: {name: np.array(array, order="C") for name, array in arrays.items()}
            for parameter, arrays in self.state.items()
            if id(parameter) in places  # not one that was taken out of its group
        }
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over options and state; if anything is wrong, nothing is changed. PyTorch's own will do.

        Raises:
            TypeError: it is not a dict.
            ValueError: it is of another kind of optimizer, or for other parameters.
        """
        self._check_state_dict(state_dict)
        saved, kept = state_dict["param_groups"], state_dict["state"]
        known = {*self.defaults, "initial_lr"}
        options = [{key: value for key, value in group.items() if key in known} for group in saved]
        for group, new in zip(self.param_groups, options, strict=True):
            self.check_options({**group, **new})
        indices = [index for group in saved for index in group["params"]]
        params = [parameter for group in self.param_groups for parameter in group["params"]]
        state = {
            parameter: self._state_of(index, parameter, kept[index])
            for index, parameter in zip(indices, params, strict=True)
            if index in kept
        }
        for group, new in zip(self.param_groups, options, strict=True):
            group.update(new)
        for parameter in params:
            self._take_over(parameter, state.get(parameter, {}))

    def _take_over(self, parameter: Tensor, arrays: dict[str, np.ndarray]) -> None:
        """Make these the parameter's state, in the arrays that it has if they fit: a captured step works on them."""
        held = self.state.get(parameter, {})
        if not arrays:
            self.state.pop(parameter, None)
        elif {name: (array.shape, array.dtype) for name, array in held.items()} == {
            name: (array.shape, array.dtype) for name, array in arrays.items()
        }:
            for name, array in arrays.items():
                held[name][...] = array
        else:
            self.state[parameter] = Watched(arrays)

    def _check_state_dict(self, state_dict: Any) -> None:
        name = type(self).__name__
        if not isinstance(state_dict, Mapping):
            raise TypeError(f"{name}.load_state_dict: expected a dict, got {type(state_dict).__name__}")
        if not {"state", "param_groups"} <= set(state_dict):
            raise ValueError(
                f"{name}.load_state_dict: expected 'state' and 'param_groups', got {', '.join(map(repr, state_dict))}"
            )
        groups, state = state_dict["param_groups"], state_dict["state"]
        if not isinstance(state, Mapping) or not all(isinstance(g, Mapping) and "params" in g for g in groups):
            raise ValueError(
                f"{name}.load_state_dict: expected a dict as 'state' and dicts with 'params' as 'param_groups', got "
                f"{type(state).__name__} and {groups!r:.80}"
            )
        counts = [len(group["params"]) for group in groups]
        ours = [len(group["params"]) for group in self.param_groups]
        if counts != ours:
            raise ValueError(f"{name}.load_state_dict: expected groups of {ours} parameters, got {counts}")

    def _state_of(self, index: Any, parameter: Tensor, arrays: Mapping[str, Any]) -> dict[str, np.ndarray]:
        out = {}
        for key in self._arrays:
            if arrays.get(key) is not None:
                array = np.asarray(arrays[key])
                if array.shape != parameter.shape:
                    raise ValueError(
                        f"{type(self).__name__}.load_state_dict: expected {key} of shape {parameter.shape} for "
                        f"parameter {index}, got {array.shape}"
                    )
                out[key] = dense(np.array(array, parameter.dtype))
        return out

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__} ("]
        for place, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {place}")
            lines += [f"    {key}: {group[key]}" for key in sorted(group) if key != "params"]
        return "\n".join([*lines, ")"])


def _check_parameter(name: str, place: int, parameter: Any) -> None:
    if not isinstance(parameter, Tensor):
        raise TypeError(f"{name}: expected Tensors as parameters, got {type(parameter).__name__} as parameter {place}")
    if parameter.node is not None:
        raise ValueError(
            f"{name}: expected leaves as parameters, got the output of {parameter.node.name} as parameter {place}; "
            "call .detach() on it, or optimize what it was computed from"
        )
    if parameter.dtype not in FLOATS:
        raise TypeError(
            f"{name}: expected parameters of float32 or float64, got {parameter.dtype} as parameter {place}"
        )
