"""A trainer's training step: captured where that is wanted and can be."""

import warnings
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from ..capture import Captured
from ..capture.loop import Loop
from ..data import DataLoader
from ..kernels.launch import launch, refuse_if
from ..kernels.layout import flat
from ..kernels.loss import not_finite
from ..tensor import Tensor
from .checks import check_loss

if TYPE_CHECKING:
    from .trainer import Trainer


class Steps:
    """The training step of `trainer`; `stop(loss)` raises where a loss is not finite and that is to end the run."""

    def __init__(self, trainer: "Trainer", stop: Callable[[float], Any]):
        self._trainer, self._stop = trainer, stop
        self._captured: Captured | None = None
        self._loop: Loop | None = None

    def step(self, inputs: Any, targets: Any) -> Tensor:
        """Train on a batch; answer the loss."""
        if not self._trainer.capture:
            return self._step(inputs, targets)
        loss = self._capture().attempt((inputs, targets), {})
        self.warn_of_refusal()
        return loss

    def loop_over(self, loader: Iterable[Any]) -> Loop | None:
        """The loop that does many steps in one call, where they can be captured and the examples lie in memory."""
        if not self._trainer.capture or type(loader) is not DataLoader or not Loop.can(loader):
            return None
        captured = self._capture()
        if self._loop is None or self._loop.loader is not loader or self._loop.captured is not captured:
            self._loop = Loop(captured, loader)
        return self._loop

    def warn_of_refusal(self) -> None:
        """Say once why steps cannot be captured, and capture no more."""
        if self._captured is not None and self._captured.refusal is not None and self._trainer.capture:
            self._trainer.capture = False
            message = f"Trainer: steps are not captured: {self._captured.refusal}; or choose capture=False"
            warnings.warn(message, stacklevel=5)

    def _capture(self) -> Captured:
        trainer = self._trainer
        roots = trainer.model, trainer.loss, trainer.optimizer, trainer.stop_on_non_finite
        if self._captured is None or self._captured.roots != roots:
            self._captured = Captured(self._step, roots)
        return self._captured

    def _step(self, inputs: Any, targets: Any) -> Tensor:
        trainer = self._trainer
        trainer.optimizer.zero_grad()
        loss = trainer.loss(trainer.model(inputs), targets)
        check_loss(loss)
        if trainer.stop_on_non_finite:
            flag, value = np.empty(1, np.int64), flat(loss._array)
            launch(not_finite, 1, value, flag)
            refuse_if(flag, lambda _: self._stop(value[0]))
        loss.backward()
        trainer.optimizer.step()
        return loss
