"""How long it takes to import minidl, against importing Numba, and to train a first step in a new process.

Each figure is the median over new processes, which take turns, so that a drift of the machine meets all alike. The
kernels of the first step are compiled beforehand and read from the cache on disk, as they are from the second run on.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time

from .common.arguments import count

SUMMARY = "seconds to import minidl, against Numba, and to train the first step in a new process"

IMPORT = "import time; start = time.perf_counter(); import {module}; print(time.perf_counter() - start)"
FIRST_STEP = """
import numpy as np
from minidl import nn, optim, tensor
rng = np.random.default_rng(0)
model = nn.Sequential(
    nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(3136, 10)
)
optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
images, labels = tensor(rng.standard_normal((60, 1, 28, 28), np.float32)), tensor(np.arange(60) % 10)
loss = nn.CrossEntropyLoss()(model(images), labels)
loss.backward()
optimizer.step()
print(loss.item())
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options."""
    parser.add_argument("--rounds", type=count, default=9, help="new processes for each figure (default: %(default)s)")


def run(arguments: argparse.Namespace) -> None:
    """Measure and print."""
    imports: dict[str, list[float]] = {"numba": [], "minidl": []}
    first_steps = []
    _python(FIRST_STEP)  # compiles what is not in the cache yet
    for _ in range(arguments.rounds):
        for module, seconds in imports.items():
            seconds.append(float(_python(IMPORT.format(module=module))))
        start = time.perf_counter()
        _python(FIRST_STEP)
        first_steps.append(time.perf_counter() - start)
    ratio = statistics.median(b / a for a, b in zip(imports["numba"], imports["minidl"], strict=True))
    print(f"import numba                      {statistics.median(imports['numba']):6.2f} s")
    print(f"import minidl                     {statistics.median(imports['minidl']):6.2f} s, {ratio:.2f} times as long")
    print(f"process to end of first CNN step  {statistics.median(first_steps):6.2f} s")


def _python(program: str) -> str:
    """What a new Python prints that runs the program."""
    # Numba's modules were compiled to bytecode when it was installed: let those of minidl be kept as well
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-c", program]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment).stdout
