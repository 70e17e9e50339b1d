"""Memory in a long run: what a step allocates it frees, and what it frees the next step finds without a page fault."""

import os
import subprocess
import sys
import textwrap

import pytest
from numba import config

PROGRAM = """
    import gc, resource, tracemalloc
    from pathlib import Path
    import numpy as np
    from minidl import nn, optim, tensor

    def networks():
        yield (32, 2), nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 16), nn.Dropout(0.1), nn.Linear(16, 4))
        first = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2)
        second = nn.Conv2d(8, 16, 3, stride=2), nn.BatchNorm2d(16), nn.Sigmoid(), nn.AvgPool2d(3), nn.Flatten()
        yield (32, 3, 16, 16), nn.Sequential(*first, *second, nn.Linear(16, 4))

    def stepper(shape, model):
        rng = np.random.default_rng(0)
        batches = [(tensor(rng.standard_normal(shape, np.float32)), rng.integers(0, 4, shape[0])) for _ in range(8)]
        optimizer, loss_of = optim.SGD(model.parameters(), lr=0.01, momentum=0.9), nn.CrossEntropyLoss()

        def step(i):
            optimizer.zero_grad()
            loss = loss_of(model(batches[i % 8][0]), tensor(batches[i % 8][1]))
            loss.backward()
            optimizer.step()

        return step

    def faults():
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

    def resident():
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()

    for shape, model in networks():
        step = stepper(shape, model)
        for i in range(200):
            step(i)
        gc.collect()
        before = faults(), resident()
        for i in range(2000):
            step(i)
        print(faults() - before[0], resident() - before[1], end=" ")
        tracemalloc.start()
        for i in range(50):
            step(i)
        gc.collect()
        start = tracemalloc.get_traced_memory()[0]
        for i in range(200):
            step(i)
        gc.collect()
        print(tracemalloc.get_traced_memory()[0] - start)
        tracemalloc.stop()
"""


@pytest.mark.skipif(sys.platform != "linux" or bool(config.DISABLE_JIT), reason="reads Linux's counts of machine code")
def test_two_thousand_steps_keep_to_their_memory():
    environment = os.environ | {"PYTHONTRACEMALLOC": "0"}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(PROGRAM)], capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 2
    for line in lines:
        faults, resident, traced = map(int, line.split())
        assert faults < 200  # 0.1 a step: a step that gave back what it used would have dozens
        assert resident < 1 << 20  # 500 bytes a step
        assert traced < 20_000  # 100 bytes a step; an array's header alone is more
