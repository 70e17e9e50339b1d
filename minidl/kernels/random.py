"""Philox4x32-10, a counter-based generator: its n-th number is a function of the key and of n alone.

Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3" (2011), section 3.3.
All arithmetic is on 64-bit words that hold 32-bit values, so that no product overflows.
"""

import numpy as np

from .inner import inner
from .launch import InOut, Out, kernel
from .register_arithmetic import count_from, spread

_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
_MULTIPLY_0, _MULTIPLY_1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_WEYL_0, _WEYL_1 = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)


@inner
def philox(seed, stream, counter):
    """Four 32-bit words, in 64-bit integers, for a 64-bit seed, stream and counter."""
    c0, c1 = counter & _LOW, counter >> _HALF
    c2, c3 = stream & _LOW, stream >> _HALF
    k0, k1 = seed & _LOW, seed >> _HALF
    for _ in range(10):
        p0, p1 = _MULTIPLY_0 * c0, _MULTIPLY_1 * c2
        c0, c1, c2, c3 = (p1 >> _HALF) ^ c1 ^ k0, p1 & _LOW, (p0 >> _HALF) ^ c3 ^ k1, p0 & _LOW
        k0, k1 = (k0 + _WEYL_0) & _LOW, (k1 + _WEYL_1) & _LOW
    return c0, c1, c2, c3


@inner(inline="always")
def philox_registers(seed, stream, start):
    """The words of `philox` for 32 counters from `start` on, in four registers, whose upper halves are noise."""
    counter = count_from(start, 32)
    half, low = spread(counter, _HALF, 32), spread(counter, _LOW, 32)
    first, second = spread(counter, _MULTIPLY_0, 32), spread(counter, _MULTIPLY_1, 32)
    c0, c1 = counter, counter >> half
    c2, c3 = spread(counter, stream, 32), spread(counter, stream >> _HALF, 32)
    k0, k1 = seed, seed >> _HALF
    for _ in range(10):
        p0, p1 = first * (c0 & low), second * (c2 & low)
        c0, c1 = (p1 >> half) ^ c1 ^ spread(counter, k0, 32), p1
        c2, c3 = (p0 >> half) ^ c3 ^ spread(counter, k1, 32), p0
        k0, k1 = k0 + _WEYL_0, k1 + _WEYL_1
    return c0, c1, c2, c3


@kernel
def reserve_blocks(state: InOut, place: Out, blocks: int, low, high):
    """place = state = (seed, stream, position), which then moves on by `blocks`."""
    for k in range(3):
        place[k] = state[k]
    state[2] += blocks


@kernel
def random_bits(out: Out, place, low, high):
    """out[i, 0..3] = the four words at counter position + i, with place = (seed, stream, position)."""
    seed, stream, position = np.uint64(place[0]), np.uint64(place[1]), place[2]
    for i in range(low, high):
        a, b, c, d = philox(seed, stream, np.uint64(position + i))
        row = out[i]
        row[0], row[1], row[2], row[3] = a, b, c, d
