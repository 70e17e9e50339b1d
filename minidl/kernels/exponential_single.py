"""exp, tanh and sigmoid of float32 in registers, within 3 units in the last place of the correctly rounded value.

As in `exponential.py`, x = n ln 2 + r with |r| <= ln(2) / 2, and e^x = 2^n (1 + q). Here q is the polynomial of its
degree with the smallest error relative to e^r, 3e-9, and n is read from the bits of a sum: 1.5 * 2^23 + x / ln 2 is
rounded to a whole number, which its low bits then hold. Fused multiply-adds keep n ln 2 exact.
"""

import numpy as np

from .inner import inner
from .register_arithmetic import fma, less, reinterpret, select, spread

LANES = 128  # so many chains of multiply-adds beside each other hide their latency

_LOG2_E, _ROUND = np.float32(1.4426950408889634), np.float32(1.5 * 2**23)
_LN2_HIGH = np.float32(0.6931471805599453)
_LN2_LOW = np.float32(0.6931471805599453 - float(_LN2_HIGH))
_POLYNOMIAL = (0.4999999403953552, 0.1666652113199234, 0.04166826605796814, 0.008368675597012043, 0.0013820689637213945)
_C0, _C1, _C2, _C3, _C4 = (np.float32(c) for c in _POLYNOMIAL)
_ONE, _SMALL, _EXPONENT = np.float32(1), np.float32(2.0**-30), np.uint32(23)
_BIAS, _BIAS_LESS_30, _BIAS_MORE_30 = np.uint32(127 << 23), np.uint32(97 << 23), np.uint32(157 << 23)
_SIGN, _SIZE = np.uint32(1 << 31), np.uint32((1 << 31) - 1)


@inner(inline="always")
def _split(x, sign):
    """sign * x = n ln 2 + r: a number whose low bits are n, and e^r - 1. The constants take the sign, for nothing."""
    shifted = fma(x, spread(x, sign * _LOG2_E, LANES), spread(x, _ROUND, LANES))
    n = shifted - spread(x, _ROUND, LANES)
    r = fma(n, spread(x, -sign * _LN2_LOW, LANES), fma(n, spread(x, -sign * _LN2_HIGH, LANES), x))  # sign * r
    p = fma(spread(x, _C4, LANES), r, spread(x, sign * _C3, LANES))
    p = fma(p, r, spread(x, _C2, LANES))
    p = fma(p, r, spread(x, sign * _C1, LANES))
    p = fma(p, r, spread(x, _C0, LANES))
    return reinterpret(shifted), fma(r * r, p, spread(x, sign, LANES) * r)


@inner(inline="always")
def single_exp(x):
    """e^x for x up to 60, by 2^n = 2^-30 * 2^(n + 30), of which only the product with the first can be subnormal."""
    low = spread(x, np.float32(-104), LANES)
    n, q = _split(select(less(x, low), low, x), _ONE)  # a NaN passes the comparison
    scale = reinterpret((n << spread(n, _EXPONENT, LANES)) + spread(n, _BIAS_MORE_30, LANES))
    return fma(scale, q, scale) * spread(x, _SMALL, LANES)


@inner(inline="always")
def single_sigmoid(x):
    """1 / (1 + e^-x) as 2^-30 / (2^-30 + 2^(n - 30) (1 + q)), in which only the quotient can be subnormal."""
    low, high = spread(x, np.float32(-104), LANES), spread(x, np.float32(66), LANES)
    bounded = select(less(x, low), low, x)  # a NaN passes all comparisons
    bounded = select(less(high, bounded), high, bounded)
    n, q = _split(bounded, -_ONE)
    scale = reinterpret((n << spread(n, _EXPONENT, LANES)) + spread(n, _BIAS_LESS_30, LANES))
    small = spread(x, _SMALL, LANES)
    return small / fma(scale, q, small + scale)


@inner(inline="always")
def single_tanh(x):
    """(e^2x - 1) / (e^2x + 1), by e^2|x| - 1 = 2^n q + (2^n - 1) without cancellation near zero."""
    bits = reinterpret(x)
    size = reinterpret(bits & spread(bits, _SIZE, LANES))
    high = spread(x, np.float32(9.5), LANES)
    size = select(less(high, size), high, size)
    n, q = _split(size + size, _ONE)
    one, scale = spread(x, _ONE, LANES), reinterpret((n << spread(n, _EXPONENT, LANES)) + spread(n, _BIAS, LANES))
    y = fma(scale, q, scale - one) / fma(scale, q, scale + one)
    return reinterpret(reinterpret(y) | (bits & spread(bits, _SIGN, LANES)))
