"""What a captured step depends on besides its inputs: the Python objects that it reaches, as they were when recorded.

The walk starts at the step itself: its closure, the globals and attributes that its code names, and what those hold.
Modules, tensors and optimizers count their own changes (`mutation.structure`); lists, dicts and other objects do not,
so they are looked at in each replay.
"""

import dis
import functools
import pickle
import random
import sys
import types
from typing import Any

import numpy as np

from .. import mutation
from ..nn import Module
from ..optim.optimizer import Optimizer
from ..random import Generator, default_generator
from ..tensor import Tensor

_PLAIN = (bool, int, float, complex, str, bytes, type(None), np.generic, np.dtype, slice, range, type(Ellipsis))
_FOREIGN = frozenset(sys.stdlib_module_names) | {"minidl", "numpy", "numba", "matplotlib", "tqdm"}
_LONGEST = 1000  # elements of a list that is looked into


class Snapshot:
    """The objects that functions and objects reach: `parts` says what they were, which two snapshots can compare."""

    def __init__(self, roots: tuple):
        self.roots, self.version = roots, mutation.structure()
        self.parts: list[tuple] = []
        self.paths: list[str] = []  # of each part: where it was found
        self.tensors: list[Tensor] = []
        self.arrays: list[np.ndarray] = [default_generator.words]  # of optimizers and generators
        self._containers: list[tuple[Any, Any]] = []  # lists and dicts, with copies
        self._names: list[tuple[Any, str, Any]] = []  # namespaces, what they held under a name
        self._cells: list[tuple[Any, Any]] = []
        self._seen: set[int] = set()
        self._kept: list[Any] = []  # so that no object's id comes to stand for another
        self._randomness: list[np.random.Generator] = []
        for root in roots:
            self._visit("", root)

    def holds(self) -> bool:
        """Whether nothing that must be looked at in each replay has changed."""
        for cell, value in self._cells:
            if cell.cell_contents is not value:
                return False
        for space, name, value in self._names:
            if space.get(name) is not value:
                return False
        return all(_unchanged(container, copy) for container, copy in self._containers)

    def difference(self, other: "Snapshot") -> str | None:
        """Where another snapshot first differs, or None."""
        for path, mine, theirs in zip(self.paths, self.parts, other.parts, strict=False):
            if mine != theirs:
                return path
        return None if len(self.parts) == len(other.parts) else (*other.paths, *self.paths)[-1]

    def randomness(self) -> list[bytes]:
        """The states of all generators of random numbers that are not minidl's."""
        # NumPy's global generator is the user's, who may draw from it
        states = random.getstate(), np.random.get_state(legacy=False)  # noqa: NPY002
        return [pickle.dumps(s) for s in (*states, *(g.bit_generator.state for g in self._randomness))]

    def _note(self, path: str, *part: Any) -> None:
        self.paths.append(path)
        self.parts.append(part)

    def _visit(self, path: str, value: Any) -> None:
        if isinstance(value, _PLAIN):
            self._note(path, type(value), repr(value))
            return
        self._note(path, type(value), id(value))
        if id(value) in self._seen:
            return
        self._seen.add(id(value))
        self._kept.append(value)
        for kinds, visit in _VISITS:
            if isinstance(value, kinds):
                visit(self, path, value)
                return
        if hasattr(value, "__dict__") and not _is_foreign(type(value).__module__):
            self._visit_items(path + ".", vars(value))

    def _visit_tensor(self, path: str, tensor: Tensor) -> None:
        self._note(path, id(tensor._array), tensor._requires_grad)
        self._kept.append(tensor._array)
        self.tensors.append(tensor)

    def _visit_module(self, path: str, module: Module) -> None:
        for name, value in vars(module).items():
            if name in ("_buffers", "_forward_hooks", "_forward_pre_hooks"):  # counted by the module
                self._note(path, *value)
                for inner in value.values():
                    self._visit(f"{path}.{name}", inner)
            else:
                self._visit(f"{path}.{name}", value)

    def _visit_optimizer(self, path: str, optimizer: Optimizer) -> None:
        for group in optimizer.param_groups:
            for place, parameter in enumerate(group["params"]):
                self._visit(f"{path}.param_groups[...][{place}]", parameter)
        for arrays in optimizer.state.values():
            for name, array in arrays.items():
                self._visit(f"{path}.state[...][{name!r}]", array)
                self.arrays.append(array)

    def _visit_generator(self, path: str, generator: Generator) -> None:
        self.arrays.append(generator.words)

    def _visit_randomness(self, path: str, generator: np.random.Generator) -> None:
        self._randomness.append(generator)

    def _visit_function(self, path: str, function: types.FunctionType) -> None:
        if _is_foreign(function.__module__):
            return
        code = function.__code__
        for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
            try:
                contents = cell.cell_contents
            except ValueError:  # not assigned yet
                continue
            self._cells.append((cell, contents))
            self._visit(f"{path}.{name}" if path else name, contents)
        for default in (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()):
            self._visit(f"{path}.__defaults__", default)
        self._visit_names(path, function.__globals__, code)

    def _visit_names(self, path: str, space: dict[str, Any], code: types.CodeType) -> None:
        """The globals that code names, and of modules and classes among them the attributes that it names."""
        inner_names = _names_in(code, "LOAD_ATTR", "LOAD_METHOD")
        for name in sorted(_names_in(code, "LOAD_GLOBAL", "LOAD_NAME") & space.keys()):
            value = space[name]
            self._names.append((space, name, value))
            if isinstance(value, types.ModuleType | type):
                if _is_foreign(value.__name__ if isinstance(value, types.ModuleType) else value.__module__):
                    continue
                for inner in sorted(inner_names & vars(value).keys()):
                    self._names.append((vars(value), inner, vars(value)[inner]))
                    self._visit(f"{name}.{inner}", vars(value)[inner])
            else:
                self._visit(name, value)

    def _visit_method(self, path: str, method: types.MethodType) -> None:
        self._visit(path or method.__func__.__name__, method.__func__)
        self._visit(f"{path}.self" if path else "self", method.__self__)

    def _visit_partial(self, path: str, partial: functools.partial) -> None:
        for place, value in enumerate((partial.func, *partial.args, *partial.keywords.values())):
            self._visit(f"{path}[{place}]", value)

    def _visit_sequence(self, path: str, values: list | tuple) -> None:
        if isinstance(values, list):
            self._containers.append((values, list(values)))
        for place, value in enumerate(values[:_LONGEST]):
            self._visit(f"{path}[{place}]", value)

    def _visit_set(self, path: str, values: set | frozenset) -> None:
        self._note(path, len(values))
        self._containers.append((values, values.copy()))

    def _visit_dict(self, path: str, values: dict) -> None:
        self._visit_items(path, values)

    def _visit_items(self, path: str, values: dict) -> None:
        self._containers.append((values, dict(values)))
        self._note(path, *map(repr, list(values)[:_LONGEST]))
        for key, value in list(values.items())[:_LONGEST]:
            self._visit(f"{path}{key}" if path.endswith(".") else f"{path}[{key!r}]", value)


_VISITS: list[tuple[Any, Any]] = [
    (Tensor, Snapshot._visit_tensor),
    (Module, Snapshot._visit_module),
    (Optimizer, Snapshot._visit_optimizer),
    (Generator, Snapshot._visit_generator),
    (np.random.Generator, Snapshot._visit_randomness),
    (types.FunctionType, Snapshot._visit_function),
    (types.MethodType, Snapshot._visit_method),
    (functools.partial, Snapshot._visit_partial),
    ((list, tuple), Snapshot._visit_sequence),
    ((set, frozenset), Snapshot._visit_set),
    (dict, Snapshot._visit_dict),
]


@functools.cache
def _is_foreign(module: str | None) -> bool:
    """Whether code or objects of this module are taken as they are, and not looked into."""
    if module is None or module.split(".")[0] in _FOREIGN:
        return True
    return "site-packages" in (getattr(sys.modules.get(module), "__file__", None) or "")


def _names_in(code: types.CodeType, *kinds: str) -> set[str]:
    """The names that instructions of these kinds load, in functions inside as well."""
    inside = [_names_in(constant, *kinds) for constant in code.co_consts if isinstance(constant, types.CodeType)]
    return {i.argval for i in dis.get_instructions(code) if i.opname in kinds}.union(*inside)


def _unchanged(container: Any, copy: Any) -> bool:
    if len(container) != len(copy):
        return False
    if isinstance(container, dict):
        return all(key in container and _same(container[key], value) for key, value in copy.items())
    if isinstance(container, list):
        return all(map(_same, container, copy))
    return container == copy


def _same(now: Any, then: Any) -> bool:
    return now is then or (isinstance(now, _PLAIN) and type(now) is type(then) and repr(now) == repr(then))
