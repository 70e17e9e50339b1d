"""Trainer: the training loop that one would write by hand, with a progress bar, metrics and a history."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

import numpy as np

from ..autograd import no_grad
from ..capture.loop import Loop
from ..nn import Module
from ..tensor import Tensor
from . import checks
from .history import History
from .mode import mode
from .progress import Progress
from .steps import Steps

Metric = Callable[[np.ndarray, np.ndarray], np.ndarray]
Callback = Callable[["Trainer", int, int, float], Any]


def accuracy(outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Whether the largest of each example's outputs is that of its class.

    Shape:
        outputs (N, C), targets (N,) of whole numbers, to (N,).
    """
    return outputs.argmax(axis=1) == targets


class Trainer:
    """Train `model`: for each epoch, for each mini-batch t of inputs and targets,

        optimizer.zero_grad()
        value = loss(model(inputs), targets)
        value.backward()
        optimizer.step()

    `loss` answers the mean over the batch. `schedule` (any object with `step()`) is stepped after each epoch, or after
    each step with `schedule_every="step"`. `metrics` maps names to functions of (outputs, targets), two arrays, that
    answer one value an example; by default it is `accuracy` where the targets are labels. `callbacks` are called after
    each step as `callback(trainer, epoch, t, loss)`; epochs and batches are counted from 0. With `stop_on_non_finite`,
    the first loss that is NaN or infinite ends the run by a FloatingPointError before it reaches the weights. Steps are
    captured (`minidl.capture`) where they can be; where not, a warning says why, once, and they run kernel by kernel,
    as with `capture=False`, to the same bits. `history` holds the numbers of all calls of `fit`. Ctrl-C goes through as
    KeyboardInterrupt; what was done until then is in `history` and in the weights, and the next `fit` goes on there.

    >>> trainer = Trainer(model, nn.CrossEntropyLoss(), optim.SGD(model.parameters(), lr=0.1))
    >>> history = trainer.fit(loader, epochs=10, validation=validation_loader)

    Raises:
        TypeError: an argument of a wrong kind.
        ValueError: `schedule_every` is neither "epoch" nor "step", or the optimizer holds no parameter of the model.
    """

    def __init__(
        self,
        model: Module,
        loss: Callable[[Tensor, Any], Tensor],
        optimizer: Any,
        schedule: Any = None,
        *,
        schedule_every: Literal["epoch", "step"] = "epoch",
        metrics: Mapping[str, Metric] | None = None,
        callbacks: Sequence[Callback] = (),
        stop_on_non_finite: bool = True,
        progress: bool = True,
        capture: bool = True,
    ):
        checks.check_parts(model, loss, optimizer, schedule, schedule_every)
        checks.check_functions(metrics, callbacks)
        self.model, self.loss, self.optimizer = model, loss, optimizer
        self.schedule, self.schedule_every = schedule, schedule_every
        self.metrics, self.callbacks = metrics, tuple(callbacks)
        self.stop_on_non_finite, self.progress, self.capture = stop_on_non_finite, progress, capture
        self._steps, self._place = Steps(self, self._stop), (0, 0)
        self._stretch: tuple[Loop, int] | None = None  # under way, and how long the history was before
        self.history = History()

    def fit(self, loader: Iterable[Any], epochs: int, validation: Iterable[Any] | None = None) -> History:
        """Train for `epochs` epochs of `loader`, evaluating on `validation` after each; answer `history`.

        The model is in training mode meanwhile; afterwards each module has the mode it had before.

        Raises:
            TypeError: a loader does not yield pairs, or cannot be iterated anew, or `epochs` is no whole number.
            ValueError: `epochs` is below 1, or a loader yields nothing.
            FloatingPointError: the loss is NaN or infinite, and `stop_on_non_finite`.
        """
        checks.check_fit(loader, epochs, validation)
        first, before, start = len(self.history.epochs), self.history.seconds, time.perf_counter()
        try:
            with mode(self.model, training=True), Progress(loader, epochs, shown=self.progress) as progress:
                for epoch in range(first, first + epochs):
                    begun = time.perf_counter()
                    row = {"loss": self._train_epoch(loader, epoch, progress)}
                    if validation is not None:
                        row |= {f"validation_{name}": value for name, value in self.evaluate(validation).items()}
                    row |= {"step": len(self.history.loss), "seconds": time.perf_counter() - begun}
                    self.history.epochs.append(row)
                    progress.end_epoch(row)
        finally:
            self.history.seconds = before + time.perf_counter() - start
        return self.history

    def _train_epoch(self, loader: Iterable[Any], epoch: int, progress: Progress) -> float:
        """Train on every batch once; answer the mean loss over the examples."""
        alone = not self.callbacks and self.schedule_every == "epoch"  # nothing is to be done between two steps
        loop = self._steps.loop_over(loader) if alone else None
        mean = self._train_stretches(loop, epoch, progress) if loop else self._train_batches(loader, epoch, progress)
        if self.schedule is not None and self.schedule_every == "epoch":
            self.schedule.step()
        return mean

    def _train_batches(self, loader: Iterable[Any], epoch: int, progress: Progress) -> float:
        total, count = 0.0, 0
        for t, (inputs, targets) in enumerate(checks.pairs("fit", loader)):
            self._place = epoch, t
            value = checks.value_of(self._steps.step(inputs, targets))
            self._note([value])
            if self.schedule is not None and self.schedule_every == "step":
                self.schedule.step()
            total, count = total + value * len(inputs), count + len(inputs)
            progress.step(epoch, value)
            for callback in self.callbacks:
                callback(self, epoch, t, value)
        return total / count

    def _train_stretches(self, loop: Loop, epoch: int, progress: Progress) -> float:
        """The same, many steps at a time."""
        first, shown = len(self.history.loss), 0
        self._stretch, self._place = (loop, first), (epoch, 0)
        try:
            for _ in loop.stretches():
                self._steps.warn_of_refusal()
                self._place = epoch, loop.done
                progress.step(epoch, loop.losses[loop.done - 1], loop.done - shown)
                shown = loop.done
        finally:
            self._note_stretch()
            self._stretch = None
        total, seen, batch, examples = 0.0, 0, loop.loader.batch_size, len(loop.loader.dataset)
        for value in self.history.loss[first:]:
            size = min(batch, examples - seen)
            total, seen = total + value * size, seen + size
        return total / seen

    def _note(self, losses: list[float]) -> None:
        self.history.loss += losses
        if self.schedule is not None:
            self.history.rate += [self._rate()] * len(losses)

    def _note_stretch(self) -> None:
        """Note what a stretch has done and nobody noted yet."""
        if self._stretch is not None:
            loop, first = self._stretch
            self._note(loop.losses[len(self.history.loss) - first : loop.done].tolist())

    def _stop(self, loss: float) -> None:
        value, (epoch, t) = float(loss), self._place
        self._note_stretch()
        self._note([value])
        raise FloatingPointError(
            f"Trainer: the loss is {value} at step {len(self.history.loss) - 1} (epoch {epoch}, batch {t}), at "
            f"learning rate {self._rate():g}; the weights are those before this step. Lower the learning rate, or "
            "look for NaN in the inputs; stop_on_non_finite=False trains on"
        )

    def _rate(self) -> float:
        return float(self.optimizer.param_groups[0]["lr"])

    def evaluate(self, loader: Iterable[Any]) -> dict[str, float]:
        """The loss and the metrics as means over all examples of `loader`, the model in evaluation mode meanwhile.

        Raises:
            TypeError: the loader does not yield pairs.
            ValueError: it yields nothing, or a metric does not answer one value an example.
        """
        totals: dict[str, float] = {}
        count = 0
        with mode(self.model, training=False), no_grad():
            for inputs, targets in checks.pairs("evaluate", loader):
                outputs, n = self.model(inputs), len(inputs)
                sums = {"loss": checks.value_of(self.loss(outputs, targets)) * n}
                sums |= self._measure(np.asarray(outputs), np.asarray(targets), n)
                totals = {name: totals.get(name, 0.0) + value for name, value in sums.items()}
                count += n
        return {name: total / count for name, total in totals.items()}

    def _measure(self, outputs: np.ndarray, targets: np.ndarray, n: int) -> dict[str, float]:
        """The sums of the metrics over a batch."""
        metrics = self.metrics
        if metrics is None:
            labels = targets.dtype.kind in "iu" and targets.ndim == 1 and outputs.ndim == 2
            metrics = {"accuracy": accuracy} if labels else {}
        sums = {}
        for name, metric in metrics.items():
            values = np.asarray(metric(outputs, targets), np.float64)
            if values.shape != (n,):
                raise ValueError(
                    f"Trainer: expected one value for each of {n} examples from the metric '{name}', got shape "
                    f"{values.shape}; leave the mean to the Trainer"
                )
            sums[name] = float(values.sum())
        return sums

    def predict(self, inputs: Any, batch_size: int = 256) -> np.ndarray:
        """The model's outputs in the order of the examples, the model in evaluation mode meanwhile.

        `inputs` is an array, taken `batch_size` examples at a time, or a loader, whose targets are ignored.

        Shape:
            (N, ...) to (N, ...).

        Raises:
            TypeError: `inputs` is neither.
            ValueError: there are no examples, or the loader shuffles or drops some.
        """
        batches = checks.input_batches(inputs, batch_size)
        with mode(self.model, training=False), no_grad():
            return np.concatenate([np.asarray(self.model(batch)) for batch in batches])
