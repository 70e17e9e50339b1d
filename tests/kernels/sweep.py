"""Random shapes for every kernel, by the ops that launch them, against float64 (for float64 itself, long double).

A *family* is a strategy for a plain dict of sizes and options, and a check that draws numbers, runs the op both ways
and compares: see sweep_products.py, sweep_rows.py, sweep_elements.py and sweep_pools.py.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from minidl import Tensor, tensor
from minidl.kernels import launch as launching
from tests.kernels import guard

FAMILIES: dict[str, tuple[st.SearchStrategy, Callable[..., None]]] = {}
DRAWN = 192  # rows and columns of a product that NumPy's error is measured by
SHARED = launching.SHARE_FROM, launching.CHUNK


def family(**sizes: st.SearchStrategy) -> Callable:
    """Make a function `check(rng, **sizes)` a family of the sweep."""

    def register(check: Callable[..., None]) -> Callable[..., None]:
        drawn = st.fixed_dictionaries({"seed": st.integers(0, 1 << 30), "dtype": DTYPES, **sizes})
        FAMILIES[check.__name__] = drawn, check
        return check

    return register


def extents(most: int) -> st.SearchStrategy[int]:
    """Small numbers, numbers about the widths of registers and tiles, and any up to `most`."""
    near = sorted({n + d for n in (4, 8, 16, 32, 48, 64, 96, 128, 256) for d in (-1, 0, 1) if n + d <= most})
    return st.integers(1, min(most, 9)) | st.sampled_from(near) | st.integers(1, most)


SHAPES = st.lists(extents(40), min_size=1, max_size=3).map(tuple)
DTYPES = st.sampled_from([np.float32, np.float32, np.float64])


def sweep(name: str, count: int, guarded: bool = False) -> int:
    """Check a family on so many random examples; how many different ones there were.

    Every other example shares even the smallest launch among the threads, in chunks of one item; of those in guarded
    memory every other pair begins, rather than ends, at the unreadable page.
    """
    strategy, check = FAMILIES[name]
    seen: set[str] = set()

    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate] if guarded else [Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def run(example: dict[str, Any]) -> None:
        launching.SHARE_FROM, launching.CHUNK = (0, 1) if len(seen) % 2 else SHARED
        if guarded:
            guard.guard_start(len(seen) % 4 >= 2)
            print(example, flush=True)  # the last one printed is the one that died
        seen.add(repr({key: value for key, value in example.items() if key != "seed"}))
        options = {key: value for key, value in example.items() if key != "seed"}
        with np.errstate(all="ignore"):
            check(np.random.default_rng(example["seed"]), **options)

    try:
        run()
    finally:
        launching.SHARE_FROM, launching.CHUNK = SHARED
    return len(seen)


def wide(array: np.ndarray) -> np.ndarray:
    """The same numbers in the precision that references are computed in."""
    return array.astype(np.float64 if array.dtype == np.float32 else np.longdouble)


def agree(got: np.ndarray, expected: np.ndarray, scale: Any, units: float) -> None:
    """Within so many units in the last place of `scale`; `expected` and `scale` in the wider precision."""
    assert got.shape == expected.shape, (got.shape, expected.shape)
    allowed = units * np.finfo(got.dtype).eps * np.abs(scale) + 2 * np.finfo(got.dtype).tiny
    apart = np.abs(got - expected)
    worst = np.where(apart <= allowed, 0, apart / allowed)
    assert np.all(apart <= allowed), f"{np.max(worst, initial=0) * units} units, NaN: {np.isnan(got).any()}"


def agree_as_product(got: np.ndarray, left: np.ndarray, right: np.ndarray) -> None:
    """left @ right, with at most twice the error, against |left| @ |right|, of NumPy's product of float32.

    The largest error of a few elements is a matter of luck, and zeros are no terms. So NumPy multiplies matrices of
    many rows and columns, of numbers drawn from these: as many terms as the row has that has the most, or the fewest,
    that are not zero, or as the middle one has. One unit in the last place is no more than twice its error in any case.
    """
    assert got.shape == (len(left), right.shape[1]), (got.shape, left.shape, right.shape)
    assert got.dtype == left.dtype
    ours = product_error(got, left, right)
    if ours <= 1:
        return
    rng, terms, theirs = np.random.default_rng(0), np.count_nonzero(left, axis=1), [0.5]
    for count in {max(1, c) for c in (terms.max(), terms.min(), np.median(terms).astype(int))}:
        a, b = (rng.choice(np.append(x[x != 0], 1), (DRAWN, count)).astype(np.float32) for x in (left, right))
        theirs.append(product_error(a @ b.T, a, b.T))
    assert ours <= 2 * max(theirs), f"{ours} units in the last place, NumPy's {theirs}"


def product_error(product: np.ndarray, left: np.ndarray, right: np.ndarray) -> float:
    """max |product - left right| / (|left| |right|), in units in the last place."""
    a, b = left.astype(np.float64), right.astype(np.float64)
    scale = (np.abs(a) @ np.abs(b)) * np.finfo(product.dtype).eps + np.finfo(product.dtype).tiny
    expected = a @ b if product.dtype == np.float32 else product_of_doubles(a, b)
    return float(np.max(np.abs(product - expected) / scale, initial=0))


def product_of_doubles(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """left @ right of float64 in long double, of parts so short that BLAS rounds no product or sum of the first ones.

    Source: Ozaki et al., "Error-free transformations of matrix multiplication by using fast routines of matrix
    multiplication and its applications" (2012).
    """
    total = np.zeros((len(left), right.shape[1]), np.longdouble)
    for a in reversed(parts(left, 1)):
        for b in reversed(parts(right, 0)):
            total += a @ b
    return total


def parts(matrix: np.ndarray, axis: int) -> list[np.ndarray]:
    """Three matrices that sum up to this one, the first two of numbers of 19 bits after the largest of a row's."""
    found = []
    for _ in range(2):
        largest = np.abs(matrix).max(axis, keepdims=True, initial=0)
        shift = np.ldexp(1.5, np.frexp(largest)[1] + 52 - 19)
        found.append(matrix + shift - shift)
        matrix = matrix - found[-1]
    return [*found, matrix]


def numbers(rng: np.random.Generator, dtype: Any, *shape: int, positive: bool = False) -> np.ndarray:
    """Random numbers; positive ones add up, and their rounding errors with them."""
    values = rng.random(shape, dtype) if positive else rng.standard_normal(shape, dtype)
    return values.astype(dtype)


def leaf(array: np.ndarray | None, needed: bool = True) -> Tensor | None:
    return None if array is None else tensor(array, requires_grad=needed)


def both_ways(function: Any, *leaves: Tensor | None, dy: np.ndarray | None = None, rng: Any = None) -> Any:
    """The output, the gradient it was given, and the gradient of each leaf."""
    y = function(*leaves)
    assert y.dtype == next(x for x in leaves if x is not None).dtype
    dy = numbers(rng, y.dtype, *y.shape) if dy is None else dy
    y.backward(dy)
    return y._array, dy, *(None if x is None else x.grad for x in leaves)
