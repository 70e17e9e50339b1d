"""History: what a training run was like, step by step."""

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..files import write_json


@dataclass
class History:
    """The numbers of a training run, filled in by `Trainer.fit`.

    `loss`: the loss of each step, on its mini-batch, before its update. `rate`: the learning rate of each step, if a
    schedule is used, else empty. `epochs`: for each epoch a row of `step` (the steps done at its end), `loss` (the mean
    over its examples), the metrics on the validation set (`validation_loss`, `validation_accuracy`) and `seconds`.
    `seconds`: the time all of it took.
    """

    loss: list[float] = field(default_factory=list)
    rate: list[float] = field(default_factory=list)
    epochs: list[dict[str, float]] = field(default_factory=list)
    seconds: float = 0.0

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the history as JSON, all at once; numbers that JSON lacks become "nan", "inf" and "-inf"."""
        write_json(path, asdict(self))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "History":
        """Read what `save` wrote: the same numbers, bit for bit.

        Raises:
            ValueError: the file holds no history; the message names it.
        """
        try:
            content = json.loads(Path(path).read_text())
            return cls(
                loss=_numbers(content.pop("loss")),
                rate=_numbers(content.pop("rate")),
                epochs=[{name: float(value) for name, value in row.items()} for row in content.pop("epochs")],
                seconds=float(content.pop("seconds")),
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(
                f"History.load: expected a file that History.save wrote, got {path} ({type(error).__name__}: {error})"
            ) from error


def _numbers(values: list[Any]) -> list[float]:
    return [float(value) for value in values]
