"""exp, tanh and sigmoid as polynomials that LLVM turns into vectors, in float64 for both dtypes.

Numba calls the C library once an element for these. The method is Cody and Waite's ("Software manual for the elementary
functions", 1980, chapter 6): x = n ln 2 + r with |r| <= ln(2) / 2, a Taylor polynomial for e^r - 1, and 2^n put
together from its bits. A float32 result is the rounded float64 one, so nearly always the correctly rounded value.
"""

import numpy as np

from .inner import inner

_LOG2_E = 1.4426950408889634
_LN2_HIGH = 6.93147180369123816490e-01  # its last 32 bits are zero: n * _LN2_HIGH is exact
_LN2_LOW = 1.90821492927058770002e-10
_ROUND = 6755399441055744.0  # 1.5 * 2^52: adding it rounds to a whole number, which the low bits then hold
_ROUND_BITS = np.float64(_ROUND).view(np.int64)
_BIAS, _MANTISSA = np.int64(1023), np.int64(52)


@inner
def _split(x):
    """x = n ln 2 + r: (n, e^r - 1)."""
    shifted = np.float64(x * _LOG2_E + _ROUND)
    n = shifted.view(np.int64) - _ROUND_BITS
    whole = shifted - _ROUND
    r = (x - whole * _LN2_HIGH) - whole * _LN2_LOW
    p = 1 / 6227020800.0
    p = p * r + 1 / 479001600.0
    p = p * r + 1 / 39916800.0
    p = p * r + 1 / 3628800.0
    p = p * r + 1 / 362880.0
    p = p * r + 1 / 40320.0
    p = p * r + 1 / 5040.0
    p = p * r + 1 / 720.0
    p = p * r + 1 / 120.0
    p = p * r + 1 / 24.0
    p = p * r + 1 / 6.0
    p = p * r + 0.5
    return n, r + r * (r * p)


@inner
def _power_of_two(n):
    return np.int64((n + _BIAS) << _MANTISSA).view(np.float64)


@inner
def exp(x):
    """e^x in float64: 0 far below zero, infinity far above, NaN for NaN."""
    wide = np.float64(x)
    bounded = wide if wide > -746.0 else -746.0  # a NaN takes the bound here and is put back at the end
    bounded = bounded if bounded < 710.0 else 710.0
    n, p = _split(bounded)
    half = n >> np.int64(1)  # in two steps, so that neither the largest nor a subnormal result leaves the range early
    y = (1.0 + p) * _power_of_two(half) * _power_of_two(n - half)
    return y if wide == wide else wide


@inner
def sigmoid(x):
    """1 / (1 + e^-x) in float64."""
    return 1.0 / (1.0 + exp(-x))


@inner
def tanh(x):
    """(e^2x - 1) / (e^2x + 1) in float64, by e^2|x| - 1 without cancellation near zero."""
    wide = np.float64(x)
    size = wide if wide >= 0.0 else -wide
    n, p = _split(size + size if size < 30.0 else 60.0)
    scale = _power_of_two(n)
    less_one = scale * p + (scale - 1.0)
    y = less_one / (less_one + 2.0)
    y = y if wide >= 0.0 else -y
    return y if wide == wide else wide
