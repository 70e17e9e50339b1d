"""Where the time of a captured step goes, kernel by kernel."""

import statistics
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from ..kernels.recording import Row, Use
from .captured import Captured

if TYPE_CHECKING:
    from ..kernels.program import Program

ROUNDS = 20


class Line(NamedTuple):
    """What the launches of one kernel took together: seconds, operations where they are known, and bytes touched."""

    kernel: str
    calls: int
    seconds: float
    operations: int | None
    bytes: int


def profile(step: Any) -> None:
    """Print a table of a captured step's kernels: calls, time, share of the time, GFLOP/s and GB/s.

    The step must have been captured: call it until `repr(step)` tells of kernels. Its latest program is run a number of
    times, and everything is then as it was before. GFLOP/s are of kernels that multiply; GB/s counts each array that a
    kernel takes once, wherever it lies.

    Raises:
        TypeError: it is no captured step.
        ValueError: nothing is captured yet.
    """
    if not isinstance(step, Captured):
        raise TypeError(f"profile: expected what minidl.capture(...) answers, got {type(step).__name__}")
    replay = step.latest
    if replay is None:
        raise ValueError("profile: expected a step that is captured, got one with nothing recorded; call it 3 times")
    with replay.undone():
        lines = measure(replay.program)
    print(table(lines))


def measure(program: "Program", rounds: int = ROUNDS) -> list[Line]:
    """The lines of the table, the slowest kernel first; each time is the median over the rounds."""
    times: list[list[float]] = [[] for _ in program.rows]
    for _ in range(rounds):
        for place in range(len(program.rows)):
            begun = time.perf_counter()
            program.run_part(place, place)
            called = time.perf_counter()
            program.run_part(place, place + 1)
            times[place].append(max(0.0, time.perf_counter() - called - (called - begun)))
    lines: dict[str, Line] = {}
    for row, several in zip(program.rows, times, strict=True):
        if isinstance(row, Row):
            now = _line(program, row, statistics.median(several))
            before = lines.get(now.kernel, Line(now.kernel, 0, 0.0, None if now.operations is None else 0, 0))
            operations = None if now.operations is None else now.operations + (before.operations or 0)
            seconds, touched = before.seconds + now.seconds, before.bytes + now.bytes
            lines[now.kernel] = Line(now.kernel, before.calls + 1, seconds, operations, touched)
    return sorted(lines.values(), key=lambda line: -line.seconds)


def _line(program: "Program", row: Row, seconds: float) -> Line:
    arrays = [program.array(a) if isinstance(a, Use) else a for a in row.arguments]
    operations = None if row.kernel.operations is None else row.kernel.operations(*arrays)
    touched = sum(array.nbytes for array, use in zip(arrays, row.arguments, strict=True) if isinstance(use, Use))
    return Line(row.kernel.name, 1, seconds, operations, touched)


def table(lines: list[Line]) -> str:
    """The lines under a head, and their sum."""
    whole = sum(line.seconds for line in lines)
    rows = [("kernel", "calls", "us", "share", "GFLOP/s", "GB/s")]
    for line in (*lines, Line("all", sum(x.calls for x in lines), whole, None, sum(x.bytes for x in lines))):
        rate = "" if line.operations is None else f"{line.operations / line.seconds / 1e9:.1f}" if line.seconds else ""
        bandwidth = f"{line.bytes / line.seconds / 1e9:.1f}" if line.seconds else ""
        share = f"{line.seconds / whole:.0%}" if whole else ""
        rows.append((line.kernel, str(line.calls), f"{line.seconds * 1e6:.1f}", share, rate, bandwidth))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join([row[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True))])
        for row in rows
    )
