"""log, and powers of float32, as polynomials that LLVM turns into vectors, in float64 for both dtypes.

x = 2^k z with z between the roots of 1/2 and 2, and with f = z - 1 and s = f / (2 + f), log z = 2 artanh s =
f - f^2/2 + s (f^2/2 + r) where r = 2/3 s^2 + 2/5 s^4 + ..., of which ten terms are enough: s^2 is at most 0.03.
"""

import numpy as np

from .exponential import exp
from .inner import inner

_LN2_HIGH = 6.93147180369123816490e-01  # its last 32 bits are zero: k * _LN2_HIGH is exact
_LN2_LOW = 1.90821492927058770002e-10
_ROOT_OF_HALF = np.float64(np.sqrt(0.5)).view(np.int64)
_MANTISSA = np.int64(52)
_ROUND = 6755399441055744.0  # 1.5 * 2^52: adding it rounds to a whole number
_SMALLEST, _SCALE = 2.2250738585072014e-308, 18014398509481984.0  # the smallest normal number, and 2^54


@inner
def log(x):
    """The natural logarithm in float64: NaN below zero, -infinity at zero."""
    wide = np.float64(x)
    small = wide < _SMALLEST
    scaled = np.float64(wide * _SCALE if small else wide)
    bits = scaled.view(np.int64)
    k = (bits - _ROOT_OF_HALF) >> _MANTISSA
    f = np.int64(bits - (k << _MANTISSA)).view(np.float64) - 1.0
    s = f / (f + 2.0)
    w = s * s
    r = 2 / 21
    r = r * w + 2 / 19
    r = r * w + 2 / 17
    r = r * w + 2 / 15
    r = r * w + 2 / 13
    r = r * w + 2 / 11
    r = r * w + 2 / 9
    r = r * w + 2 / 7
    r = r * w + 2 / 5
    r = (r * w + 2 / 3) * w
    half = 0.5 * f * f
    n = np.float64(k) - (54.0 if small else 0.0)
    y = n * _LN2_HIGH - ((half - (s * (half + r) + n * _LN2_LOW)) - f)
    y = y if wide < np.inf else wide  # NaN, too
    y = y if wide > 0.0 else np.nan
    y = y if wide != 0.0 else -np.inf
    return y if wide == wide else wide


@inner(inline="always")
def _is_whole(x):
    """Whether a number in which no fraction of less than 2^-23 stands is a whole one."""
    return (x + _ROUND) - _ROUND == x


@inner(inline="always")  # else LLVM calls exp and log once an element
def power(x, y):
    """x ** y for float32, in float64, so exact that it can be rounded."""
    base, exponent = np.float64(x), np.float64(y)
    size = exp(exponent * log(abs(base)))
    whole = _is_whole(exponent)
    odd = whole & (not _is_whole(0.5 * exponent))
    z = -size if odd & (base.view(np.int64) < 0) else size
    z = np.nan if (base < 0.0) & (base > -np.inf) & (not whole) else z
    z = 1.0 if (base == 1.0) | (exponent == 0.0) | ((base == -1.0) & (abs(exponent) == np.inf)) else z
    return base if exponent == 1.0 else z
