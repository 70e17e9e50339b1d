"""What the Trainer checks. Every message says what was expected and what came."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..checks import check_whole
from ..nn import Module
from ..tensor import Tensor


def check_parts(model: Any, loss: Any, optimizer: Any, schedule: Any, schedule_every: Any) -> None:
    """Refuse a model, loss, optimizer or schedule that is none, or that do not belong together."""
    if not isinstance(model, Module):
        raise TypeError(
            f"Trainer: expected a minidl.nn.Module as model, got {_kind(model)}; nn.Sequential(...) takes any function"
        )
    if isinstance(loss, type) or not callable(loss):
        remedy = f"; write {loss.__name__}()" if isinstance(loss, type) else ""
        raise TypeError(f"Trainer: expected a function of (outputs, targets) as loss, got {_kind(loss)}{remedy}")
    for role, part, needed in (
        ("optimizer", optimizer, ("step", "zero_grad", "param_groups")),
        ("schedule", schedule, ("step",)),
    ):
        if part is None and role == "schedule":
            continue
        missing = [name for name in needed if not hasattr(part, name)]
        if missing or isinstance(part, type):
            raise TypeError(f"Trainer: expected an object with {', '.join(needed)} as {role}, got {_kind(part)}")
    if schedule_every not in ("epoch", "step"):
        raise ValueError(f"Trainer: expected schedule_every 'epoch' or 'step', got {schedule_every!r}")
    held = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    if held.isdisjoint(id(parameter) for parameter in model.parameters()):
        raise ValueError(
            f"Trainer: expected an optimizer of the model's parameters, got one of {len(held)} others; "
            "make it with model.parameters()"
        )


def check_functions(metrics: Any, callbacks: Any) -> None:
    """Refuse metrics that are no dict of functions, and callbacks that are no functions."""
    if metrics is not None and not (hasattr(metrics, "values") and all(map(callable, metrics.values()))):
        raise TypeError(
            f"Trainer: expected a dict of names and functions of (outputs, targets) as metrics, got {metrics!r}"
        )
    if not isinstance(callbacks, list | tuple) or not all(map(callable, callbacks)):
        raise TypeError(
            f"Trainer: expected a list of functions of (trainer, epoch, t, loss) as callbacks, got {callbacks!r}"
        )


def check_fit(loader: Any, epochs: Any, validation: Any) -> None:
    """Refuse numbers of epochs below 1, and loaders that cannot be iterated anew each epoch."""
    check_whole("Trainer.fit", "epochs", epochs, 1)
    for role, given in (("loader", loader), ("validation", validation)):
        if given is None and role == "validation":
            continue
        if not hasattr(given, "__iter__") or isinstance(given, np.ndarray | Tensor):
            raise TypeError(
                f"Trainer.fit: expected batches (inputs, targets) as {role}, got {_kind(given)}{_remedy(given)}"
            )
        if hasattr(given, "__next__"):
            raise TypeError(
                f"Trainer.fit: expected a {role} that starts anew at each epoch, got {_kind(given)}, which is spent "
                "after one; use a DataLoader or a list"
            )


def pairs(name: str, loader: Any) -> Iterator[tuple[Any, Any]]:
    """The batches of a loader, which must be pairs, and at least one."""
    if not hasattr(loader, "__iter__") or isinstance(loader, np.ndarray | Tensor):
        raise TypeError(f"Trainer.{name}: expected batches (inputs, targets), got {_kind(loader)}{_remedy(loader)}")
    empty = True
    for batch in loader:
        if not isinstance(batch, tuple | list) or len(batch) != 2:
            raise TypeError(
                f"Trainer.{name}: expected batches of (inputs, targets), got {_kind(batch)}{_remedy(batch)}"
            )
        empty = False
        yield batch[0], batch[1]
    if empty:
        raise ValueError(f"Trainer.{name}: expected at least one batch, got a {type(loader).__name__} without any")


def check_loss(loss: Any) -> None:
    """Refuse a loss that is no tensor of one number."""
    if not isinstance(loss, Tensor) or loss.size != 1:
        raise TypeError(
            f"Trainer: expected a loss that answers a tensor of one number, got {_kind(loss)}; use reduction='mean'"
        )


def value_of(loss: Any) -> float:
    """The loss as a number."""
    check_loss(loss)
    return float(loss.item())


def input_batches(inputs: Any, batch_size: int) -> Iterator[Any]:
    """What `predict` runs over: slices of an array, or the inputs that a loader yields."""
    if isinstance(inputs, np.ndarray | Tensor):
        return _slices(inputs, batch_size)
    for option in ("shuffle", "drop_last"):
        if getattr(inputs, option, False):
            raise ValueError(
                f"Trainer.predict: expected a loader that gives every example in order, got {option}=True; "
                f"use a DataLoader with {option}=False"
            )
    return (batch for batch, _ in pairs("predict", inputs))


def _slices(inputs: Any, batch_size: int) -> Iterator[Any]:
    check_whole("Trainer.predict", "batch_size", batch_size, 1)
    if not inputs.ndim or not len(inputs):
        raise ValueError(f"Trainer.predict: expected at least one example, got shape {inputs.shape}")
    return (inputs[start : start + batch_size] for start in range(0, len(inputs), batch_size))


def _remedy(given: Any) -> str:
    if hasattr(given, "__getitem__") and not isinstance(given, tuple | list | str | dict):
        return "; use DataLoader(ArrayDataset(inputs, targets), batch_size)"
    return ""


def _kind(value: Any) -> str:
    if isinstance(value, np.ndarray | Tensor):
        return f"{type(value).__name__} of shape {value.shape}"
    if isinstance(value, type):
        return f"the class {value.__name__}"
    return f"a {type(value).__name__}" + (f" of {len(value)}" if isinstance(value, tuple | list) else "")
