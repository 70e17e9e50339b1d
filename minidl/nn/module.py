"""Module: layers as objects that find their own parameters, buffers and sub-modules.

What an attribute holds decides what it is: a `Parameter` is trained, a `Module` (alone, or in a list, tuple or dict) is
a child, a name given to `register_buffer` is saved but not trained. Everything comes in the order of assignment.
"""

from collections.abc import Callable, Iterator
from typing import Any, cast

import numpy as np

from ..checks import check_dtype
from ..kernels.layout import dense
from ..mutation import Watched, note_structure
from ..tensor import FLOATS, Tensor, note_reading
from . import state
from .hooks import Handle
from .parameter import Parameter

_OWN = frozenset({"training", "_buffers", "_forward_hooks", "_forward_pre_hooks"})


def _spread(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """The parameters and modules that an attribute holds, itself or in lists, tuples and dicts."""
    if isinstance(value, Parameter | Module):
        yield name, value
    elif isinstance(value, list | tuple):
        for i, part in enumerate(value):
            yield from _spread(f"{name}.{i}", part)
    elif isinstance(value, dict):
        for key, part in value.items():
            yield from _spread(f"{name}.{key}", part)


def _join(prefix: str, name: str) -> str:
    return f"{prefix}.{name}" if prefix else name


def _missing(self: "Module", *inputs: Any) -> Any:
    raise NotImplementedError(f"{type(self).__name__}: expected a method forward(self, ...), got none; define it")


class _Unborn:
    """Stands in the class for what `Module.__init__` puts into the instance, to say so where it was not called."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, module: "Module | None", owner: type) -> Any:
        kind, name = owner.__name__, self._name
        raise AttributeError(
            f"'{kind}' object has no attribute '{name}'; its __init__ has not called super().__init__()",
            name=name,
            obj=module,
        )


class Module:
    """The base of every layer and model: define `__init__` and `forward`, and call the instance.

    >>> class Twice(Module):
    ...     def __init__(self, layer):
    ...         super().__init__()
    ...         self.layer = layer
    ...
    ...     def forward(self, x):
    ...         return self.layer(self.layer(x))
    """

    forward: Callable[..., Any] = _missing
    no_decay = False  # True in normalization layers: see optim.no_decay_groups
    fused_with: Callable[..., Any] | None = None  # of layers that can be computed with the next: see Sequential
    training: bool = cast(bool, _Unborn())
    _buffers: dict[str, bool] = cast(dict, _Unborn())  # name: whether state_dict holds it
    _forward_hooks: dict[int, Callable] = cast(dict, _Unborn())
    _forward_pre_hooks: dict[int, Callable] = cast(dict, _Unborn())

    def __init__(self) -> None:
        watched = {"_buffers": Watched(), "_forward_hooks": Watched(), "_forward_pre_hooks": Watched()}
        self.__dict__.update(training=True, **watched)

    def __setattr__(self, name: str, value: Any) -> None:
        held = self.__dict__
        if "_buffers" not in held and isinstance(value, Parameter | Module):
            raise AttributeError(
                f"{type(self).__name__}: cannot assign '{name}' before super().__init__(); call it first in __init__"
            )
        if isinstance(held.get(name), Parameter) and not isinstance(value, Parameter | None):
            raise TypeError(
                f"{type(self).__name__}: expected a Parameter or None as '{name}', got {type(value).__name__}; "
                f"use Parameter(...), or assign the array to {name}.data"
            )
        if name in held.get("_buffers", ()) and not isinstance(value, Tensor | None):
            raise TypeError(
                f"{type(self).__name__}: expected a Tensor or None as buffer '{name}', got {type(value).__name__}; "
                "use minidl.tensor(...)"
            )
        if name not in held or held[name] is not value:
            note_structure()
        held[name] = value

    def __delattr__(self, name: str) -> None:
        super().__delattr__(name)
        note_structure()

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        if not (self._forward_pre_hooks or self._forward_hooks):
            return self.forward(*inputs, **options)
        for hook in tuple(self._forward_pre_hooks.values()):
            changed = hook(self, inputs)
            if changed is not None:
                inputs = changed if isinstance(changed, tuple) else (changed,)
        output = self.forward(*inputs, **options)
        for hook in tuple(self._forward_hooks.values()):
            changed = hook(self, inputs, output)
            output = output if changed is None else changed
        return output

    def register_forward_pre_hook(self, hook: Callable[["Module", tuple], Any]) -> Handle:
        """Call `hook(module, inputs)` before each forward; if it answers something, that takes the inputs' place."""
        return Handle(self._forward_pre_hooks, hook)

    def register_forward_hook(self, hook: Callable[["Module", tuple, Any], Any]) -> Handle:
        """Call `hook(module, inputs, output)` after each forward; if it answers something, that is the output."""
        return Handle(self._forward_hooks, hook)

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Hold a tensor that is state but not trained; `state_dict` has it if it is `persistent`.

        Raises:
            TypeError: it is not a tensor, or requires a gradient.
            ValueError: the name is taken, empty, or has a dot.
        """
        kind = type(self).__name__
        if tensor is not None and (not isinstance(tensor, Tensor) or tensor.requires_grad):
            what = "one that requires a gradient" if isinstance(tensor, Tensor) else type(tensor).__name__
            raise TypeError(f"{kind}.register_buffer: expected a Tensor without gradient as '{name}', got {what}")
        if not name or "." in name or (name not in self._buffers and hasattr(self, name)):
            raise ValueError(
                f"{kind}.register_buffer: expected a name that is new, not empty and without dots, got '{name}'"
            )
        self._buffers[name] = persistent
        self.__dict__[name] = tensor

    def _members(self, kind: type) -> Iterator[tuple[str, Any]]:
        """The parameters, or the modules, that this module holds itself."""
        for name, value in self.__dict__.items():
            if name not in _OWN:
                yield from (found for found in _spread(name, value) if isinstance(found[1], kind))

    def children(self) -> Iterator["Module"]:
        """The modules directly inside, each once."""
        return iter({id(child): child for _, child in self._members(Module)}.values())

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, "Module"]]:
        """This module and all inside it with their names, each once, from the outside in."""
        return self._walk(prefix, set())

    def _walk(self, prefix: str, seen: set[int]) -> Iterator[tuple[str, "Module"]]:
        if id(self) not in seen:
            seen.add(id(self))
            yield prefix, self
            for name, child in self._members(Module):
                yield from child._walk(_join(prefix, name), seen)

    def modules(self) -> Iterator["Module"]:
        """This module and all inside it, each once."""
        return (module for _, module in self.named_modules())

    def named_parameters(self, prefix: str = "") -> Iterator[tuple[str, Parameter]]:
        """What is trained, with names such as `0.weight`; shared parameters once."""
        seen: set[int] = set()
        for path, module in self.named_modules(prefix):
            for name, parameter in module._members(Parameter):
                if id(parameter) not in seen:
                    seen.add(id(parameter))
                    yield _join(path, name), parameter

    def parameters(self) -> Iterator[Parameter]:
        """What is trained, each once, in the order of assignment."""
        return (parameter for _, parameter in self.named_parameters())

    def named_buffers(self, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
        """State that is not trained, such as running statistics, with names; shared buffers once."""
        seen: set[int] = set()
        for path, module in self.named_modules(prefix):
            for name in module._buffers:
                buffer = module.__dict__.get(name)
                if buffer is not None and id(buffer) not in seen:
                    seen.add(id(buffer))
                    yield _join(path, name), buffer

    def buffers(self) -> Iterator[Tensor]:
        """State that is not trained, each once."""
        return (buffer for _, buffer in self.named_buffers())

    def _named_state(self, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
        """What `state_dict` holds; what is shared comes under each of its names."""
        for name, parameter in self._members(Parameter):
            yield _join(prefix, name), parameter
        for name, persistent in self._buffers.items():
            buffer = self.__dict__.get(name)
            if persistent and buffer is not None:
                yield _join(prefix, name), buffer
        for name, child in self._members(Module):
            yield from child._named_state(_join(prefix, name))

    def state_dict(self) -> dict[str, np.ndarray]:
        """Parameters and persistent buffers by name, as arrays in C order: PyTorch's names, shapes and order.

        Unlike PyTorch's, the arrays are copies: a snapshot that training does not change.
        """
        note_reading("state_dict()")
        return {name: np.array(held._array, order="C") for name, held in self._named_state()}

    def load_state_dict(self, state_dict: Any, strict: bool = True) -> state.IncompatibleKeys:
        """Copy values by name into parameters and buffers; arrays, tensors and PyTorch's tensors will do.

        With `strict` the names must be the same ones; without it those in both are loaded. Answers the names that are
        missing and those not expected. If anything is wrong, nothing is changed.

        Raises:
            ValueError: names are missing or not expected (`strict`), or shapes differ: the message lists each.
            TypeError: a value cannot be stored in the dtype of what it is for.
        """
        return state.write(type(self).__name__, dict(self._named_state()), state_dict, strict)

    def train(self, mode: bool = True) -> "Module":
        """Put this module and all inside it into training mode."""
        for module in self.modules():
            module.training = bool(mode)
        return self

    def eval(self) -> "Module":
        """Put this module and all inside it into evaluation mode."""
        return self.train(False)

    def to(self, dtype: Any) -> "Module":
        """Give all floating-point parameters and buffers another dtype, float32 or float64.

        Raises:
            TypeError: the dtype is another.
        """
        owner = f"{type(self).__name__}.to"
        if check_dtype(owner, dtype) not in FLOATS:
            raise TypeError(f"{owner}: expected dtype float32 or float64, got {np.dtype(dtype)}")
        for held in (*self.parameters(), *self.buffers()):
            if held.dtype in FLOATS:
                held._array, held._base, held._exposed, held._fingerprint = _cast(held._array, dtype), None, False, None
                held.grad = None if held.grad is None else _cast(held.grad, dtype)
        note_structure()
        return self

    def apply(self, function: Callable[["Module"], Any]) -> "Module":
        """Call `function(module)` on all modules inside, then on this one: to initialise, for example."""
        for child in self.children():
            child.apply(function)
        function(self)
        return self

    def requires_grad_(self, requires_grad: bool = True) -> "Module":
        """Train the parameters, or freeze them."""
        for parameter in self.parameters():
            parameter.requires_grad = requires_grad
        return self

    def zero_grad(self) -> None:
        """Forget the parameters' gradients."""
        for parameter in self.parameters():
            parameter.grad = None

    def extra_repr(self) -> str:
        """What `print(model)` shows between a layer's brackets."""
        return ""

    def _shown(self) -> Iterator[tuple[str, Any]]:
        """What `print(model)` lists inside this module."""
        return self._members(Module)

    def __repr__(self) -> str:
        extra = [line for line in self.extra_repr().split("\n") if line]
        inside = [f"({name}): " + repr(part).replace("\n", "\n  ") for name, part in self._shown()]
        if len(extra) <= 1 and not inside:
            return f"{type(self).__name__}({''.join(extra)})"
        return f"{type(self).__name__}(\n  " + "\n  ".join(extra + inside) + "\n)"


def _cast(array: np.ndarray, dtype: Any) -> np.ndarray:
    return dense(array.astype(dtype))
