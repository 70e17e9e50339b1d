"""The progress bar of a fit, in terminals and notebooks."""

from collections.abc import Iterable
from typing import Any


class Progress:
    """One bar over all steps of a fit, which names the epoch, the step's loss and the last epoch's metrics."""

    def __init__(self, loader: Iterable[Any], epochs: int, shown: bool):
        self._bar = None
        self._state = self._metrics = ""
        if shown:
            from tqdm.auto import tqdm  # here, so that importing minidl does not pay for it

            steps = len(loader) * epochs if hasattr(loader, "__len__") else None  # pyright: ignore[reportArgumentType]
            self._bar = tqdm(total=steps, unit="step", dynamic_ncols=True)

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def step(self, epoch: int, loss: float, count: int = 1) -> None:
        """`count` steps are done, the last with this loss."""
        if self._bar is not None:
            self._state = f"epoch {epoch + 1}, loss {loss:.4f}"
            self._bar.set_postfix_str(self._state + self._metrics, refresh=False)
            self._bar.update(count)

    def end_epoch(self, row: dict[str, float]) -> None:
        """An epoch is done, with these metrics."""
        shown = {name: value for name, value in row.items() if name.startswith("validation_")}
        self._metrics = "".join(f", {name.replace('_', ' ')} {value:.4f}" for name, value in shown.items())
        if self._bar is not None:
            self._bar.set_postfix_str(self._state + self._metrics)
