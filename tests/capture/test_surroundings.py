"""Captured steps among threads, processes, copies and garbage."""

import copy
import gc
import os
import pickle
import sys
import threading

import numpy as np
import pytest

import minidl
from minidl import nn, set_num_threads
from minidl.kernels import launch as launching

from .problem import CLASSES, FEATURES, Problem, batches, bits, counted, same

MOST = launching.config.NUMBA_NUM_THREADS


def wide():
    return Problem(nn.Sequential(nn.Linear(FEATURES, 700), nn.BatchNorm1d(700), nn.ReLU(), nn.Linear(700, CLASSES)))


def test_threads_set_between_replays():
    def scenario(wrap):
        problem = wide()
        step = wrap(problem.step)
        try:
            for seed in range(6):
                set_num_threads(1 + seed % MOST)
                problem.train(step, 3, seed=seed, rows=128)
        finally:
            set_num_threads(MOST)
        return problem.all()

    same(scenario, replays=15, recordings=3)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_replays():
    problem, twin = wide(), None
    twin = copy.deepcopy(problem)
    step = minidl.capture(problem.step)
    for each, function in ((problem, step), (twin, twin.step)):
        each.train(function, 5, rows=128)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        with counted() as count:
            problem.train(step, 5, seed=1, rows=128)
        os.write(writer, pickle.dumps((bits(problem.model), count.replays)))
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        got, replays = pickle.loads(pipe.read())
    os.waitpid(child, 0)
    twin.train(twin.step, 5, seed=1, rows=128)
    assert (got, replays) == (bits(twin.model), 5)


def in_threads(*functions):
    errors = []

    def guarded(function):
        try:
            function()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(function,)) for function in functions]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
    finally:
        sys.setswitchinterval(interval)
    assert not errors
    assert not any(thread.is_alive() for thread in threads)


@pytest.mark.parametrize("beside", ["captured", "eager"])
def test_two_python_threads_with_a_step_each(beside):
    def rng_free():
        minidl.manual_seed(3)
        return wide()

    problems, twins = [rng_free(), rng_free()], [rng_free(), rng_free()]
    steps = [minidl.capture(problems[0].step), problems[1].step]
    if beside == "captured":
        steps[1] = minidl.capture(steps[1])
    with counted() as count:
        in_threads(
            *(
                lambda p=p, s=s, i=i: p.train(s, 60, seed=i, rows=64)
                for i, (p, s) in enumerate(zip(problems, steps, strict=True))
            )
        )
    for i, twin in enumerate(twins):
        twin.train(twin.step, 60, seed=i, rows=64)
    assert [bits(p.all()) for p in problems] == [bits(p.all()) for p in twins]
    assert count.replays >= 40


def test_two_python_threads_with_one_step():
    problem = Problem()
    problem.model.eval()
    forward = minidl.capture(lambda x: problem.model(x))
    given = [x for x, _ in batches(400)]
    expected = [bits(problem.model(x)) for x in given]
    got = [[], []]
    in_threads(*(lambda k=k: got[k].extend(bits(forward(x)) for x in given) for k in range(2)))
    assert got == [expected, expected]


def test_copies_of_the_model_are_models_of_their_own():
    def scenario(wrap):
        problem = Problem()
        step = wrap(problem.step)
        for seed, copied in enumerate((copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value)))):
            problem.train(step, 5, seed=seed)
            kept = copied(problem.model)
            problem.train(step, 5, seed=seed + 5)
            problem.losses.append(bits(kept))
            problem.model = kept
            problem.optimizer = minidl.optim.SGD(kept.parameters(), lr=0.1, momentum=0.9)
        problem.train(step, 5, seed=9)
        return problem.all()

    same(scenario, replays=13)


def test_a_copy_of_a_captured_step_records_for_itself():
    problem = Problem()
    step = minidl.capture(problem.step)
    problem.train(step, 5)
    twin, again = copy.deepcopy((problem, step))
    assert again.function.__self__ is twin
    with counted() as count:
        twin.train(again, 6, seed=1)
    problem.train(step, 6, seed=1)
    assert bits(problem.all()) == bits(twin.all())
    assert count.recordings == 2


def test_what_a_step_needs_stays_alive_with_it():
    def make():
        problem = Problem()
        step = minidl.capture(problem.step)
        problem.train(step, 4)
        return step, copy.deepcopy(problem)

    step, twin = make()
    gc.collect()
    junk = [np.full(n, np.nan, np.float32) for n in (8, 24, 40) for _ in range(200)]  # takes what was freed
    got = [bits(step(x, y)) for x, y in batches(5, seed=1)]
    assert got == [bits(twin.step(x, y)) for x, y in batches(5, seed=1)]
    assert len(junk) == 600


def test_gradients_outlive_the_captured_step():
    problem = Problem()
    step = minidl.capture(problem.step)
    problem.train(step, 5)
    grads = [parameter.grad for parameter in problem.model.parameters()]
    before = bits(grads)
    del step
    gc.collect()
    junk = [np.full(n, np.nan, np.float32) for n in (8, 24, 40, 1000) for _ in range(200)]
    assert bits(grads) == before
    assert len(junk) == 800


def test_the_default_generator_is_moved_on_by_replays():
    def scenario(wrap):
        problem = Problem(nn.Sequential(nn.Linear(FEATURES, 32), nn.Dropout(0.5), nn.Linear(32, CLASSES)))
        step = wrap(problem.step)
        problem.train(step, 6)
        problem.losses.append(minidl.random.default_generator.uniform(4))
        minidl.random.default_generator.state = (1, 2, 3)
        problem.train(step, 6, seed=1)
        return problem.all()

    same(scenario, replays=9)
