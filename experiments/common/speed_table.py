"""What `speed` measured, as text: a table, and what it comes to against what minidl aims at."""

import math
import statistics
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from .limits import Limits
from .primitives import BOTH, Primitive, Work

HEADERS = "primitive", "size", "form", "us", "kernel us", "GFLOP/s", "GB/s", "% of limit", "bound by"
TORCH_HEADERS = "torch us", "nhwc us", "ratio"
NOTES = """\
us: a call of the layer, from Python. kernel us: the same kernels replayed without Python between them, as a captured
step runs them; of these are the figures that follow. GFLOP/s, GB/s: operations and bytes that the arithmetic cannot do
without, a second. Operations are counted as the direct sum's, of which Winograd's convolutions do 4/9. % of limit: the
least time that the peak of multiply-adds, measured in turn with each, and the bandwidth at this working set allow, of
the time taken, the median over rounds."""
TORCH_NOTES = """\
torch us, nhwc us: PyTorch's time, with images in its default order and in channels-last. ratio: minidl's us against the
better of them, the median over rounds; below 1 minidl is faster."""
WIDE = "products and convolutions of at least 8 MFLOP, ungrouped, 16 channels or more: share of the peak"
WIDE_FLOPS = 8e6


@dataclass
class Measured:
    """One form of a primitive, in each round: seconds of minidl's call, of its kernels alone and of PyTorch in each
    memory layout, and the operations a second that the machine could do."""

    primitive: Primitive
    form: str
    rounds: list[float] = field(default_factory=list)
    kernels: list[float] = field(default_factory=list)
    peaks: list[float] = field(default_factory=list)
    torch: dict[str, list[float]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """For messages."""
        return f"{self.primitive.layer} {self.primitive.label}" + ("" if self.form == BOTH else f", {self.form}")

    @property
    def work(self) -> Work:
        """What one run takes."""
        return self.primitive.work[self.form]

    @property
    def seconds(self) -> float:
        """minidl's, the median over rounds."""
        return statistics.median(self.rounds)

    @property
    def kernel_seconds(self) -> float:
        """Those of minidl's kernels alone."""
        return statistics.median(self.kernels)

    @property
    def share_of_peak(self) -> float:
        """The kernels' operations a second, of those that the machine could do in the same round."""
        return self._median_share(lambda peak: self.work.flops / peak)

    def share_of_limit(self, limits: Limits) -> float:
        """The least time that the machine allows, of the kernels'."""
        return self._median_share(lambda peak: limits.seconds(self.work, peak))

    def _median_share(self, least: Callable[[float], float]) -> float:
        return statistics.median(least(peak) / seconds for seconds, peak in zip(self.kernels, self.peaks, strict=True))

    @property
    def torch_seconds(self) -> dict[str, float]:
        """PyTorch's in each layout."""
        return {layout: statistics.median(times) for layout, times in self.torch.items()}

    @property
    def ratio(self) -> float:
        """minidl's time against that of PyTorch's better layout, round by round; NaN without PyTorch."""
        if not self.torch:
            return math.nan
        seconds = self.torch_seconds
        best = self.torch[min(seconds, key=seconds.__getitem__)]
        return statistics.median(a / b for a, b in zip(self.rounds, best, strict=True))


class Aim(NamedTuple):
    """A bound on the worst of some measurements and one on their geometric mean."""

    text: str
    shares: bool  # of the peak, where more is better; else ratios to PyTorch, where less is
    worst: float
    mean: float
    applies: Callable[[Measured], bool]


def _is_wide(row: Measured) -> bool:
    return row.primitive.wide and row.form != BOTH and row.work.flops >= WIDE_FLOPS


def _family(*names: str) -> Callable[[Measured], bool]:
    return lambda row: row.primitive.family in names and row.form == BOTH


AIMS = (
    Aim(WIDE, True, 0.75, 0.8, _is_wide),
    Aim("products, forward+backward, against PyTorch", False, 0.9, 0.65, _family("products")),
    Aim("convolutions, forward+backward, against PyTorch", False, 1.0, 0.75, _family("convolutions")),
    Aim("norms, forward+backward, against PyTorch", False, 0.6, 0.4, _family("norms")),
    Aim("activations, forward+backward, against PyTorch", False, 0.6, 0.4, _family("activations")),
)


class Found(NamedTuple):
    """What the measurements that an aim is about come to."""

    aim: Aim
    worst: float
    worst_name: str
    mean: float
    beyond: list[str]

    @property
    def reached(self) -> bool:
        """Whether both bounds hold."""
        good = self.mean >= self.aim.mean if self.aim.shares else self.mean <= self.aim.mean
        return good and not self.beyond


def judge(rows: Iterable[Measured]) -> list[Found]:
    """Each aim that there are measurements for."""
    rows, found = list(rows), []
    for aim in AIMS:
        values = {row.name: row.share_of_peak if aim.shares else row.ratio for row in rows if aim.applies(row)}
        values = {name: value for name, value in values.items() if math.isfinite(value)}
        if values:
            worst = (min if aim.shares else max)(values, key=values.__getitem__)
            beyond = [n for n, value in values.items() if (value < aim.worst if aim.shares else value > aim.worst)]
            found.append(Found(aim, values[worst], worst, statistics.geometric_mean(values.values()), beyond))
    return found


def summary(found: Iterable[Found]) -> str:
    """Two lines an aim."""
    lines = []
    for aim, worst, name, mean, beyond in found:
        word, unit = ("at least", ".0%") if aim.shares else ("at most", ".2f")
        lines += [
            f"{aim.text}:",
            f"  geometric mean {mean:{unit}} (aim: {word} {aim.mean:{unit}}), worst {worst:{unit}} at {name} "
            f"(aim: {word} {aim.worst:{unit}}" + (f"; {len(beyond)} beyond it)" if beyond else ")"),
        ]
    return "\n".join(lines)


def limits_text(limits: Limits) -> str:
    """The limits, a line each."""
    lines = [
        f"multiply-adds in registers   {limits.one_thread / 1e9:7.0f} GFLOP/s on one thread, "
        f"{limits.peak / 1e9:.0f} on {limits.threads}"
    ]
    for level in limits.levels:
        size = f"{level.size / 2**20:g} MiB" if level.size >= 2**20 else f"{level.size / 2**10:g} KiB"
        name = {limits.levels[0]: ", level 2 cache", limits.levels[-1]: ", DRAM"}.get(level, "")
        lines.append(f"memory, {size + name:<21}{level.read / 1e9:7.0f} GB/s read, {level.copy / 1e9:.0f} copied")
    return "\n".join(lines)


def peaks_text(peaks: Iterable[float]) -> str:
    """The peaks measured in turn with the primitives, in a line."""
    shown = [peak / 1e9 for peak in peaks]
    return (
        f"multiply-adds in registers, in turn with the primitives: {statistics.median(shown):.0f} GFLOP/s "
        f"(from {min(shown):.0f} to {max(shown):.0f})"
    )


def table(rows: Iterable[Measured], limits: Limits) -> str:
    """The measurements, a line each."""
    rows = list(rows)
    has_torch = any(row.torch for row in rows)
    cells = [HEADERS + (TORCH_HEADERS if has_torch else ()), *(_cells(row, limits, has_torch) for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(cells[0]))]
    lines = [
        "  ".join(c.ljust(w) if i < 3 else c.rjust(w) for i, (c, w) in enumerate(zip(line, widths, strict=True)))
        for line in cells
    ]
    notes = NOTES + ("\n" + TORCH_NOTES if has_torch else "")
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:], "", notes])


def _cells(row: Measured, limits: Limits, has_torch: bool) -> tuple[str, ...]:
    work, seconds, share = row.work, row.kernel_seconds, row.share_of_limit(limits)
    shown = (
        *(row.primitive.layer, row.primitive.label, row.form, _microseconds(row.seconds), _microseconds(seconds)),
        *(f"{work.flops / seconds / 1e9:.1f}", f"{(work.reads + work.writes) / seconds / 1e9:.1f}"),
        *(f"{100 * share:.0f}", "memory" if share > row.share_of_peak else "arithmetic"),
    )
    if not has_torch:
        return shown
    times = list(row.torch_seconds.values())
    both = *(_microseconds(time) for time in times), *["-"] * (2 - len(times))
    return (*shown, *both, f"{row.ratio:.2f}" if times else "-")


def _microseconds(seconds: float) -> str:
    return f"{seconds * 1e6:.1f}"
