"""What a kernel may be called with, and in what order its chunks run."""

import numpy as np
import pytest
from numba import config

import minidl
from minidl.kernels.launch import InOut, kernel, launch


def test_a_kernels_parameters_may_have_the_names_of_a_launch():
    @kernel
    def add_up(loop, block, n: int, chunks, core, address, entry: InOut, low, high):
        for i in range(low, high):
            entry[i] += loop[i] + block[i] + n + chunks[i] + core[i] + address[i]

    x = np.arange(4.0)
    launch(add_up, 4, x, x, 3, x, x, x, total := np.ones(4))
    assert total.tolist() == [4, 9, 14, 19]


@pytest.mark.skipif(bool(config.DISABLE_JIT), reason="the plain loop has no threads that take chunks")
def test_launches_run_up_and_down_by_turns():
    @kernel
    def note(order: InOut, low, high):
        order[0] += 1
        order[int(order[0])] = low

    found, before = [], minidl.kernels.launch._shared_block[minidl.kernels.launch.THREADS]
    minidl.set_num_threads(1)
    try:
        for _ in range(3):
            order = np.zeros(9, np.int64)
            launch(note, 8, order, work=8 * minidl.kernels.launch.CHUNK)
            found.append(order.tolist())
    finally:
        minidl.set_num_threads(int(before))
    up, down = [8, *range(8)], [8, *range(7, -1, -1)]
    assert found in ([up, down, up], [down, up, down])
