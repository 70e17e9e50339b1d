"""Sequential: layers one after another."""

from collections.abc import Callable, Iterator
from typing import Any
from weakref import WeakKeyDictionary

from ..mutation import structure
from .module import Module

_courses: WeakKeyDictionary[Module, tuple[int, list[Callable[..., Any]]]] = WeakKeyDictionary()  # see `_course`


class Sequential(Module):
    """Layers called one after another, y = f_n(... f_2(f_1(x))); any callable can be one.

    Layers are named by their place, or by the keys if one dict of layers is given (as in PyTorch, an OrderedDict too).

    Shape: what the first layer takes, to what the last one gives.
    Raises: TypeError: something given is not callable, or is a class. ValueError: a name cannot be an attribute.
    """

    _names: list[str]

    def __init__(self, *layers: Any):
        super().__init__()
        self.__dict__["_names"] = []
        named = layers[0].items() if len(layers) == 1 and isinstance(layers[0], dict) else enumerate(layers)
        for name, layer in named:
            self._add(str(name), layer)

    def _add(self, name: str, layer: Any) -> None:
        if isinstance(layer, type) or not callable(layer):
            what = f"the class {layer.__name__}" if isinstance(layer, type) else f"{layer!r:.80}"
            raise TypeError(
                f"Sequential: expected layers (modules or other callables), got {what} as '{name}'; write "
                "Layer(...) to make one, and Sequential(*layers) to pass a list"
            )
        if not name or "." in name or hasattr(Module, name) or name in self.__dict__:
            raise ValueError(f"Sequential: expected a name that is new, not empty and without dots, got '{name}'")
        self._names.append(name)
        setattr(self, name, layer)

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if isinstance(value, Module) and name not in self._names:
            self._names.append(name)  # as in PyTorch, a module assigned to it is its next layer

    def append(self, layer: Callable[..., Any]) -> "Sequential":
        """Put a layer at the end."""
        self._add(str(len(self)), layer)
        return self

    def __len__(self) -> int:
        return len(self._names)

    def __iter__(self) -> Iterator[Any]:
        return (self.__dict__[name] for name in self._names)

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return Sequential({name: self.__dict__[name] for name in self._names[index]})
        if not -len(self) <= index < len(self):
            raise IndexError(f"Sequential: expected an index from {-len(self)} to {len(self) - 1}, got {index}")
        return self.__dict__[self._names[index]]

    def forward(self, x: Any) -> Any:
        """The last layer's output; two layers that can be computed in one pass are, with the same result."""
        known = _courses.get(self)
        if known is None or known[0] != structure():
            known = _courses[self] = structure(), self._course()
        for layer in known[1]:
            x = layer(x)
        return x

    def _course(self) -> list[Callable[..., Any]]:
        """What is called in turn, as long as nothing changes in structure: layers, and two as one function."""
        course, layers = [], list(self)
        while layers:
            layer = layers.pop(0)
            fused = _fused(layer, layers[0]) if layers else None
            if fused is not None:
                layers.pop(0)
            course.append(layer if fused is None else fused)
        return course

    def _shown(self) -> Iterator[tuple[str, Any]]:
        return ((name, _Named(layer)) for name, layer in zip(self._names, self, strict=True))


def _fused(layer: Any, following: Any) -> Callable[..., Any] | None:
    """Both layers as one function, if the first one's class knows how and nobody watches what passes between them.

    A class knows by a method `fused_with(following)`, which answers that function, or None.
    """
    if getattr(type(layer), "fused_with", None) is None or not isinstance(following, Module):
        return None
    for module in (layer.__dict__, following.__dict__):
        if module["_forward_hooks"] or module["_forward_pre_hooks"] or "forward" in module:
            return None
    return layer.fused_with(following)


class _Named:
    """Prints a function by its name: its address would say nothing."""

    def __init__(self, layer: Any):
        self.text = repr(layer) if isinstance(layer, Module) else getattr(layer, "__name__", repr(layer))

    def __repr__(self) -> str:
        return self.text
