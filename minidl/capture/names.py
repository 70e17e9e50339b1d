"""What code may reach: the globals and attributes that it names, and whose code and objects are taken as they are."""

import contextlib
import dis
import functools
import sys
import types
from collections.abc import Iterator
from typing import Any, NamedTuple

_FOREIGN = frozenset(sys.stdlib_module_names) | {"minidl", "numpy", "numba", "matplotlib"}
_HOLDERS = frozenset({"types", "argparse", "collections", "_thread"})  # whose objects hold what a user puts there

IMPLIED = frozenset({"forward", "fused_with", "check_options", "numbers"})  # what minidl calls of a user's classes
DYNAMIC = frozenset({"vars", "getattr", "hasattr", "__dict__", "asdict", "astuple", "attrgetter"})


class Names(NamedTuple):
    """What a piece of code names: globals; attributes, and strings that may be such names; modules that it imports."""

    globals: frozenset[str]
    attributes: frozenset[str]
    imports: frozenset[str]


@functools.cache
def names_in(code: types.CodeType) -> Names:
    """What code names, functions inside it included."""
    inside = [names_in(constant) for constant in code.co_consts if isinstance(constant, types.CodeType)]
    texts = {text for text in _texts(code.co_consts) if text.isidentifier()}
    used: set[str] = set()
    imports: set[str] = set()
    for instruction in dis.get_instructions(code):
        if instruction.opname == "IMPORT_NAME":
            imports.add(instruction.argval)
        elif instruction.opname.endswith(("_GLOBAL", "_NAME")):
            used.add(instruction.argval)
    if used & {"globals", "eval", "exec"}:
        used |= texts
    return Names(
        frozenset(used.union(*(names.globals for names in inside))),
        frozenset({*code.co_names, *texts}.union(*(names.attributes for names in inside))),
        frozenset(imports.union(*(names.imports for names in inside))),
    )


def _texts(constants: object) -> Iterator[str]:
    if isinstance(constants, str):
        yield constants
    elif isinstance(constants, tuple | frozenset):
        for part in constants:
            yield from _texts(part)


@contextlib.contextmanager
def noting_calls(ran: set[types.CodeType]) -> Iterator[None]:
    """Note the code of all functions that this thread runs meanwhile, but for foreign ones."""

    def note(frame: types.FrameType, event: str, argument: Any) -> None:
        if event == "call" and not is_foreign(frame.f_globals.get("__name__")):
            ran.add(frame.f_code)

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        yield
    finally:
        sys.setprofile(before)


@functools.cache
def is_ours(module: str | None) -> bool:
    """Whether a module is minidl's, or one that it builds on: its code does nothing that a guard must know."""
    return module is None or module.split(".")[0] in _FOREIGN


@functools.cache
def is_foreign(module: str | None) -> bool:
    """Whether a module's code is taken as it is and not looked into."""
    return is_ours(module) or "site-packages" in (getattr(sys.modules.get(module or ""), "__file__", None) or "")


@functools.cache
def is_opaque(module: str | None) -> bool:
    """Whether objects of a module's classes are taken as they are and not looked into."""
    return is_ours(module) and module not in _HOLDERS
