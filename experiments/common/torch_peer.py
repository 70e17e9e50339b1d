"""PyTorch in a process of its own, which takes turns with this one; see torch_worker.py."""

import importlib.util
import json
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any

SETTLE = 0.02  # seconds; PyTorch's threads spin for half of that after their last work, on cores that others need


def is_installed() -> bool:
    """Whether there is a PyTorch to compare with."""
    return importlib.util.find_spec("torch") is not None


class TorchPeer:
    """A context in which PyTorch's programs can be made and timed."""

    def __init__(self, threads: int):
        command = [sys.executable, "-m", f"{__package__}.torch_worker", str(threads)]
        self._process: Any = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )

    def open(self, index: int) -> dict[str, dict[str, list[float]]]:
        """Make the programs of a primitive; the results of each form in each memory layout."""
        return self._ask(index)

    def time(self, layout: str, form: str, seconds: float) -> float:
        """The median seconds of a run, over a turn."""
        found = self._ask([layout, form, seconds])
        time.sleep(SETTLE)
        return found

    def _ask(self, question: Any) -> Any:
        print(json.dumps(question), file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError("PyTorch's process ended; what it printed above says why")
        return json.loads(answer)

    def __enter__(self) -> "TorchPeer":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()
