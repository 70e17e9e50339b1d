"""The thread that computes ahead: order, bound, errors, and that it ends."""

import gc
import signal
import subprocess
import sys
import textwrap
import threading
import traceback

import pytest

from minidl.data.prefetch import prefetch


def threads():
    return [thread for thread in threading.enumerate() if thread.name == "minidl-prefetch"]


@pytest.fixture(autouse=True)
def no_thread_is_left():
    yield
    gc.collect()
    for thread in threads():
        thread.join(5)
    assert threads() == []


@pytest.mark.parametrize("depth", [1, 2, 50])
def test_the_items_come_in_order(depth):
    assert list(prefetch(iter(range(20)), depth)) == list(range(20))
    assert threads() == []


def test_it_computes_in_another_thread_and_not_more_than_asked_for():
    computed, permits, names = [], threading.Semaphore(0), []

    def items():
        for i in range(20):
            names.append(threading.current_thread().name)
            computed.append(i)
            permits.release()
            yield i

    ahead = prefetch(items(), 2)
    assert next(ahead) == 0
    for _ in range(4):  # the item taken, two that wait, one in the thread's hand
        assert permits.acquire(timeout=5)
    assert not permits.acquire(timeout=0.05)
    assert computed == [0, 1, 2, 3]
    assert set(names) == {"minidl-prefetch"}
    ahead.close()


def test_an_error_comes_out_with_its_traceback_after_the_items_before_it():
    def items():
        yield 1
        raise KeyError("the culprit")

    ahead = prefetch(items(), 2)
    assert next(ahead) == 1
    with pytest.raises(KeyError, match="the culprit") as caught:
        next(ahead)
    assert "in items" in "".join(traceback.format_exception(caught.value))
    assert list(ahead) == []


@pytest.mark.parametrize("how", ["closed", "abandoned", "in a cycle", "never begun", "consumer fails"])
def test_an_iterator_that_is_given_up_leaves_no_thread(how):
    ahead = prefetch(iter(range(1000)), 2)
    if how != "never begun":
        assert next(ahead) == 0
    if how == "closed":
        ahead.close()
        assert threads() == []
    elif how == "in a cycle":
        cycle = [ahead]
        cycle.append(cycle)
        del cycle
    elif how == "consumer fails":
        with pytest.raises(ZeroDivisionError):
            for _ in ahead:
                raise ZeroDivisionError
    del ahead


def test_the_thread_sees_that_it_is_not_wanted_even_while_it_waits_for_room():
    filled = threading.Event()

    def items():
        yield from range(3)
        filled.set()
        yield 3

    ahead = prefetch(items(), 1)
    next(ahead)
    next(ahead)
    assert filled.wait(5)
    ahead.close()
    assert threads() == []


@pytest.mark.parametrize(
    ("end", "code", "error"),
    [
        ("", 0, ""),
        ("raise SystemExit(3)", 3, ""),
        ("signal.setitimer(signal.ITIMER_REAL, 0.2)\nnext(stuck)", -signal.SIGINT, "KeyboardInterrupt"),
    ],
)
def test_python_ends_at_once_with_an_iterator_half_way(end, code, error):
    script = """
        import itertools, signal, threading, time
        from minidl.data.prefetch import prefetch

        def interrupt(*_):
            raise KeyboardInterrupt

        def slow():
            time.sleep(1)  # the consumer waits for this when it is interrupted
            yield 1

        signal.signal(signal.SIGALRM, interrupt)
        ahead = prefetch(itertools.count(), 2)
        next(ahead)
        cycle = [ahead]
        cycle.append(cycle)
        stuck = prefetch(slow(), 2)
    """
    command = [sys.executable, "-c", textwrap.dedent(script) + end]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == code, done.stderr
    assert (error in done.stderr) if error else done.stderr == ""
