"""Dropout: which elements are kept is a function of the random position and the place in memory."""

import numpy as np

from .launch import Out, kernel
from .pointwise import BLOCK
from .random import philox_registers
from .register_arithmetic import interleave, less, select, spread, store_bits
from .registers import load, store


@kernel
def dropout_forward(x, y: Out, zeroed: Out, place, keep: int, scale: float, low, high):
    """y = scale * x for element 4 i + k where word k of counter position + i is below `keep`, 0 elsewhere.

    Bit j of zeroed[b] is on where element 64 b + j was dropped; place = (seed, stream, position). The range is over
    blocks; `keep` is from 1 to 2^32.
    """
    seed, stream, position = np.uint64(place[0]), np.uint64(place[1]), place[2]
    most, factor, zero = np.uint32(keep - 1), spread(x, scale, BLOCK), spread(x, 0, BLOCK)
    for b in range(low, high):
        words = philox_registers(seed, stream, np.uint64(position + 32 * b))
        drawn = interleave(words[0], words[1], words[2], words[3])
        dropped = less(spread(drawn, most, BLOCK), drawn)
        at, count = BLOCK * b, len(x) - BLOCK * b
        store_bits(zeroed, 2 * b, dropped)
        store(y, at, count, select(dropped, zero, factor * load(x, at, count, BLOCK)))
