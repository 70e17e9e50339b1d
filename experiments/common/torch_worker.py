"""PyTorch's side of `speed`, in a process of its own: its threads, its environment, and turns when it is told.

Reads a line of JSON, answers one: an index into PRIMITIVES makes that primitive's programs and answers the results
of each; [layout, form, seconds] answers the median seconds of a run.
"""

import json
import sys
from typing import Any

import numpy as np

from .primitives import PRIMITIVES
from .programs import Program, programs_of, time_of

LAYOUTS = ("nchw", "nhwc")


class Torch:
    """The library, in one memory order of images."""

    def __init__(self, torch: Any, layout: str):
        self.nn, self.optim, self._torch = torch.nn, torch.optim, torch
        self._format = torch.channels_last if layout == "nhwc" else torch.contiguous_format

    def tensor(self, array: np.ndarray) -> Any:
        """The numbers, images in the order asked for."""
        tensor = self._torch.from_numpy(array)
        return tensor.contiguous(memory_format=self._format) if tensor.ndim == 4 else tensor

    def place(self, layer: Any) -> None:
        """The same for a layer's weights."""
        layer.to(memory_format=self._format)


def main(threads: int) -> None:
    """Answer until the input ends."""
    import torch  # an optional dependency

    torch.set_num_threads(threads)
    programs: dict[str, dict[str, Program]] = {}
    for line in sys.stdin:
        asked = json.loads(line)
        if isinstance(asked, int):
            primitive = PRIMITIVES[asked]
            layouts = LAYOUTS if len(primitive.shape) == 4 else LAYOUTS[:1]
            programs = {layout: programs_of(Torch(torch, layout), primitive) for layout in layouts}
            answer: Any = {
                layout: {form: program.results() for form, program in forms.items()}
                for layout, forms in programs.items()
            }
        else:
            layout, form, seconds = asked
            answer = time_of(programs[layout][form], seconds)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]))
