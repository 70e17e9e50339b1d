"""How fast minidl's primitives are: against the machine's limits, and against PyTorch where it is installed.

First the limits: multiply-adds a second in registers, on one thread and on all, and the bandwidth of memory for working
sets from the second-level cache to DRAM. Then every primitive, forward and backward alone and together, by the public
layers; minidl and PyTorch (images in both of its memory orders) take turns, in processes of their own, and what they
computed is compared. What is held against the limits are the kernels alone: those that the same call launches, recorded
and replayed as in a captured step, in turn with the multiply-adds. Last come whole training steps: kernel by kernel and
captured, with the memory of each. Ratios and shares are what to quote: a single time means little on a machine that
does other things as well.

Prints a table and what it comes to; writes speed.png, a roofline figure, and speed.json.
"""

import argparse
import time
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from tqdm.auto import tqdm

import minidl
from minidl.files import write_json
from minidl.kernels.launch import config

from .common import speed_table as report
from .common.arguments import UsageError, check_folder, count, duration
from .common.compiling import announced
from .common.kernels import Kernels
from .common.limits import Limits, measure, peak_in_turn
from .common.primitives import FAMILIES, PRIMITIVES
from .common.programs import programs_of, time_of
from .common.record import versions
from .common.roofline import draw
from .common.speed_table import Measured
from .common.steps import measure_steps
from .common.steps import text as steps_text
from .common.torch_peer import TorchPeer, is_installed

SUMMARY = "every primitive against the machine's limits and PyTorch: a table, a roofline figure"
STEPS = "steps"
CHOICES = f"of {', '.join(FAMILIES)} and {STEPS}, which are whole training steps"
AGREEMENT = 1e-3  # of mean absolute values, which the order of sums changes in the last places
QUICK = ("60x100x100", "64x1x28x28 to 16, 3x3", "60x100", "64x128", "128x10", "100x784")  # a size of each family


class Minidl:
    """The library, as the programs ask for it."""

    nn, optim = minidl.nn, minidl.optim

    def tensor(self, array: np.ndarray) -> minidl.Tensor:
        """The numbers, in minidl's own memory order."""
        return minidl.tensor(array)

    def place(self, layer: Any) -> None:
        """Nothing: a layer's weights are where they should be."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options."""
    parser.add_argument("--only", nargs="+", choices=(*FAMILIES, STEPS), metavar="FAMILY", help=CHOICES)
    parser.add_argument("--rounds", type=count, help="turns of each (default: 7)")
    parser.add_argument("--seconds", type=duration, help="about how long a turn lasts (default: 0.05)")
    parser.add_argument("--threads", type=count, default=config.NUMBA_NUM_THREADS, help="default: %(default)s")
    parser.add_argument("--out", type=Path, default=Path("results/speed"), help="folder (default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help="a rehearsal: one size of each, short turns")


def run(options: argparse.Namespace) -> None:
    """Measure, print, write the figure and the record.

    Raises:
        UsageError: kernels are not compiled, there are not so many threads, or the results cannot be written.
    """
    if config.DISABLE_JIT:
        raise UsageError("expected compiled kernels, got NUMBA_DISABLE_JIT=1")
    try:
        minidl.set_num_threads(options.threads)
    except ValueError as error:
        raise UsageError(f"--threads: {error}") from error
    check_folder(options.out)
    start = time.perf_counter()
    rounds, seconds = (
        options.rounds or (2 if options.quick else 7),
        options.seconds or (0.002 if options.quick else 0.05),
    )
    with announced() as compilation, ExitStack() as stack:
        limits = measure(options.threads, min(rounds, 5), seconds / 2)
        print(report.limits_text(limits) + "\n")
        peer = stack.enter_context(TorchPeer(options.threads)) if is_installed() else None
        rows, apart = measure_all(options, peer, rounds, seconds)
        steps = measure_steps(rounds, seconds) if STEPS in (options.only or [STEPS]) else []
        compilation.report()
    found = report.judge(rows)
    if rows:
        peaks = [peak for row in rows for peak in row.peaks]
        print("\n".join([report.table(rows, limits), "", report.peaks_text(peaks), report.summary(found), ""]))
        limits = limits._replace(peak=median(peaks))  # of the whole run, so that the figure's points are under its roof
    print("\n".join([*([steps_text(steps)] if steps else []), *apart]))
    settings = {"rounds": rounds, "seconds_a_turn": seconds, "threads": options.threads, "complaints": apart}
    taken = {"configuration": settings, "steps": [step._asdict() for step in steps]}
    written = write(options.out, rows, limits, record(rows, limits, found) | taken)
    print(f"\nWrote {' and '.join(map(str, written))} after {time.perf_counter() - start:.0f} s.")


def write(folder: Path, rows: list[Measured], limits: Limits, taken: dict[str, Any]) -> list[Path]:
    """Write the record and, where there are primitives, the figure; answer their paths."""
    write_json(folder / "speed.json", taken)
    if not rows:
        return [folder / "speed.json"]
    draw(rows, limits, folder / "speed.png")
    return [folder / "speed.png", folder / "speed.json"]


def measure_all(
    options: argparse.Namespace, peer: TorchPeer | None, rounds: int, seconds: float
) -> tuple[list[Measured], list[str]]:
    """All measurements, and complaints where the libraries' results differ."""
    rows, apart = [], []
    chosen = [
        (index, primitive)
        for index, primitive in enumerate(PRIMITIVES)
        if primitive.family in (options.only or FAMILIES) and (primitive.label in QUICK or not options.quick)
    ]
    for index, primitive in tqdm(chosen, unit="primitive", dynamic_ncols=True, leave=False):
        ours = programs_of(Minidl(), primitive)
        theirs = peer.open(index) if peer else {}
        for form, program in ours.items():
            row = Measured(primitive, form, torch={layout: [] for layout in theirs})
            rows.append(row)
            results, kernels = program.results(), Kernels(program)
            if not kernels.computes:
                apart.append(f"{row.name}: replayed kernels' results are not those of the call")
            apart += [
                f"{row.name}: minidl's results are not PyTorch's ({layout})"
                for layout, found in theirs.items()
                if not np.allclose(results, found[form], rtol=AGREEMENT)
            ]
            for _ in range(rounds):
                row.rounds.append(time_of(program, seconds))
                row.peaks.append(peak_in_turn(seconds / 4))
                row.kernels.append(kernels.seconds(seconds / 2))
                for layout in theirs:
                    row.torch[layout].append(peer.time(layout, form, seconds))  # pyright: ignore[reportOptionalMemberAccess]
    return rows, apart


def record(rows: list[Measured], limits: Limits, found: list[report.Found]) -> dict[str, Any]:
    """Every number."""
    return {
        "experiment": "speed",
        "versions": versions(),
        "limits": {**limits._asdict(), "levels": [level._asdict() for level in limits.levels]},
        "measured": [
            {
                "family": row.primitive.family,
                "primitive": row.primitive.layer,
                "label": row.primitive.label,
                "form": row.form,
                **row.work._asdict(),
                "seconds": row.seconds,
                "kernel_seconds": row.kernel_seconds,
                "share_of_limit": row.share_of_limit(limits),
                "share_of_peak": row.share_of_peak,
                "torch_seconds": row.torch_seconds,
                "ratio_to_torch": row.ratio,
                "rounds": row.rounds,
                "kernel_rounds": row.kernels,
                "peaks": row.peaks,
                "torch_rounds": row.torch,
            }
            for row in rows
        ],
        "aims": [
            {
                "aim": f.aim.text,
                "worst": f.worst,
                "worst_aim": f.aim.worst,
                "worst_at": f.worst_name,
                "geometric_mean": f.mean,
                "geometric_mean_aim": f.aim.mean,
                "beyond": f.beyond,
                "reached": f.reached,
            }
            for f in found
        ],
    }
