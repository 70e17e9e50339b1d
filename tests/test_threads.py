"""Threads: how many the kernels use, two Python threads that train at once, and a process that forks after training."""

import os
import subprocess
import sys
import textwrap
import threading

import numba
import numpy as np
import pytest
from numba import config, types

import minidl
from minidl import nn, optim, tensor
from minidl.kernels import launch as launching
from minidl.kernels.launch import kernel, launch

MOST = config.NUMBA_NUM_THREADS
compiled = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="without the JIT there is one thread")


who_am_i = types.ExternalFunction("PyThread_get_thread_ident", types.uint64())


@kernel
def who(threads, x, low, high):
    for i in range(low, high):
        threads[i] = who_am_i()
        for j in range(len(x)):  # long enough for a sleeping thread to take part
            x[j] = x[j] * 0.5 + i


def who_runs(n):
    """The threads that ran some chunk; on a busy machine one may have run all, so some launches more."""
    seen, threads = set(), np.zeros(64, np.uint64)
    for _ in range(200):
        launch(who, 64, threads, np.ones(20_000), work=1 << 20)
        seen.update(threads.tolist())
        if len(seen) == n > 1:
            break
    return seen


@compiled
def test_the_number_of_threads_holds_whichever_python_thread_launches():
    def elsewhere(n):
        seen = []
        thread = threading.Thread(target=lambda: seen.append((threading.get_ident(), who_runs(n))))
        thread.start()
        thread.join()
        return seen[0]

    try:
        for n in (1, min(2, MOST)):
            minidl.set_num_threads(n)
            here, (other, there) = who_runs(n), elsewhere(n)
            assert len(here) == len(there) == n
            assert here - {threading.get_ident()} == there - {other}  # the team is the same
            assert threading.get_ident() in here and other in there
    finally:
        minidl.set_num_threads(MOST)


@compiled
def test_the_number_of_threads_of_numbas_own_functions_is_left_alone():
    numba.set_num_threads(1)
    try:
        launch(who, 64, np.zeros(64), np.ones(10), work=1 << 20)
        assert numba.get_num_threads() == 1
    finally:
        numba.set_num_threads(MOST)


def train(seed, steps=15):
    """The bits of a small CNN after some steps, in which launches of one chunk and of several alternate."""
    rng = np.random.default_rng(seed)
    model = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1, rng=seed), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()
    )
    model.append(nn.Linear(8 * 7 * 7, 10, rng=seed + 1))
    optimizer, loss_of = optim.SGD(model.parameters(), lr=0.1, momentum=0.9), nn.CrossEntropyLoss()
    images, labels = rng.standard_normal((64, 1, 14, 14), np.float32), rng.integers(0, 10, 64)
    for _ in range(steps):
        optimizer.zero_grad()
        loss_of(model(tensor(images)), tensor(labels)).backward()
        optimizer.step()
    return b"".join(value.tobytes() for value in model.state_dict().values())


def test_two_python_threads_train_two_models_as_one_after_the_other_does(monkeypatch):
    monkeypatch.setattr(launching, "SHARE_FROM", 1 << 12)
    expected, trained = [train(seed) for seed in range(4)], {}
    threads = [threading.Thread(target=lambda s=seed: trained.update({s: train(s)})) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [trained[seed] for seed in range(4)] == expected


FORK = """
    import os, threading, minidl
    from tests.test_threads import train

    def forked():
        child = os.fork()
        if child == 0:
            minidl.set_num_threads(minidl.kernels.launch.config.NUMBA_NUM_THREADS)
            os._exit(0 if train(0) == expected else 1)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    expected = train(0)
    print(forked())
    stop = threading.Event()
    busy = threading.Thread(target=lambda: [train(1, 1) for _ in iter(stop.is_set, True)])
    busy.start()
    print(*[forked() for _ in range(5)])  # whatever the other thread holds just then
    stop.set()
    busy.join()
    print(0 if train(0) == expected else 1)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_process_that_forks_after_training_trains_on_as_its_child_does():
    program = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", textwrap.dedent(FORK)]
    done = subprocess.run(program, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["0"] * 7


def run(program, **environment):
    """What a program printed that ended as it should."""
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", textwrap.dedent(program)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=120, env=os.environ | environment
    )
    assert done.returncode == 0 and not done.stderr, (done.returncode, done.stderr)
    return done.stdout.split()


ROUNDS = """
    import os, time
    import numpy as np
    import minidl
    from minidl.kernels.launch import InOut, kernel, launch

    @kernel
    def count(x: InOut, low, high):
        for i in range(low, high):
            x[i] += 1

    if {alone} and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
    x, rng = np.zeros(64), np.random.default_rng(0)
    for i in range({rounds}):
        if i % 50 == 0:
            minidl.set_num_threads(int(rng.integers(1, 5)))
        if i % {pause} == 0:
            time.sleep(0.002)  # they fall asleep
        launch(count, 64, x, work=int(rng.choice([1 << 15, 1 << 17, 1 << 20])))
    print((x == {rounds}).all())
"""


@compiled
@pytest.mark.parametrize(("alone", "rounds", "pause"), [(False, 30_000, 997), (False, 2_000, 7), (True, 2_000, 97)])
def test_each_chunk_of_each_round_runs_once_on_threads_that_share_cores_and_fall_asleep(alone, rounds, pause):
    assert run(ROUNDS.format(alone=alone, rounds=rounds, pause=pause), NUMBA_NUM_THREADS="4") == ["True"]


EXIT = """
    import atexit, threading, time
    import numpy as np
    import minidl
    from minidl.kernels.launch import InOut, kernel, launch

    @kernel
    def count(x: InOut, low, high):
        for i in range(low, high):
            x[i] += 1

    def go_on():
        y = np.zeros(64)
        while True:
            launch(count, 64, y, work=1 << 20)

    x = np.zeros(64)
    atexit.register(lambda: (minidl.set_num_threads(4), launch(count, 64, x, work=1 << 20), print(x.sum())))
    launch(count, 64, x, work=1 << 20)
    if {daemon}:
        threading.Thread(target=go_on, daemon=True).start()
        time.sleep(0.05)
"""


@compiled
@pytest.mark.parametrize("daemon", [False, True])
def test_a_process_ends_with_its_threads_and_may_launch_to_the_last(daemon):
    for _ in range(3):
        assert run(EXIT.format(daemon=daemon), NUMBA_NUM_THREADS="4") == ["128.0"]
