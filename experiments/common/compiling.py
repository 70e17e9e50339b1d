"""Tells the user when kernels are being compiled, and how long that took."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from numba.core import event
from tqdm.auto import tqdm


class Compilation(event.Listener):
    """Counts Numba's compilations and their seconds; loading a kernel from the cache on disk is none."""

    def __init__(self) -> None:
        self.kernels, self.seconds = 0, 0.0
        self._depth, self._begun = 0, 0.0

    def on_start(self, event: event.Event) -> None:
        """A compilation begins, perhaps inside another."""
        if self.kernels == self._depth == 0:
            tqdm.write("Compiling kernels, which is done once: later runs load them from Numba's cache ...")
        if self._depth == 0:
            self._begun = time.perf_counter()
        self._depth += 1

    def on_end(self, event: event.Event) -> None:
        """A compilation ends."""
        self._depth -= 1
        if self._depth == 0:
            self.kernels += 1
            self.seconds += time.perf_counter() - self._begun

    def report(self) -> None:
        """Say how long it took, if anything was compiled."""
        if self.kernels:
            tqdm.write(f"... compiled {self.kernels} kernels in {self.seconds:.0f} s.")


@contextmanager
def announced() -> Iterator[Compilation]:
    """Say so when a kernel is compiled inside the block."""
    compilation = Compilation()
    with event.install_listener("numba:compile", compilation):
        yield compilation
