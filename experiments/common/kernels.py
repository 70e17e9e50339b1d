"""A program's kernels without Python between them: recorded while it runs, and then run again natively."""

import time
from typing import Any

import numpy as np

from minidl.capture.replay import ends_of
from minidl.kernels import launch as launching
from minidl.kernels.memory import owner_of
from minidl.kernels.program import GARBAGE, STAYS, TEMPORARY, Series
from minidl.kernels.program import Program as Rows
from minidl.kernels.recording import Recording

from .programs import Program, median_of

CALL = 5e-4  # seconds that a native call lasts at least, as it takes a microsecond itself


class _Keeping(Recording):
    """A recording that holds the memory of which it tells."""

    def __init__(self):
        super().__init__()
        self.kept: list[np.ndarray] = []

    def launched(self, kernel: Any, n: int, chunks: int, arguments: tuple, entry: int) -> None:
        """Note a launch."""
        self.kept += [owner_of(argument) for argument in arguments if isinstance(argument, np.ndarray)]
        super().launched(kernel, n, chunks, arguments, entry)


class Kernels:
    """What a program launches, as often as wanted; what it makes and frees again lies in an arena.

    `computes`: whether a replay, where the results were overwritten before, found what the program had found, bit for
    bit.
    """

    def __init__(self, program: Program):
        recording, _, _ = _recorded(program)
        written = [buffer.owner() for buffer in recording.buffers if buffer.writers]
        state = [(owner, owner.copy(order="K")) for owner in written if owner is not None]  # such as running statistics
        recording, ends, made = _recorded(program)
        owners = [buffer.owner() for buffer in recording.buffers]
        homes = [TEMPORARY if owner is None else STAYS for owner in owners]
        self._series, self._times = Series([Rows(recording, homes, [*owners, *made], [])]), 1
        self.computes = self._computes(ends, [pair for pair in state if recording.find(pair[0]) is not None])
        self._times = max(1, round(CALL / min(self._once() for _ in range(3))))

    def seconds(self, turn: float) -> float:
        """The median time of a run, over a turn of about so many seconds."""
        return median_of(self._once, turn)

    def _computes(self, ends: list[np.ndarray], state: list[tuple[np.ndarray, np.ndarray]]) -> bool:
        arrays = [*ends, *(array for array, _ in state)]
        found = [array.tobytes("A") for array in arrays]
        for array in ends:
            owner_of(array).ravel("K").view(np.uint8).fill(GARBAGE)
        for array, copy in state:
            array[...] = copy
        self._series.run(1)
        return bool(found) and [array.tobytes("A") for array in arrays] == found

    def _once(self) -> float:
        start = time.perf_counter()
        self._series.run(self._times)
        return (time.perf_counter() - start) / self._times


def _recorded(program: Program) -> tuple[Recording, list[np.ndarray], list[np.ndarray]]:
    """The program's recording, the arrays that it computes, and the memory that what came before it has made."""
    before, recording = _Keeping(), Recording()
    with launching.recorded(before):
        program.prepare()
    with launching.recorded(recording):
        result = program.run()
    return recording, ends_of(recording, result), before.kept
