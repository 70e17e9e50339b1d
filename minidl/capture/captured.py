"""A training step recorded once, and from then on replayed as one native call.

The first calls run as ever and are recorded; when two recordings agree but for the contents of the inputs, their
kernel calls become a program (`kernels/program.py`), whose first replay must equal the recorded step bit for bit. What
a program depends on is looked at before each replay (`guards.py`); where it has changed, the step is recorded anew.
"""

import functools
import threading
import types
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import autograd
from ..kernels import launch as launching
from .trees import describe

if TYPE_CHECKING:
    from .attempt import Attempt
    from .replay import Replay

turn = threading.Lock()  # for one recording at a time; meanwhile, other Python threads' steps run as ever
MOST_KINDS = 64  # of calls, told apart by shapes and by whatever is no array
MOST_ALIKE = 4  # programs of one kind of call, such as for training and evaluation, of which the oldest goes first


def capture(step: Callable[..., Any], loader: Any = None) -> Any:
    """Make a training step a program: `step(*inputs)` runs as ever at first, and then as one native call.

    The step is a function of arrays or tensors; it may run forward, `backward()` and `optimizer.step()`, and return
    tensors, which come out as copies without a graph. Gradients stay in `.grad`, in the same memory from step to step.
    Learning rates, schedules, dropout and running statistics go on as in the function itself, bit for bit. What a step
    reaches (its closure, globals, attributes of objects) may change: it is then recorded again. What it does in Python
    besides, such as printing or asking for the time, it does only while it is recorded.

    With a `loader` (a DataLoader without transform over arrays in memory) the answer is a function of nothing that
    does an epoch, `step(inputs, targets)` for each batch, many steps in one native call, and returns the losses.

    >>> @minidl.capture
    ... def train(x, y):
    ...     optimizer.zero_grad()
    ...     loss = loss_of(model(x), y)
    ...     loss.backward()
    ...     optimizer.step()
    ...     return loss

    Raises:
        TypeError: `step` cannot be called, or the loader is none.
        ValueError: the loader's examples do not lie in memory as they are; from a call, after the step was done as
            ever: it does what no replay could repeat.
    """
    if not callable(step):
        raise TypeError(f"capture: expected a function, got {type(step).__name__}")
    captured = step if isinstance(step, Captured) else Captured(step, (step,))
    if loader is None:
        return captured
    from .loop import Loop  # here, as the datasets take long to import

    return Loop(captured, loader)


class Captured:
    """A function that replays what it did when it was recorded; see `capture`. `roots` are what it depends on."""

    def __init__(self, function: Callable[..., Any], roots: tuple):
        functools.update_wrapper(self, function, updated=())
        self.function, self.roots = function, roots
        self.refusal: str | None = None  # why the latest recording came to nothing
        self._replays: dict[tuple | None, list[Replay]] = {}
        self._attempts: dict[tuple, Attempt] = {}
        self.latest: Replay | None = None  # the replay recorded last

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """The captured function as a method, each object's steps a kind of their own."""
        return self if instance is None else types.MethodType(self, instance)

    def __call__(self, *args: Any, **options: Any) -> Any:
        self.refusal = None
        result = self.attempt(args, options)
        if self.refusal is not None:
            raise ValueError(f"capture: {self.refusal}")
        return result

    def attempt(self, args: tuple, options: dict[str, Any]) -> Any:
        """Replay the step, or run and record it; if that comes to nothing, `refusal` says why, and it only runs."""
        under_way = launching.recording.active
        if under_way is not None and under_way.mine:  # by another captured step, which records this one's kernels
            return self.function(*args, **options)
        arrays: list[np.ndarray] = []
        key = self.key(args, options, arrays)
        replay = self.ready(key)
        if replay is not None:
            return replay.run(arrays)
        if self.refusal is not None or launching.config.DISABLE_JIT or not turn.acquire(blocking=False):
            return self.function(*args, **options)
        try:
            return self._record(key, args, options, arrays)
        finally:
            turn.release()

    def key(self, args: tuple, options: dict[str, Any], arrays: list[np.ndarray]) -> tuple:
        """What tells kinds of calls apart; the arrays given are collected in `arrays`."""
        return describe(args, arrays), describe(options, arrays), autograd._state.recording

    def ready(self, key: tuple | None) -> "Replay | None":
        """The replay that does for such a call now, if there is one."""
        for replay in self._replays.get(key, ()):
            if replay.holds():
                return replay
        return None

    def _record(self, key: tuple, args: tuple, options: dict[str, Any], arrays: list[np.ndarray]) -> Any:
        from .attempt import Attempt  # here, as what it imports takes a tenth of the time that Numba does

        attempt = self._attempts.get(key)
        if attempt is None:
            if len(self._attempts) + len(self._replays) >= MOST_KINDS:
                self.refusal = (
                    f"the step was called in {MOST_KINDS} ways (shapes, dtypes, numbers and other objects that are no "
                    "arrays); pass numbers that change in arrays"
                )
                return self.function(*args, **options)
            attempt = self._attempts[key] = Attempt(self.function, self.roots, (args, options), arrays)
        result, replay = attempt.run(arrays)
        self.refusal = attempt.refusal
        if replay is not None or self.refusal is not None:
            del self._attempts[key]
        if replay is not None:
            self.latest = replay
            self._replays.setdefault(key, []).insert(0, replay)
            del self._replays[key][MOST_ALIKE:]
        return result

    @property
    def bytes(self) -> int:
        """Memory that all its programs hold for themselves."""
        return sum(replay.bytes for several in self._replays.values() for replay in several)

    def __reduce__(self) -> tuple:
        return Captured, (self.function, self.roots)  # programs hold addresses, which a copy must not

    def __repr__(self) -> str:
        name = getattr(self.function, "__qualname__", repr(self.function))
        replays = [replay for several in self._replays.values() for replay in several]
        if not replays:
            return f"<captured {name}: nothing recorded yet>"
        return f"<captured {name}: {'; '.join(map(repr, replays))}>"
