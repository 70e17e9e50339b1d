"""Training runs of one arm: a network with one kind of normalization, over a grid of rates and over seeds."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from minidl import Generator, nn, optim
from minidl.data import DataLoader, Dataset
from minidl.train import History, Trainer

from . import networks
from .images import Images

MOMENTUM = 0.9
SEARCH_SEED = 1000  # none of the seeds of the runs that are reported
EVALUATION_BATCH = 250


@dataclass(frozen=True)
class Network:
    """A network, and how it is trained by SGD with momentum: at a constant rate, or one that falls to 0 in a cosine."""

    name: str
    title: str
    build: Callable[[str, str, int], nn.Sequential]
    activation: str
    batch_size: int
    schedule: Literal["constant", "cosine"]
    epochs: int
    search_epochs: int
    evaluations: int  # how often a run is tested on its way


@dataclass
class Run:
    """One training run: its losses, and its test accuracy and loss after some of its steps."""

    seed: int
    history: History
    steps: list[int] = field(default_factory=list)
    test_accuracy: list[float] = field(default_factory=list)
    test_loss: list[float] = field(default_factory=list)

    @property
    def final_loss(self) -> float:
        """The mean training loss over the examples of the last epoch."""
        return self.history.epochs[-1]["loss"]


@dataclass
class Arm:
    """A network with one kind of normalization, the learning rate chosen for it, and its runs."""

    network: Network
    norm: str
    rate: float = 0.0
    search: list[dict[str, float]] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)

    @property
    def label(self) -> str:
        """Its name in progress bars and legends."""
        return f"{self.network.name}, {networks.NORMS[self.norm]}"

    @property
    def seconds(self) -> float:
        """The time its runs took, tests on the way included."""
        return sum(run.history.seconds for run in self.runs)


def trainer_of(
    arm: Arm,
    rate: float,
    seed: int,
    dataset: Dataset,
    epochs: int,
    callbacks: Sequence[Any] = (),
    stop: bool = False,
) -> tuple[Trainer, DataLoader]:
    """A network of this seed, and the batches of this seed in an order that all arms share.

    With `stop`, a loss that is not finite ends the run; without, a run that diverges is shown as it is.
    """
    model = arm.network.build(arm.norm, arm.network.activation, seed)
    loader = DataLoader(dataset, arm.network.batch_size, shuffle=True, rng=Generator(seed, stream=100), prefetch=0)
    optimizer = optim.SGD(model.parameters(), lr=rate, momentum=MOMENTUM)
    schedule = None
    if arm.network.schedule == "cosine":
        schedule = optim.CosineAnnealingLR(optimizer, T_max=epochs * len(loader))
    loss = nn.CrossEntropyLoss()
    options: dict[str, Any] = {"schedule_every": "step", "callbacks": callbacks, "progress": False}
    return Trainer(model, loss, optimizer, schedule, stop_on_non_finite=stop, **options), loader


def choose_rate(arm: Arm, rates: Sequence[float], images: Images, advance: Callable[[], Any]) -> None:
    """Train at each rate on the search part; keep the rate of the highest accuracy on the validation part.

    A tie goes to the lower validation loss. A rate at which the loss is no longer finite counts as no accuracy.
    """
    epochs = arm.network.search_epochs
    validation = DataLoader(images.validation, EVALUATION_BATCH, prefetch=0)
    for rate in rates:
        trainer, loader = trainer_of(arm, rate, SEARCH_SEED, images.search, epochs, [lambda *_: advance()], stop=True)
        try:
            trainer.fit(loader, epochs)
            found = trainer.evaluate(validation)
        except FloatingPointError:
            found = {"accuracy": 0.0, "loss": math.inf}
        arm.search.append({"rate": rate, **{f"validation_{name}": value for name, value in found.items()}})
    best = max(arm.search, key=lambda row: (row["validation_accuracy"], -row["validation_loss"]))
    arm.rate = best["rate"]


def train(arm: Arm, seed: int, images: Images, advance: Callable[[], Any]) -> None:
    """Train once at the arm's rate on all training images, tested on the way at points that are denser early on."""
    epochs, parts = arm.network.epochs, arm.network.evaluations
    test = DataLoader(images.test, EVALUATION_BATCH, prefetch=0)

    def probe(trainer: Trainer, epoch: int, t: int, loss: float) -> None:
        step = len(trainer.history.loss)
        if step in points:
            found = trainer.evaluate(test)
            run.steps.append(step)
            run.test_accuracy.append(found["accuracy"])
            run.test_loss.append(found["loss"])
        advance()

    trainer, loader = trainer_of(arm, arm.rate, seed, images.train, epochs, [probe])
    total = epochs * len(loader)
    points = {max(1, round(total * (k / parts) ** 2)) for k in range(1, parts + 1)}
    run = Run(seed, trainer.history)
    trainer.fit(loader, epochs)
    arm.runs.append(run)


def steps_of(arm: Arm, seeds: int, rates: Sequence[float], images: Images) -> int:
    """How many steps the search and the runs of an arm take."""
    size = arm.network.batch_size
    search = len(rates) * arm.network.search_epochs * -(-len(images.search) // size)
    return search + seeds * arm.network.epochs * -(-len(images.train) // size)
