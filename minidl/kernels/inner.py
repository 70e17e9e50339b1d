"""`@inner`: functions that kernels are made of, for which no machine code of their own is made.

Numba's `njit` would optimise each and compile it to machine code, with a wrapper for Python, and then once more within
every kernel that calls it: half of the time that a first step takes. These are only read into the kernels.
"""

import ctypes
from collections.abc import Callable
from importlib import import_module
from typing import Any, Literal

from numba import njit
from numba.core import config as _config
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_machinery import register_pass
from numba.core.typed_passes import NativeLowering

from .fingerprint import fingerprint

_dynfunc: Any = import_module("numba._dynfunc")  # which has no type hints
config: Any = _config


class _Unfinished(JITCodeLibrary):
    """Code to be linked into a kernel's, and optimised there."""

    def _optimize_final_module(self) -> None:
        pass

    def _finalize_final_module(self) -> None:
        self._finalize_dynamic_globals()
        self._finalized = True


# What Python calls in place of such a function: it raises a TypeError, as what it is called with is no function.
_refuse = ctypes.cast(ctypes.pythonapi.PyObject_Call, ctypes.c_void_p).value


@register_pass(mutates_CFG=True, analysis_only=False)
class _Lowering(NativeLowering):
    """Numba's own, up to where machine code is made."""

    _name = "lowering_to_what_kernels_are_made_of"

    def run_pass(self, state: Any) -> Literal[True]:
        """Lower a function, and make it known to those that call it.

        Numba names its machine code by its name, its types and how many functions this process compiled before it.
        Code from the cache keeps the name it got in another process, which may be that of another function here, if
        one function made both; the linker would then take the one for the other. So the fingerprint stands in it too.
        """
        identity = state.func_ir.func_id
        identity.func_qualname += f"_{fingerprint(identity.func)}"
        state.flags.no_compile = True
        state.library = _Unfinished(state.targetctx.codegen(), state.func_id.func_qualname)
        super().run_pass(state)
        made = state["cr"]
        name, described = made.fndesc.qualname.split(".")[-1], made.fndesc
        key = _dynfunc.make_function(described.lookup_module(), name, "", _refuse, made.env, (state.library,))
        state.targetctx.insert_user_function(key, described, [state.library])
        state["cr"] = made._replace(cfunc=key)
        return True


class _Compiler(CompilerBase):
    def define_pipelines(self) -> list[Any]:
        """Numba's usual passes, with our lowering."""
        passes = DefaultPassBuilder.define_nopython_pipeline(self.state)
        passes.passes = [(_Lowering if each is NativeLowering else each, says) for each, says in passes.passes]
        passes.finalize()
        return [passes]


def inner(function: Callable[..., Any] | None = None, **options: Any) -> Any:
    """Make a function one that kernels call; the options are those of `numba.njit`. Python cannot call it."""
    if config.DISABLE_JIT:
        return function or (lambda function: function)
    compile_: Any = njit  # Numba's own type hints know only some of its options
    make = compile_(pipeline_class=_Compiler, no_cpython_wrapper=True, no_cfunc_wrapper=True, **options)
    return make if function is None else make(function)
