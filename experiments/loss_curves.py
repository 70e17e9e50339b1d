"""Train small networks on Fashion-MNIST with and without normalization, and compare their loss curves.

Two networks: an MLP (784-100-100-100-10, sigmoid, batches of 60: the network of figure 1 of Ioffe & Szegedy, 2015)
and a CNN (two stages of convolution, normalization, ReLU and pooling). An arm is a network with one kind of
normalization.
For each arm the learning rate is chosen from one grid by the accuracy on 2,000 images held out of the training set;
then it is trained on the whole training set from several seeds: SGD with momentum 0.9, the MLP at a constant rate, the
CNN at a rate that falls to zero in a cosine. Arms share seeds, initial weights where their shapes agree, and the order
of the examples. The test images are used for testing alone.

Prints a table; writes loss_curves.png and loss_curves.json.
"""

import argparse
import dataclasses
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from minidl.files import write_json

from .common import networks
from .common.arguments import check_folder, count, rate
from .common.compiling import Compilation, announced
from .common.curves import draw, summarise, table
from .common.images import Images, load
from .common.record import versions
from .common.runs import MOMENTUM, SEARCH_SEED, Arm, Network, choose_rate, steps_of, train, trainer_of

SUMMARY = "MLP and CNN on Fashion-MNIST, with and without batch normalization: loss curves and test accuracy"
RATES = (0.01, 0.03, 0.1, 0.3)
QUICK_RATES = (0.03, 0.1)
MLP = Network(
    name="MLP",
    title="MLP 784-100-100-100-10",
    build=networks.mlp,
    activation="sigmoid",
    batch_size=60,
    schedule="constant",
    epochs=15,
    search_epochs=15,
    evaluations=20,
)
CNN = Network(
    name="CNN",
    title="CNN, 2 stages",
    build=networks.cnn,
    activation="relu",
    batch_size=60,
    schedule="cosine",
    epochs=5,
    search_epochs=2,
    evaluations=8,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options."""
    parser.add_argument(
        "--data", default="embedded", metavar="embedded|full|FOLDER",
        help="the 10,000 training images that minidl brings along (default), all 60,000 where they are found, or the "
        "folder that has the four IDX files",
    )  # fmt: skip
    parser.add_argument(
        "--out", type=Path, default=Path("results/loss_curves"), metavar="FOLDER", help="default: %(default)s"
    )
    parser.add_argument("--seeds", type=count, metavar="N", help="how many seeds, from 0 on (default: 5)")
    parser.add_argument(
        "--epochs", type=count, metavar="N", help=f"default: {MLP.epochs} for the MLP, {CNN.epochs} for the CNN"
    )
    parser.add_argument(
        "--norm", nargs="+", choices=networks.NORMS, default=["none", "batch"], help="the arms (default: none batch)"
    )
    parser.add_argument(
        "--activation",
        choices=networks.ACTIVATIONS,
        help="of both networks (default: sigmoid in the MLP, relu in the CNN)",
    )
    parser.add_argument("--rate", type=rate, help="train every arm at this learning rate, without a search")
    parser.add_argument(
        "--quick", action="store_true", help="a rehearsal in seconds: 3 seeds, few images, few epochs, few rates"
    )


@dataclasses.dataclass(frozen=True)
class Plan:
    """What the options come to."""

    networks: tuple[Network, ...]
    norms: tuple[str, ...]
    rates: tuple[float, ...]
    seeds: int
    held_out: int
    limit: int | None  # images of the training set and of the test set that are used

    def describe(self) -> dict[str, Any]:
        """For the record."""
        shown = [{k: v for k, v in vars(network).items() if k != "build"} for network in self.networks]
        return {
            **{key: value for key, value in vars(self).items() if key != "networks"},
            "networks": shown,
            "optimizer": f"SGD, momentum {MOMENTUM}",
            "search_seed": SEARCH_SEED,
        }


def plan_of(options: argparse.Namespace) -> Plan:
    """Defaults, `--quick` and what the user asked for, the later over the earlier."""
    chosen = [MLP, CNN]
    if options.quick:
        chosen = [replace(MLP, epochs=10, search_epochs=10, evaluations=10), replace(CNN, epochs=2, evaluations=6)]
    if options.epochs:
        chosen = [
            replace(network, epochs=options.epochs, search_epochs=min(network.search_epochs, options.epochs))
            for network in chosen
        ]
    if options.activation:
        chosen = [replace(network, activation=options.activation) for network in chosen]
    rates = QUICK_RATES if options.quick else RATES
    return Plan(
        networks=tuple(chosen),
        norms=tuple(dict.fromkeys(options.norm)),
        rates=(options.rate,) if options.rate else rates,
        seeds=options.seeds or (3 if options.quick else 5),
        held_out=500 if options.quick else 2000,
        limit=2000 if options.quick else None,
    )


def run(options: argparse.Namespace) -> None:
    """Train all arms, print the table, write the figure and the record.

    Raises:
        UsageError: the data are missing, or the results cannot be written.
    """
    start, plan = time.perf_counter(), plan_of(options)
    images = load(options.data, plan.held_out, plan.limit)
    check_folder(options.out)
    print(introduction(plan, images, options.quick))
    arms = [Arm(network, norm) for network in plan.networks for norm in plan.norms]
    with announced() as compilation:
        warm_up(arms, images, compilation)
        for arm in arms:
            work(arm, plan, images)
    summaries = summarise(arms)
    print("\n" + table(arms, summaries))
    seconds = {"seconds": time.perf_counter() - start, "compilation_seconds": compilation.seconds}
    write_json(options.out / "loss_curves.json", record(plan, images, arms, summaries) | seconds)
    title = f"Fashion-MNIST, {len(images.train):,} training images: networks with and without normalization"
    draw(arms, title, options.out / "loss_curves.png")
    print(
        f"\nWrote {options.out / 'loss_curves.png'} and loss_curves.json beside it, after {seconds['seconds']:.0f} s."
    )


def introduction(plan: Plan, images: Images, quick: bool) -> str:
    """What is about to happen."""
    data = (
        f"Fashion-MNIST ({images.source}): {len(images.train):,} training and {len(images.test):,} test images; "
        f"{plan.seeds} seed{'s' * (plan.seeds > 1)} an arm."
    )
    if len(plan.rates) > 1:
        data += (
            f"\nLearning rates are chosen from {', '.join(map(str, plan.rates))} by {len(images.validation):,} of the "
            "training images, held out for it; the runs then train on all of them."
        )
    if quick:
        data += "\n--quick is a rehearsal: too few images, epochs and seeds for its numbers to mean much."
    return data


def warm_up(arms: list[Arm], images: Images, compilation: Compilation) -> None:
    """Run every kernel once, so that compiling them is not counted as training."""
    batch = images.train[range(2)]
    for arm in arms:
        trainer, _ = trainer_of(arm, 0.01, 0, images.train, 1)
        trainer.fit([batch], 1, validation=[batch])
    compilation.report()


def work(arm: Arm, plan: Plan, images: Images) -> None:
    """Choose the arm's rate and train it from every seed, under one progress bar."""
    rates, search = plan.rates, len(plan.rates) > 1
    total = steps_of(arm, plan.seeds, rates if search else (), images)
    with tqdm(total=total, unit="step", desc=f"{arm.label:<24}", dynamic_ncols=True) as bar:
        if search:
            bar.set_postfix_str("choosing the rate")
            choose_rate(arm, rates, images, bar.update)
            bar.update(total - plan.seeds * steps_of(arm, 1, (), images) - bar.n)  # a rate that diverged stopped early
        else:
            arm.rate = rates[0]
        for seed in range(plan.seeds):
            bar.set_postfix_str(f"rate {arm.rate:g}, seed {seed}")
            train(arm, seed, images, bar.update)


def record(plan: Plan, images: Images, arms: list[Arm], summaries: list[dict[str, Any]]) -> dict[str, Any]:
    """Every number, and how it came about."""
    results = []
    for arm, summary in zip(arms, summaries, strict=True):
        runs = [{**vars(run), "history": dataclasses.asdict(run.history)} for run in arm.runs]
        results.append(
            {
                "network": arm.network.name,
                "norm": arm.norm,
                "rate": arm.rate,
                "search": arm.search,
                "summary": summary,
                "runs": runs,
            }
        )
    return {
        "experiment": "loss_curves",
        "configuration": plan.describe(),
        "data": images.describe(),
        "versions": versions(),
        "arms": results,
    }
