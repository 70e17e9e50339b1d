"""DataLoader: a dataset as batches of tensors, epoch after epoch."""

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from ..checks import check_flag, check_whole
from ..kernels.layout import dense
from ..random import Generator, as_generator
from ..tensor import Tensor
from .dataset import Batch, Dataset, check_dataset
from .prefetch import prefetch
from .transforms import apply, draws_of


class DataLoader:
    """Iterate over a dataset in batches of (inputs, targets), two tensors; each `iter` is the next epoch.

    Every example comes exactly once an epoch; the last batch may be smaller, or is left out with `drop_last`.
    `batch_size=None` is one batch of everything. The order of an epoch, and the random numbers of `transform`, are a
    function of (seed, epoch), where the seed is drawn from `rng` when the loader is made: a run that is resumed with
    `load_state_dict` sees the batches that it would have seen. `transform` (a `BatchTransform` or any function of a
    batch of inputs) is applied to the inputs as the dataset gives them; random ones belong here, in the training
    loader. `prefetch` batches are prepared ahead in a thread, where NumPy alone may be used; 0 means no thread. The
    batches are the same either way.

    Shape:
        a batch of B: inputs (B, ...), targets (B, ...), as the dataset gives them.

    Raises:
        TypeError: an argument of a wrong type; while iterating, a dataset or transform that gives no batch.
        ValueError: sizes out of range, or no batch would be left.
    """

    def __init__(
        self,
        dataset: Dataset,
        batch_size: int | None = 1,
        shuffle: bool = False,
        *,
        drop_last: bool = False,
        rng: Generator | int | None = None,
        prefetch: int = 2,
        transform: Callable[..., np.ndarray] | None = None,
    ):
        check_dataset("DataLoader", dataset)
        if transform is not None and not callable(transform):
            raise TypeError(f"DataLoader: expected a function of a batch of inputs as transform, got {transform!r}")
        self.dataset, self.transform = dataset, transform
        self.batch_size = len(dataset) if batch_size is None else check_whole("DataLoader", "batch_size", batch_size, 1)
        self.shuffle = check_flag("DataLoader", "shuffle", shuffle)
        self.drop_last = check_flag("DataLoader", "drop_last", drop_last)
        self.prefetch = check_whole("DataLoader", "prefetch", prefetch, 0)
        self.epoch = 0  # the epoch that the next `iter` begins
        self.seed = _draw_seed(as_generator(rng)) if shuffle or draws_of(transform) else 0
        if len(self) == 0:
            raise ValueError(
                f"DataLoader: expected batch_size of at most the {len(dataset)} examples with drop_last=True, got "
                f"{batch_size}: no batch would be left"
            )

    def __len__(self) -> int:
        """The number of batches in an epoch."""
        count = len(self.dataset) / self.batch_size
        return math.floor(count) if self.drop_last else math.ceil(count)

    def begin_epoch(self) -> tuple[np.ndarray, np.ndarray]:
        """The next epoch's order of the examples, and the random numbers of its transform, one row an example."""
        generator = Generator(self.seed, stream=self.epoch)
        self.epoch += 1
        count, draws = len(self.dataset), draws_of(self.transform)
        order = generator.permutation(count) if self.shuffle else np.arange(count)
        return order, generator.uniform((count, draws)) if draws else np.empty((count, 0), np.float32)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        order, noise = self.begin_epoch()  # drawn here and not in the thread, which must launch no kernels
        batches = _batches(self.dataset, self.transform, order, noise, self.batch_size, len(self))
        return _tensors(prefetch(batches, self.prefetch) if self.prefetch else batches)

    def state_dict(self) -> dict[str, int]:
        """The seed and the epoch that comes next: what is needed to resume."""
        return {"seed": self.seed, "epoch": self.epoch}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on from a `state_dict()`.

        Raises:
            ValueError: it is not one.
        """
        whole = all(isinstance(value, int | np.integer) and value >= 0 for value in state.values())
        if set(state) != {"seed", "epoch"} or not whole:
            raise ValueError(f"DataLoader.load_state_dict: expected whole numbers seed and epoch, got {state}")
        self.seed, self.epoch = int(state["seed"]), int(state["epoch"])


def _batches(
    dataset: Dataset, transform: Any, order: np.ndarray, noise: np.ndarray, size: int, count: int
) -> Iterator[Batch]:
    """The batches of an epoch, as arrays. Runs in the thread, so NumPy only."""
    for start in range(0, count * size, size):
        indices = order[start : start + size]
        inputs, targets = _pair(dataset[indices])
        if transform is not None:
            inputs = apply(transform, inputs, noise[start : start + size])
        for role, array, dtypes in (
            ("inputs", inputs, (np.float32, np.float64)),
            ("targets", targets, (np.int64, np.float32, np.float64)),
        ):
            if not isinstance(array, np.ndarray) or array.dtype not in dtypes:
                names = " or ".join(np.dtype(dtype).name for dtype in dtypes)
                raise TypeError(
                    f"DataLoader: expected {role} from the dataset and transform that are an array of {names}, got "
                    f"{getattr(array, 'dtype', type(array).__name__)}"
                )
            if array.ndim == 0 or len(array) != len(indices):
                raise ValueError(
                    f"DataLoader: expected {len(indices)} {role} from the dataset and transform, got an array of shape "
                    f"{array.shape}"
                )
        yield dense(inputs), dense(targets)


def _pair(batch: Any) -> Batch:
    if not isinstance(batch, tuple | list) or len(batch) != 2:
        raise TypeError(
            "DataLoader: expected (inputs, targets) from the dataset for an array of positions, got "
            f"{type(batch).__name__}" + (f" of {len(batch)}" if isinstance(batch, tuple | list) else "")
        )
    return batch[0], batch[1]


def _tensors(batches: Iterable[Batch]) -> Iterator[tuple[Tensor, Tensor]]:
    for inputs, targets in batches:
        yield Tensor(inputs), Tensor(targets)


def _draw_seed(generator: Generator) -> int:
    """63 random bits, so that loaders made one after the other from one generator differ."""
    high, low = (int(word) for word in generator.bits(2))
    return (high << 31) ^ low
