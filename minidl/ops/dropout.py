"""Dropout."""

import numpy as np

from ..autograd import Pullback, op
from ..checks import check_number
from ..kernels import dropout as kernels
from ..kernels.launch import launch
from ..kernels.layout import cleared_like, empty, flat
from ..kernels.pointwise import BLOCK, pass_where
from ..random import Generator, as_generator
from .checks import check_float

Rule = tuple[np.ndarray, Pullback | None]


@op
def dropout(x: np.ndarray, *, p: float = 0.5, training: bool = True, rng: Generator | int | None = None) -> Rule:
    """x / (1 - p) with probability 1 - p, else 0, each element on its own; in evaluation x itself.

    What is kept is a function of the generator's state and of an element's place in memory, not of threads or dtype.

    Shape: any, to the same.
    Raises: ValueError: p is not a probability. TypeError: x is not float32 or float64.
    Source: Srivastava et al., "Dropout" (2014), section 10 (scaled in training, so that evaluation does nothing).
    """
    check_float("dropout", x=x)
    check_number("dropout", "p", p, 0, 1)
    if not training or p == 0:
        return x, lambda dy: dy
    keep = round((1 - p) * 2**32)
    if keep == 0:
        return cleared_like(x), cleared_like
    shape, size, dtype = x.shape, x.size, x.dtype
    y, blocks, scale = empty(shape, dtype), -(-size // BLOCK), 1 / (1 - p)
    zeroed = np.empty(blocks * BLOCK // 64, np.uint64)
    place = as_generator(rng).reserve(-(-size // 4))
    launch(kernels.dropout_forward, blocks, flat(x), flat(y), zeroed, place, keep, scale, work=2 * size)

    def pullback(dy: np.ndarray) -> np.ndarray:
        dx = empty(shape, dtype)
        launch(pass_where, blocks, zeroed, flat(dy), flat(dx), scale, work=size)
        return dx

    return y, pullback
