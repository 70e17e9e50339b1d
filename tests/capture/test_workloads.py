"""Whole trainings: captured, they have the bits of the plain ones, on any number of threads."""

import numpy as np
import pytest

import minidl
from minidl import nn, optim, random, set_num_threads, tensor
from minidl.kernels import launch as launching

from .networks import FULL, SMALL
from .problem import Problem, bits, counted

MOST = launching.config.NUMBA_NUM_THREADS
EPOCH = 10  # steps; the last batch of an epoch is smaller


def trained(shape, classes, layers, steps, wrap):
    """Train with weight decay and a schedule that is stepped after each step."""
    minidl.manual_seed(11)
    problem = Problem(nn.Sequential(*layers()), lr=0.02, weight_decay=5e-4)
    step, schedule = wrap(problem.step), optim.CosineAnnealingLR(problem.optimizer, steps)
    rng = np.random.default_rng(0)
    for i in range(steps):
        rows = shape[0] if i % EPOCH < EPOCH - 1 else shape[0] // 2 + 1
        x = rng.standard_normal((rows, *shape[1:]), np.float32)
        problem.losses.append(step(tensor(x), tensor(rng.integers(0, classes, rows))))
        schedule.step()
    return bits([*problem.all(), random.default_generator.state]), problem, step


def hold_equal(workload, steps):
    """Hold that captured trainings on one thread and on all equal a plain one, and are captured."""
    expected, problem, _ = trained(*workload, steps, lambda step: step)
    assert np.isfinite([loss.item() for loss in problem.losses]).all()
    for threads in (1, MOST):
        set_num_threads(threads)
        try:
            with counted() as count:
                got, _, step = trained(*workload, steps, minidl.capture)
        finally:
            set_num_threads(MOST)
        assert got == expected
        assert (count.recordings, count.replays) == (5, steps - 5)  # 3 with momentum made, 2 of the smaller batch
        assert "kernels" in repr(step)


@pytest.mark.parametrize("name", SMALL)
def test_captured_trainings_have_the_bits_of_plain_ones(name):
    hold_equal(SMALL[name], 200)


@pytest.mark.slow
@pytest.mark.parametrize("name", FULL)
def test_captured_trainings_at_full_size_have_the_bits_of_plain_ones(name):
    hold_equal(FULL[name], 200)
