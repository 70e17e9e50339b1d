"""Random numbers that are a function of (seed, stream, position): the same on any machine and any number of threads.

The state of a generator is three integers, so a checkpoint holds it and a run resumes exactly. They lie in one array,
which a kernel reads and moves on, so that a captured step draws anew each time. NumPy's global generator is never
touched, and NumPy's distributions are not used, whose values may change between its versions.
"""

import math

import numpy as np

from .checks import check_sizes, check_whole
from .kernels import recording
from .kernels.launch import launch
from .kernels.layout import empty, flat
from .kernels.random import random_bits, reserve_blocks

_MASK = (1 << 63) - 1  # seeds and positions reach the kernels as signed 64-bit integers


class Generator:
    """A stream of random numbers: `seed` and `stream` name it, `position` counts the blocks of four words drawn.

    Source: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (2011).

    Raises:
        TypeError: the seed is not an integer.
        ValueError: the seed or the stream is negative.
    """

    def __init__(self, seed: int = 0, stream: int = 0):
        self.words = np.zeros(3, np.int64)  # the state; never another array
        self.state = (seed, stream, 0)

    @property
    def state(self) -> tuple[int, int, int]:
        """(seed, stream, position), to be stored and set again."""
        return self.seed, self.stream, self.position

    @property
    def seed(self) -> int:
        """What the numbers start from."""
        return int(self.words[0])

    @property
    def stream(self) -> int:
        """Which of the seed's streams this is."""
        return int(self.words[1])

    @property
    def position(self) -> int:
        """How many blocks of four words were drawn."""
        return int(self.words[2])

    @state.setter
    def state(self, state: tuple[int, int, int]) -> None:
        if len(state) != 3:
            raise ValueError(f"Generator: expected (seed, stream, position) as state, got {state}")
        for name, value in zip(("seed", "stream", "position"), state, strict=True):
            if check_whole("Generator", name, value, 0) > _MASK:
                raise ValueError(f"Generator: expected {name} below 2**63, got {value}")
        self.words[:] = state

    def __repr__(self) -> str:
        return f"Generator(seed={self.seed}, stream={self.stream}, position={self.position})"

    def reserve(self, blocks: int) -> np.ndarray:
        """Set aside `blocks` blocks of four words for a kernel; answer (seed, stream, first position), int64."""
        place = np.empty(3, np.int64)
        launch(reserve_blocks, 1, self.words, place, blocks)
        return place

    def split(self, stream: int) -> "Generator":
        """A generator with this one's seed and a stream of its own, at its beginning."""
        return Generator(self.seed, stream)

    def bits(self, count: int) -> np.ndarray:
        """`count` random 32-bit words."""
        blocks = -(-check_whole("Generator", "count", count, 0) // 4)
        active = recording.active
        if active is not None:
            active.refuse(
                "the step draws random numbers for NumPy (Generator), as a replay would not; draw "
                "before the step and pass the numbers in, or draw in a kernel, as Dropout does"
            )
        out = np.empty((blocks, 4), np.uint32)
        launch(random_bits, blocks, out, self.reserve(blocks), work=40 * blocks)
        return out.reshape(-1)[:count]

    def uniform(
        self, shape: int | tuple[int, ...] = (), low: float = 0.0, high: float = 1.0, dtype: type = np.float32
    ) -> np.ndarray:
        """Uniform numbers in [low, high)."""
        out = self._allocate(shape, dtype)
        if out.dtype == np.float32:
            unit = (self.bits(out.size) >> np.uint32(8)).astype(np.float64) * 2.0**-24
        else:
            unit = self._doubles(out.size)
        flat(out)[...] = low + (high - low) * unit
        return out

    def normal(
        self, shape: int | tuple[int, ...] = (), mean: float = 0.0, std: float = 1.0, dtype: type = np.float32
    ) -> np.ndarray:
        """Normal numbers, by the transform of Box and Muller (1958)."""
        out = self._allocate(shape, dtype)
        half = -(-out.size // 2)
        radius = np.sqrt(-2 * np.log1p(-self._doubles(half)))
        angle = 2 * math.pi * self._doubles(half)
        pairs = np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])
        flat(out)[...] = mean + std * pairs[: out.size]
        return out

    def permutation(self, n: int) -> np.ndarray:
        """The numbers 0 to n - 1 in a random order, int64."""
        keys = self.bits(2 * check_whole("Generator", "n", n, 0)).astype(np.uint64)
        return np.argsort(keys[:n] << np.uint64(32) | keys[n:], kind="stable")

    def _doubles(self, count: int) -> np.ndarray:
        words = self.bits(2 * count).astype(np.uint64)
        return ((words[:count] << np.uint64(32) | words[count:]) >> np.uint64(11)) * 2.0**-53

    @staticmethod
    def _allocate(shape: int | tuple[int, ...], dtype: type) -> np.ndarray:
        shape = check_sizes("Generator", shape if isinstance(shape, tuple | list) else (shape,))
        kind = np.dtype(dtype)
        if kind not in (np.float32, np.float64):
            raise TypeError(f"Generator: expected dtype float32 or float64, got {kind}")
        return empty(shape, kind)


default_generator = Generator()


def manual_seed(seed: int) -> Generator:
    """Start the default generator, which everything uses that is not given `rng=`, anew from `seed`."""
    default_generator.state = (seed, 0, 0)
    return default_generator


def as_generator(rng: Generator | int | None) -> Generator:
    """The generator meant by an argument `rng=`: itself, one started from a seed, or the default one.

    Raises:
        TypeError: `rng` is none of these.
    """
    if rng is None:
        return default_generator
    return rng if isinstance(rng, Generator) else Generator(rng)
