"""Hooks: functions that a module calls before or after its forward."""

import itertools
from collections.abc import Callable

_keys = itertools.count()


class Handle:
    """What registering a hook answers; `remove()` takes the hook off."""

    def __init__(self, hooks: dict[int, Callable], hook: Callable):
        if not callable(hook):
            raise TypeError(f"hook: expected a function, got {type(hook).__name__}")
        self._hooks, self._key = hooks, next(_keys)
        hooks[self._key] = hook

    def remove(self) -> None:
        """Take the hook off; a second time does nothing."""
        self._hooks.pop(self._key, None)
