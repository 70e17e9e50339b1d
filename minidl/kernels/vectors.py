"""Vector registers as LLVM IR: loads, stores and masks of one register's width, for code that `@intrinsic`s write."""

from typing import Any

from llvmlite import binding, ir
from numba import types
from numba.core import cgutils
from numba.core import config as _config

config: Any = _config
INT32, INT64 = ir.IntType(32), ir.IntType(64)


def register_bytes() -> int:
    """The width of this processor's vector registers, or of the one that Numba was told to compile for."""
    features = config.CPU_FEATURES
    if features is None:
        features = "" if config.CPU_NAME == "generic" else binding.get_host_cpu_features().flatten()
    enabled = set(features.split(","))
    return 64 if "+avx512f" in enabled else 32 if "+avx" in enabled else 16


REGISTER = register_bytes()


class Vectors:
    """Builds vector code for arrays of one dtype inside the function that calls it."""

    def __init__(self, context: Any, builder: Any, dtype: Any):
        self.context, self.builder = context, builder
        self.size = 8 if dtype == types.float64 else 4
        self.lanes = REGISTER // self.size
        self.scalar = ir.DoubleType() if self.size == 8 else ir.FloatType()
        self.vector = ir.VectorType(self.scalar, self.lanes)
        self.zero = ir.Constant(self.vector, None)

    def address(self, kind: Any, value: Any, start: Any = None) -> Any:
        """Where an array begins, or its element `start` lies."""
        array = self.context.make_array(kind)(self.context, self.builder, value)
        base = self.builder.ptrtoint(array.data, INT64)
        return base if start is None else self.builder.add(base, self.bytes(start))

    def bytes(self, elements: Any) -> Any:
        """The bytes that so many elements take."""
        return self.builder.mul(elements, ir.Constant(INT64, self.size))

    def call(self, name: str, result: Any, arguments: list) -> Any:
        """Call one of LLVM's intrinsics on vectors."""
        kind = "f64" if self.size == 8 else "f32"
        function = ir.FunctionType(result, [argument.type for argument in arguments])
        name = f"llvm.{name}.v{self.lanes}{kind}"
        return self.builder.call(cgutils.get_or_insert_function(self.builder.module, function, name), arguments)

    def load(self, address: Any, mask: Any) -> Any:
        """A register from memory, zero where the mask is off: nothing is read there. No mask: all of it."""
        pointer = self.builder.inttoptr(address, self.vector.as_pointer())
        if mask is None:
            return self.builder.load(pointer, align=self.size)
        return self.call("masked.load", self.vector, [pointer, ir.Constant(INT32, self.size), mask, self.zero])

    def store(self, value: Any, address: Any, mask: Any) -> None:
        """A register to memory, where the mask is on: nothing is written elsewhere. No mask: all of it."""
        pointer = self.builder.inttoptr(address, self.vector.as_pointer())
        if mask is None:
            self.builder.store(value, pointer, align=self.size)
        else:
            self.call("masked.store", ir.VoidType(), [value, pointer, ir.Constant(INT32, self.size), mask])

    def prefetch(self, address: Any) -> None:
        """Ask for the cache line at an address, which nobody need own: nothing is read there."""
        pointer = self.builder.inttoptr(address, ir.IntType(8).as_pointer())
        function = ir.FunctionType(ir.VoidType(), [pointer.type, INT32, INT32, INT32])
        function = cgutils.get_or_insert_function(self.builder.module, function, "llvm.prefetch.p0")
        reading, nearest, data = (ir.Constant(INT32, n) for n in (0, 3, 1))
        self.builder.call(function, [pointer, reading, nearest, data])

    def spread(self, value: Any) -> Any:
        """A scalar in every lane."""
        kind = ir.VectorType(value.type, self.lanes)
        undefined, index = ir.Constant(kind, ir.Undefined), ir.VectorType(INT32, self.lanes)
        first = self.builder.insert_element(undefined, value, ir.Constant(INT32, 0))
        return self.builder.shuffle_vector(first, undefined, ir.Constant(index, [0] * self.lanes))

    def mask(self, count: Any, start: int = 0) -> Any:
        """On in the lanes whose place, counted from `start`, is below `count`."""
        places = ir.Constant(ir.VectorType(INT64, self.lanes), list(range(start, start + self.lanes)))
        return self.builder.icmp_signed("<", places, self.spread(count))
