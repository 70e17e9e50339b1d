"""Computing the items of an iterator ahead, in a thread."""

import contextlib
import queue
import sys
import threading
from collections.abc import Generator, Iterable
from typing import TypeVar

T = TypeVar("T")

_POLL = 0.2  # seconds after which a thread that waits for room looks whether anyone still wants its items


def prefetch(items: Iterable[T], depth: int) -> Generator[T, None, None]:
    """Yield the items of `items`, which a thread computes, `depth` of them ahead.

    An exception in the thread is raised here, with its traceback. The thread ends when the items do, and when this
    iterator is closed, abandoned or interrupted.
    """
    ready: queue.Queue[tuple[bool, T | BaseException | None]] = queue.Queue(depth)
    stopped = threading.Event()
    thread = threading.Thread(target=_fill, args=(items, ready, stopped), name="minidl-prefetch", daemon=True)
    del items  # the thread's alone
    thread.start()
    try:
        while True:
            more, item = ready.get()
            if isinstance(item, BaseException):
                raise item
            if not more:
                return
            yield item  # pyright: ignore[reportReturnType]
    finally:
        stopped.set()
        # The garbage collector may run this in the thread itself; and when Python ends, the thread has been frozen
        # (from 3.13 on, waiting for it would never end).
        if threading.current_thread() is not thread and not sys.is_finalizing():
            with contextlib.suppress(queue.Empty):
                while True:
                    ready.get_nowait()  # make room for a thread that waits for it
            thread.join()


def _fill(items: Iterable[T], ready: queue.Queue, stopped: threading.Event) -> None:
    """Put (True, item) for each item, then (False, None); (False, exception) where one is raised."""
    try:
        for item in items:
            _put((True, item), ready, stopped)
            if stopped.is_set():
                return
        last = (False, None)
    except BaseException as error:
        last = (False, error)
    _put(last, ready, stopped)


def _put(entry: tuple, ready: queue.Queue, stopped: threading.Event) -> None:
    while not stopped.is_set():
        with contextlib.suppress(queue.Full):
            ready.put(entry, timeout=_POLL)
            return
