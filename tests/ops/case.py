"""One case of an op: what goes in, and a slow plain reference for what must come out."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minidl import OPS

Make = Callable[[np.random.Generator], np.ndarray]


@dataclass(frozen=True)
class Case:
    """`inputs`: shapes (standard normal numbers), functions of a generator (labels, masks), or None."""

    op: str
    inputs: tuple[tuple[int, ...] | Make | None, ...]
    reference: Callable[..., Any]
    options: dict[str, Any] = field(default_factory=dict)
    call: Callable[..., Any] | None = None  # the public function, where it is not the op itself
    smooth: bool = True  # False: no gradient to check (comparisons, argmax)

    def __str__(self) -> str:
        shapes = "-".join("x".join(map(str, i)) or "0d" if isinstance(i, tuple) else "made" for i in self.inputs if i)
        options = "-".join(f"{k}={v}" for k, v in self.options.items() if not isinstance(v, np.ndarray))
        return f"{self.op}[{shapes}{',' if options else ''}{options}]"[:100]

    def arrays(self, dtype: type = np.float64, seed: int = 0) -> list[np.ndarray | None]:
        """The inputs, random, floating ones in `dtype`."""
        rng = np.random.default_rng(seed)
        out: list[np.ndarray | None] = []
        for made in self.inputs:
            if made is None:
                out.append(None)
                continue
            array = np.asarray(rng.standard_normal(made) if isinstance(made, tuple) else made(rng))
            out.append(array.astype(dtype) if array.dtype.kind == "f" else array)
        return out

    def run(self, *inputs: Any) -> Any:
        """The op, or the public function, on tensors or arrays."""
        return (self.call or OPS[self.op])(*inputs, **self.options)

    def expected(self, arrays: list[np.ndarray | None]) -> np.ndarray:
        """The reference's answer."""
        return np.asarray(self.reference(*arrays, **self.options))
