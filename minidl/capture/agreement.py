"""Whether a recorded step can be replayed: what two recordings of it must have in common, and what none may do."""

from typing import Any

import numpy as np

from ..kernels.memory import owner_of
from ..kernels.recording import Check, Recording, Row, Use
from .gradients import Gradients
from .guards import Snapshot


def lasting_buffers(recording: Recording, previous: Recording) -> list[bool]:
    """Of each buffer: whether it is the same memory in both recordings, so that it persists from step to step."""
    before = {id(buffer.owner()) for buffer in previous.buffers if buffer.owner() is not None}
    return [id(buffer.owner()) in before if buffer.owner() is not None else False for buffer in recording.buffers]


def disagreement(previous: Recording, recording: Recording) -> str | None:
    """The first launch that is not the same in both recordings, as a sentence; None if all are."""
    names = _names(previous, recording), _names(recording, previous)
    for then, now in zip(previous.rows, recording.rows, strict=False):
        if isinstance(then, Check) or isinstance(now, Check):
            if type(then) is not type(now):
                return _other_launches(previous, recording)
            continue
        if then.kernel is not now.kernel or then.entry != now.entry:
            return _other_launches(previous, recording)
        old, new = (_arguments(row, r, n) for row, r, n in zip((then, now), (previous, recording), names, strict=True))
        for place, (a, b) in enumerate(zip(old, new, strict=True)):
            if a != b:
                return _other_argument(now, place, a, b)
    return None if len(previous.rows) == len(recording.rows) else _other_launches(previous, recording)


def _names(recording: Recording, other: Recording) -> list[tuple]:
    """A name for each buffer that is the same for its like in the other recording."""
    fresh, names = 0, []
    for buffer, lasts in zip(recording.buffers, lasting_buffers(recording, other), strict=True):
        names.append(("lasting", id(buffer.owner())) if lasts else ("new", fresh))
        fresh += not lasts
    return names


def _arguments(row: Row, recording: Recording, names: list[tuple]) -> list[Any]:
    given = []
    for a in row.arguments:
        if isinstance(a, Use):  # where an array begins in its owner depends on the owner's address: see layout.empty
            given.append((names[a.buffer], a.offset - recording.buffers[a.buffer].low, *a[2:]))
        else:
            given.append((type(a), a))
    return [*given, row.n, row.chunks]


def _other_launches(previous: Recording, recording: Recording) -> str:
    counts = [sum(isinstance(row, Row) for row in r.rows) for r in (previous, recording)]
    return (
        f"two steps in a row launched other kernels ({counts[0]} and {counts[1]} launches): what the step does depends "
        "on values, or changes from step to step; decide in the kernels, or outside of the step"
    )


def _other_argument(row: Row, place: int, old: Any, new: Any) -> str:
    name = row.kernel.names[place] if place < len(row.kernel.names) else "its range"
    if isinstance(old, tuple) and isinstance(old[0], type):
        return (
            f"{row.by}: the kernel {row.kernel.name} got {name} = {old[1]}, and {new[1]} in the next step; a number "
            "that changes must stand in an array which the kernel reads"
        )
    return (
        f"{row.by}: the kernel {row.kernel.name} got another {name} in the next step; arrays from outside must be the "
        "step's inputs, or the same from step to step"
    )


def unwritten(recording: Recording, lasting: list[bool], ends: list[np.ndarray]) -> str | None:
    """What the step reads, returns or leaves as a gradient that is made anew in each step, but by no kernel."""
    for buffer, lasts in zip(recording.buffers, lasting, strict=True):
        if buffer.reader is not None and not lasts:
            row, place = buffer.reader
            return (
                f"{row.by}: the kernel {row.kernel.name} reads {row.kernel.names[place]}, which is made anew in each "
                f"step, but by no kernel{_author(recording, buffer.owner())}; {_REMEDY}"
            )
    for array in ends:
        use = recording.find(array)
        written = use is not None and (lasting[use.buffer] or recording.buffers[use.buffer].writers)
        if not written:
            return (
                f"an array of shape {array.shape} that the step returns or leaves as a gradient was written by no "
                f"kernel{_author(recording, owner_of(array))}; {_REMEDY}"
            )
    return None


_REMEDY = (
    "use ops that launch kernels, write one (@kernel, its outputs annotated Out), or pass the numbers in as inputs"
)


def _author(recording: Recording, owner: np.ndarray | None) -> str:
    name = recording.author_of(owner)
    return f" (NumPy computed it, in {name})" if name else " (NumPy computed it)"


def outliving(previous: Recording, snapshot: Snapshot, gradients: Gradients) -> list[tuple[int, np.ndarray]]:
    """What the step before made or used and something still holds, though the walk did not find it: the buffers."""
    previous.rows = [
        row._replace(complain=repr) if isinstance(row, Check) else row for row in previous.rows
    ]  # may hold
    known = {id(owner_of(array)) for array in snapshot.known()}
    known |= {id(owner_of(grad)) for grad in gradients.before.values() if grad is not None}
    previous.leaves.clear()  # whose gradients the recording itself would keep
    alive = [(place, buffer.owner()) for place, buffer in enumerate(previous.buffers)]
    return [(place, owner) for place, owner in alive if owner is not None and id(owner) not in known]


def leaked(outlived: list[tuple[int, np.ndarray]], recording: Recording, previous: Recording) -> str | None:
    """What outlived the step before the recorded one, which did not touch it."""
    touched = {id(buffer.owner()) for buffer in recording.buffers if buffer.owner() is not None}
    for place, owner in outlived:
        for row in previous.rows if id(owner) not in touched else ():
            if isinstance(row, Row) and any(isinstance(a, Use) and a.buffer == place for a in row.arguments):
                return (
                    f"something outside of the step keeps an array that it made ({row.by}: the kernel "
                    f"{row.kernel.name}); a replay would leave it as it is: return it from the step instead"
                )
    return None
