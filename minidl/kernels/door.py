"""How a kernel's door is made: its arguments as a block of words, its entry point, and its place in Numba's cache.

This is the only file that speaks LLVM to Numba's typing. It knows nothing of what the kernels compute.
"""

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, typeof, types
from numba.core import errors
from numba.extending import intrinsic
from numba.np.arrayobj import populate_array

from .fingerprint import fingerprint
from .inner import inner
from .launch import BLOCK_WORDS, Kernel
from .team import call_entry, call_loop

_INT64, _FLOAT64 = ir.IntType(64), ir.DoubleType()
_ENTRY = ir.FunctionType(ir.VoidType(), [_INT64] * 3)  # entry(block, low, high)


def _words_of(kind: types.Type) -> int:
    if isinstance(kind, types.Array):
        if kind.layout != "C":
            raise errors.TypingError(f"a kernel takes C-ordered arrays, not {kind}")
        return 1 + kind.ndim
    if isinstance(kind, types.Float | types.Integer | types.Boolean):
        return 1
    raise errors.TypingError(f"a kernel takes arrays and numbers, not {kind}")


def _writable(kind: types.Type) -> types.Type:
    return kind.copy(readonly=False) if isinstance(kind, types.Array) else kind


def _pack(context, builder, kind, value, block, word) -> None:
    """Store one argument in the block, from `word` on."""

    def put(stored, at):
        builder.store(stored, builder.gep(block, [ir.Constant(_INT64, at)]))

    if isinstance(kind, types.Array):
        array = context.make_array(kind)(context, builder, value)
        put(builder.ptrtoint(array.data, _INT64), word)
        for d in range(kind.ndim):
            put(builder.extract_value(array.shape, d), word + 1 + d)
    elif isinstance(kind, types.Float):
        put(builder.bitcast(context.cast(builder, value, kind, types.float64), _INT64), word)
    else:
        put(context.cast(builder, value, kind, types.int64), word)


def _unpack(context, builder, kind, target, block, word):
    """Load one argument from the block as the type the kernel was compiled for."""

    def get(at):
        return builder.load(builder.gep(block, [ir.Constant(_INT64, at)]))

    if isinstance(kind, types.Array):
        array = context.make_array(kind)(context, builder)
        element = context.get_data_type(kind.dtype)
        itemsize = context.get_constant(types.intp, context.get_abi_sizeof(element))
        shape = [get(word + 1 + d) for d in range(kind.ndim)]
        strides, step = [], itemsize
        for extent in reversed(shape):
            strides.insert(0, step)
            step = builder.mul(step, extent)
        data = builder.inttoptr(get(word), element.as_pointer())
        populate_array(array, data=data, shape=shape, strides=strides, itemsize=itemsize, meminfo=None)
        return array._getvalue()
    if isinstance(kind, types.Float):
        return context.cast(builder, builder.bitcast(get(word), _FLOAT64), types.float64, target)
    return context.cast(builder, get(word), types.int64, target)


def _entry_point(context, module, core, kinds, signature) -> ir.Function:
    """The function `entry(block, low, high)`: unpack the arguments, run the kernel."""
    function = ir.Function(module, _ENTRY, name=module.get_unique_name("minidl_entry"))
    function.linkage = "internal"
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    block, low, high = function.args
    block = builder.inttoptr(block, _INT64.as_pointer())
    word, values = 0, []
    for kind, target in zip(kinds, signature.args, strict=False):
        values.append(_unpack(context, builder, kind, target, block, word))
        word += _words_of(kind)
    context.get_function(core, signature)
    compiled = core.dispatcher.overloads[signature.args]
    context.active_code_library.add_linking_library(compiled.library)
    context.call_internal_no_propagate(builder, compiled.fndesc, signature, [*values, low, high])
    builder.ret_void()
    return function


@intrinsic
def _enter(typing, core, block, arguments):
    """Write `arguments` into `block` and answer the address of the entry point, which is made here."""
    kinds = tuple(_writable(kind) for kind in arguments)
    if sum(map(_words_of, kinds)) > BLOCK_WORDS:
        raise errors.TypingError(f"a kernel's arguments take at most {BLOCK_WORDS} words")
    signature = core.get_call_type(typing, (*kinds, types.intp, types.intp), {})

    def codegen(context, builder, _, values):
        packed, word = builder.inttoptr(values[1], _INT64.as_pointer()), 0
        for i, kind in enumerate(arguments):
            _pack(context, builder, kind, builder.extract_value(values[2], i), packed, word)
            word += _words_of(kind)
        return builder.ptrtoint(_entry_point(context, builder.module, core, kinds, signature), _INT64)

    return types.intp(core, types.intp, arguments), codegen


# Its own names begin with an underscore, so that a kernel's parameters may have any other.
_TEMPLATE = """def {name}(_loop, _block, _n, _chunks, {parameters}):
    _address = _block.ctypes.data
    _entry = _enter(_core, _address, ({parameters},))
    if _chunks == 1:
        _call_entry((_entry, _address, 0, _n))
    else:
        _call_loop((_loop, _entry, _address, _n, _chunks))
    return _entry
"""


def make_door(function: Callable[..., None]) -> Callable[..., int]:
    """The jitted function `door(loop, block, n, chunks, *arguments)` that runs `function` over `[0, n)`."""
    code = function.__code__
    parameters = ", ".join(code.co_varnames[: code.co_argcount - 2])
    compile_: Any = njit  # Numba's own type hints know only some of its options
    core = inner(error_model="numpy")(function)
    name = f"door_{function.__name__}_{fingerprint(function)}"
    space: dict[str, Any] = {"_core": core, "_enter": _enter, "_call_entry": call_entry, "_call_loop": call_loop}
    space["__name__"] = function.__module__
    source = _TEMPLATE.format(name=name, parameters=parameters)
    exec(compile(source, code.co_filename, "exec"), space)
    try:
        door = compile_(cache=True, no_cfunc_wrapper=True)(space[name])
    except RuntimeError:  # no source file, so nowhere to keep the code: compiled anew in each process
        return compile_(no_cfunc_wrapper=True)(space[name])
    _name_by_key(door._cache._cache_file)
    return door


def complaint(kernel: Kernel, arguments: tuple) -> str:
    """What to say of arguments that a kernel cannot be compiled for."""
    for name, argument in zip(kernel.names, arguments, strict=False):
        if not isinstance(argument, np.ndarray | int | float):
            return f"kernel {kernel.name}: expected an array or a number as '{name}', got {type(argument).__name__}"
        if isinstance(argument, np.ndarray) and not argument.flags.c_contiguous:
            return (
                f"kernel {kernel.name}: expected a C-ordered array as '{name}', got shape {argument.shape} with "
                f"strides {argument.strides}; pass dense(...) of it"
            )
    shapes = ", ".join(f"{n}: {typeof(a)}" for n, a in zip(kernel.names, arguments, strict=False))
    return f"kernel {kernel.name}({', '.join(kernel.names)}) cannot be compiled for ({shapes}); see the error above"


def _name_by_key(files: Any) -> None:
    """Name a file of Numba's cache by the types and the processor that its code is for.

    Numba counts them. Two processes that compile at the same time write the same number, and the index of one then
    leads to the code of the other: for float64, say, where float32 is asked for.
    """
    base, save = files._data_name_pattern.replace("{number:d}.nbc", ""), files.save

    def save_by_key(key, data):
        files._data_name_pattern = f"{base}{hashlib.sha256(repr(key).encode()).hexdigest()[:12]}.{{number:d}}.nbc"
        save(key, data)

    files.save = save_by_key
