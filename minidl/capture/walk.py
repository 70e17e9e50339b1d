"""The Python objects that a step reaches.

The walk starts at the step itself: its closure, the globals that its code names, and what those hold. Of modules,
classes and objects of a user's classes it takes the attributes that code names; of lists, dicts and objects of other
people's classes all. Only code counts that ran in the step: while what it reaches stays the same, no other will.
"""

import functools
import os
import random
import sys
import types
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..kernels.recording import owner_of
from ..nn import Module
from ..optim import Schedule
from ..optim.groups import ParamGroup
from ..optim.optimizer import Optimizer
from ..random import Generator, default_generator
from ..tensor import Tensor
from .names import DYNAMIC, IMPLIED, is_foreign, is_opaque, is_ours, names_in
from .opaque import MISSING, VIEWS, contents, inside, reader, texts_of

PLAIN = (bool, int, float, complex, str, bytes, type(None), np.generic, np.dtype, slice, range, type(Ellipsis))
SMALL = 1 << 20  # bytes of an array that no kernel writes, from which on nobody looks whether something else did
_LONGEST = 1000  # elements of a list that is looked into


class Walk:
    """What a walk came by: `parts` says what each object was, and `paths` where it was."""

    def __init__(self, roots: tuple, ran: set[types.CodeType]):
        self.ran = ran  # the code whose names count
        self.parts: list[tuple] = []
        self.paths: list[str] = []  # of each part: where it was found
        self.tensors: list[Tensor] = []
        self.arrays: list[np.ndarray] = [default_generator.words]  # of optimizers and generators
        self.loose: list[np.ndarray] = []  # other arrays, which Python may read and change
        self.large: list[tuple[str, np.ndarray]] = []  # the same, too large to be looked at in each replay
        self.iterators: list[str] = []  # where one was found
        self.randomness: list[Any] = []  # generators that are not minidl's
        self.containers: list[tuple[str, Any, Any]] = []  # lists, dicts and sets, with copies
        self.names: list[tuple[Any, str, Any]] = []  # namespaces, what they held under a name
        self.sizes: list[tuple[Any, int]] = []  # namespaces, how many names they held
        self.cells: list[tuple[Any, Any]] = []
        self.reads: list[tuple[Callable[[], Any], Any]] = []  # functions, and what they answered
        self._foreign: list[tuple[str, types.ModuleType]] = []  # of which numbers count that are named
        self._spaces: dict[int, tuple[str, Any]] = {}  # by their owners' ids: namespaces of which counts what is named
        self._attributes = set(IMPLIED)  # that the code names
        self._waiting: deque[tuple[str, Any]] = deque()  # found, but not looked into yet
        self._kept: dict[int, Any] = {}  # by id, and alive, so that no object's id comes to stand for another
        for root in roots:
            self._visit("", root)
        self._settle()

    def reaches(self, value: Any) -> bool:
        """Whether the walk came by this object."""
        return id(value) in self._kept

    def _note(self, path: str, *part: Any) -> None:
        self.paths.append(path)
        self.parts.append(part)

    def _visit(self, path: str, value: Any) -> None:
        if isinstance(value, PLAIN):
            self._note(path, type(value), repr(value))
            return
        self._note(path, type(value), id(value))
        if id(value) in self._kept:
            return
        self._kept[id(value)] = value
        self._waiting.append((path, value))

    def _go_on(self) -> None:
        """Look into all that was found; not by recursion, as lists may be nested deeply."""
        while self._waiting:
            path, value = self._waiting.popleft()
            for kinds, visit in _VISITS:
                if isinstance(value, kinds):
                    visit(self, path, value)
                    break
            else:
                self._visit_object(path, value)

    def _settle(self) -> None:
        """Look into what is named of namespaces, as long as that brings in more namespaces or names."""
        self._go_on()
        looked: set[tuple[int, str]] = set()
        count = -1
        while len(looked) > count:
            count = len(looked)
            for key, (path, space) in list(self._spaces.items()):
                for name, value in list(space.items()):
                    if (key, name) not in looked and self._counts(space, name, value):
                        looked.add((key, name))
                        self.names.append((space, name, value))
                        self._visit(f"{path}.{name}" if path else name, value)
                self._go_on()
        for path, module in self._foreign:
            for name in sorted(vars(module).keys() & self._attributes):
                if isinstance(vars(module)[name], PLAIN):
                    self._read(f"{path}.{name}", functools.partial(vars(module).get, name))

    def _counts(self, space: Any, name: str, value: Any) -> bool:
        """Whether what a namespace holds under a name may matter to the code."""
        if isinstance(space, ParamGroup):  # its options are followed, unless the code reads them itself
            return name in self._attributes and "param_groups" in self._attributes
        if name in self._attributes:
            return True
        if isinstance(space, types.MappingProxyType):  # of a class, whose special methods are called unnamed
            return name[:2] == "__" and name != "__init__" and isinstance(value, types.FunctionType)
        return "__builtins__" not in space and bool(self._attributes & DYNAMIC)

    def _add_space(self, path: str, owner: Any, space: Any) -> None:
        if id(owner) not in self._spaces:
            self._spaces[id(owner)] = path, space
            if not isinstance(owner, types.ModuleType):
                self.sizes.append((space, len(space)))

    def _visit_object(self, path: str, value: Any) -> None:
        module = type(value).__module__
        if is_opaque(module):
            read = reader(value)
            if read is not None:
                self._read(path, read)
            self._attributes |= texts_of(value)
            for inner in inside(value):
                self._visit(path, inner)
            return
        if hasattr(value, "__dict__"):
            if is_foreign(module):  # its methods are not looked into
                self._visit_items(path + ".", vars(value))
            else:
                self._add_space(path, value, vars(value))
        self._visit_classes(path, value)

    def _visit_classes(self, path: str, value: Any) -> None:
        """What the user's classes of an object hold, and what it has in slots."""
        for kind in type(value).__mro__:
            if not is_foreign(kind.__module__):
                self._add_space(kind.__qualname__, kind, vars(kind))
            if is_opaque(kind.__module__):
                continue
            for name, member in vars(kind).items():
                if isinstance(member, types.MemberDescriptorType):
                    self._read(f"{path}.{name}", functools.partial(getattr, value, name, MISSING))

    def _read(self, path: str, read: Callable[[], Any]) -> None:
        self.reads.append((read, read()))
        self._visit(path, self.reads[-1][1])

    def _visit_tensor(self, path: str, tensor: Tensor) -> None:
        self._note(path, id(tensor._array), tensor._requires_grad)
        self._kept[id(tensor._array)] = tensor._array
        self.tensors.append(tensor)

    def _visit_array(self, path: str, array: np.ndarray) -> None:
        if array.dtype.hasobject:
            self._visit_sequence(path, array.ravel().tolist())
        if owner_of(array).flags.writeable:
            self.loose.append(array)
            if array.nbytes > SMALL:
                self.large.append((path, array))

    def _visit_module(self, path: str, module: Module) -> None:
        self._visit_classes(path, module)
        if not is_foreign(type(module).__module__):  # whose code may go around __setattr__, which counts
            self.containers.append((path, vars(module), dict(vars(module))))
        for name, value in vars(module).items():
            if name in ("_buffers", "_forward_hooks", "_forward_pre_hooks"):  # counted by the module
                self._note(path, *value)
                for inner in value.values():
                    self._visit(f"{path}.{name}", inner)
            else:
                self._visit(f"{path}.{name}", value)

    def _visit_optimizer(self, path: str, optimizer: Optimizer) -> None:
        self._visit_classes(path, optimizer)
        for place, group in enumerate(optimizer.param_groups):
            self._note(f"{path}.param_groups", group.form)
            self._add_space(f"{path}.param_groups[{place}]", group, group)
            for number, parameter in enumerate(group["params"]):
                self._visit(f"{path}.param_groups[{place}]['params'][{number}]", parameter)
        for arrays in optimizer.state.values():
            for name, array in arrays.items():
                self._note(f"{path}.state[...][{name!r}]", id(array))
                self._kept[id(array)] = array
                self.arrays.append(array)
        for name, value in vars(optimizer).items():
            if name not in ("param_groups", "state", "defaults", "_rows", "_known"):
                self._visit(f"{path}.{name}", value)

    def _visit_schedule(self, path: str, schedule: Schedule) -> None:
        self._visit_classes(path, schedule)
        self._visit_items(path + ".", vars(schedule))

    def _visit_generator(self, path: str, generator: Generator) -> None:
        self.arrays.append(generator.words)

    def _visit_randomness(self, path: str, generator: Any) -> None:
        self.randomness.append(generator)

    def _visit_function(self, path: str, function: types.FunctionType) -> None:
        if is_ours(function.__module__):
            return
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            self.cells.append((cell, contents(cell)))
            self._visit(f"{path}.{name}" if path else name, contents(cell))
        for default in (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()):
            self._visit(f"{path}.__defaults__", default)
        if function.__dict__:
            self._add_space(path, function, vars(function))
        if is_foreign(function.__module__) or function.__code__ not in self.ran:
            return
        names, space = names_in(function.__code__), function.__globals__
        self._attributes |= names.attributes
        if names.attributes & {"environ", "getenv"}:
            self._visit("os.environ", vars(os.environ).get("_data"))
        for name in sorted(names.globals):
            value = space.get(name, MISSING)
            self.names.append((space, name, value))
            self._visit(name, value)
        for name in sorted(names.imports):
            self._visit(name, sys.modules.get(name))

    def _visit_space(self, path: str, value: Any) -> None:
        """A module or a class: what is named of it counts."""
        if isinstance(value, types.ModuleType):
            if is_foreign(value.__name__):
                self._foreign.append((path, value))
            else:
                self._add_space(path, value, vars(value))
            return
        for kind in (*type.mro(value), *type.mro(type(value))[:-1]):
            if not is_foreign(kind.__module__):
                self._add_space(path, kind, vars(kind))

    def _visit_method(self, path: str, method: types.MethodType) -> None:
        self._visit(path, method.__func__)
        self._visit(f"{path}.self" if path else "self", method.__self__)

    def _visit_partial(self, path: str, partial: functools.partial) -> None:
        for place, value in enumerate((partial.func, *partial.args, *partial.keywords.values())):
            self._visit(f"{path}[{place}]", value)

    def _visit_sequence(self, path: str, values: Any) -> None:
        if not isinstance(values, tuple):
            self.containers.append((path, values, list(values)))
        for place, value in enumerate(list(values)[:_LONGEST]):
            self._visit(f"{path}[{place}]", value)

    def _visit_set(self, path: str, values: set | frozenset | bytearray) -> None:
        self.containers.append((path, values, values.copy()))
        self._visit_sequence(path, tuple(values))

    def _visit_dict(self, path: str, values: dict) -> None:
        self._visit_items(path, values)
        if not is_opaque(type(values).__module__):
            self._visit_object(path, values)

    def _visit_items(self, path: str, values: dict) -> None:
        self.containers.append((path, values, dict(values)))
        for key, value in list(values.items())[:_LONGEST]:
            self._visit(f"{path}{key}" if path.endswith(".") else f"{path}[{key!r}]", value)

    def _visit_view(self, path: str, view: Any) -> None:
        mapping = view if isinstance(view, types.MappingProxyType) else view.mapping
        for part in (mapping.keys(), mapping.values()):
            self._visit_sequence(path, part)

    def _visit_iterator(self, path: str, iterator: Any) -> None:
        self.iterators.append(path)


_VISITS: list[tuple[Any, Any]] = [
    (Tensor, Walk._visit_tensor),
    (Module, Walk._visit_module),
    (Optimizer, Walk._visit_optimizer),
    (Schedule, Walk._visit_schedule),
    (Generator, Walk._visit_generator),
    ((np.random.Generator, np.random.RandomState, random.Random), Walk._visit_randomness),
    (np.ndarray, Walk._visit_array),
    (types.FunctionType, Walk._visit_function),
    (types.MethodType, Walk._visit_method),
    ((types.ModuleType, type), Walk._visit_space),
    (functools.partial, Walk._visit_partial),
    ((list, tuple, deque), Walk._visit_sequence),
    ((set, frozenset, bytearray), Walk._visit_set),
    (dict, Walk._visit_dict),
    ((types.MappingProxyType, *VIEWS), Walk._visit_view),
    (weakref.ProxyTypes, Walk._visit_object),
    (Iterator, Walk._visit_iterator),
]
