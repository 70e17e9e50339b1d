"""A captured step over the batches of a loader: many steps in one native call."""

import time
from collections.abc import Iterator

import numpy as np

from .. import autograd
from ..data.dataset import in_memory
from ..data.loader import DataLoader
from ..kernels.gather import keep_number, take_images, take_rows
from ..kernels.launch import launch, recorded
from ..kernels.layout import empty, flat, images
from ..kernels.program import STAYS, Program, Series, complain
from ..kernels.recording import Recording
from ..tensor import Tensor
from .captured import Captured
from .replay import Replay

SECONDS = 0.1  # that one native call takes, about; Ctrl-C and the progress bar wait for its end


class Loop:
    """Epochs of a captured step (inputs, targets) -> loss over a loader whose examples lie in memory.

    A call is an epoch, as `[step(x, y).item() for x, y in loader]` would be, and answers its losses. The batches are
    taken by kernels, in the loader's order; nothing but the step's own kernels runs between them.

    Raises:
        TypeError: the loader is no DataLoader.
        ValueError: its examples do not lie in memory as they are; in a call, what `capture` refuses.
    """

    def __init__(self, captured: Captured, loader: DataLoader):
        if not isinstance(loader, DataLoader):
            raise TypeError(f"capture: expected a DataLoader, got {type(loader).__name__}; capture the step alone")
        self.captured, self.loader = captured, loader
        self._arrays: tuple[np.ndarray, ...] = ()
        self._look()

    def _look(self) -> None:
        """See where the examples lie, and begin anew where that is elsewhere than before."""
        loader = self.loader
        source = in_memory(loader.dataset) if loader.transform is None else None
        if source is None:
            raise ValueError(
                "capture: expected a loader without transform over an ArrayDataset without one, or a Subset of it, got "
                f"one over a {type(loader.dataset).__name__}; transform the arrays before, or capture the step alone"
            )
        inputs, targets, places = source
        counts = loader.batch_size, len(loader), None if places is None else places.tobytes()
        if self._arrays and inputs is self._arrays[0] and targets is self._arrays[1] and counts == self._counts:
            return
        self._arrays, self._places, self._counts = (inputs, targets), places, counts
        self.losses, self._step = np.empty(len(loader)), np.zeros(1, np.int64)
        self._order = np.empty(len(loader.dataset), np.int64)
        self._series: dict[Replay, Series] = {}
        self._batches: dict[Replay, list[np.ndarray]] = {}
        self._keys: dict[tuple[int, bool], tuple] = {}  # by the size of a batch, and whether gradients are recorded
        self._seconds = 0.0  # that a step takes

    @staticmethod
    def can(loader: DataLoader) -> bool:
        """Whether the loader's examples lie in memory as they are."""
        return loader.transform is None and in_memory(loader.dataset) is not None

    @property
    def done(self) -> int:
        """How many steps of this epoch are done; their losses stand in `losses`."""
        return int(self._step[0])

    def __call__(self) -> np.ndarray:
        self.captured.refusal = None
        for _ in self.stretches():
            if self.captured.refusal is not None:
                raise ValueError(f"capture: {self.captured.refusal}")
        return self.losses[: self.done].copy()

    def stretches(self) -> Iterator[None]:
        """Do an epoch, a bounded number of steps at a time."""
        self._look()
        order = self.loader.begin_epoch()[0]
        self._order[...] = order if self._places is None else self._places[order]
        self._step[0] = 0
        batch = self.loader.batch_size
        while self.done < len(self.loader):
            size = min(batch, len(self._order) - self.done * batch)
            replay = self.captured.ready(self._keys.get((size, autograd._state.recording)))
            if replay is None:
                self._do_one(size)
                yield
            else:
                series, stopped = self._do_many(replay, max(1, len(self._order) // batch - self.done))
                yield
                if stopped < len(series.rows):
                    complain(series, stopped)

    def _do_one(self, size: int) -> None:
        """A step by Python: it is recorded, or cannot be."""
        places = self._order[self.done * self.loader.batch_size :][:size]
        inputs, targets = (array[places] for array in self._arrays)
        if inputs.dtype == np.uint8:
            inputs = np.divide(inputs, 255, dtype=np.float32)
        batch = Tensor(inputs), Tensor(targets)
        self._keys[size, autograd._state.recording] = self.captured.key(batch, {}, [])
        loss = self.captured.attempt(batch, {})
        if not isinstance(loss, Tensor) or loss.size != 1:
            raise TypeError(f"capture: expected a step that returns a tensor of one number, got {type(loss).__name__}")
        self.losses[self.done] = loss.item()
        self._step[0] += 1

    def _do_many(self, replay: Replay, most: int) -> tuple[Series, int]:
        """As many steps as fit the time, up to `most`; the row at which a check stopped them, if one did."""
        series = self._series.get(replay)
        if series is None:
            series = self._series[replay] = self._series_of(replay)
        times = min(most, int(SECONDS / self._seconds) + 1 if self._seconds else 1)
        replay.program.bind(self._batches[replay])
        begun = time.perf_counter()
        done, stopped = 0, 0
        try:
            done, stopped = series.run(times)
        finally:
            replay.note(whole=stopped == len(series.rows))
        self._seconds = (time.perf_counter() - begun) / max(done, 1)
        return series, stopped

    def _series_of(self, replay: Replay) -> Series:
        """The step between kernels that take its batch and keep its loss."""
        before, after = Recording(), Recording()
        batch = self._batches[replay] = [empty(shape, dtype) for shape, dtype in replay.kinds]
        loss = flat(replay.result._array)
        with recorded(before):
            for source, target in zip(self._arrays, batch, strict=True):
                x, out = (
                    a.reshape(len(a), -1) if a.ndim != 4 else images(a).reshape(len(a), -1) for a in (source, target)
                )
                kernel = take_images if source.dtype == np.uint8 else take_rows
                launch(kernel, len(out), x, self._order, self._step, self.loader.batch_size, out, work=out.size)
        losses = self.losses.copy()
        with recorded(after):
            launch(keep_number, 1, loss, self._step, self.losses)
        self._step[0] -= 1
        self.losses[...] = losses
        alive = [*self._arrays, self._order, self._step, self.losses, loss, *batch]
        first, last = (Program(r, [STAYS] * len(r.buffers), alive, []) for r in (before, after))
        return Series([first, replay.program, last])
