"""Depthwise convolution: each channel by a window of its own. Channels lie side by side, so a register holds some.

A row of the table of rectangles is a grid of pixels that see the same places of the window: its loops, where the first
pixel lies in the source and in the target, and which places these are. All are counted in elements. A place is told by
where it lies from where a pixel does, and by where its weight lies. Three places that are as far apart as three pixels
of the inner loop come together, with the distance of their weights: what one pixel sees there its neighbours see, too,
and a register is loaded once for all. Loads are what costs: one takes as long as two multiply-adds.
"""

from .inner import inner
from .launch import Out, kernel
from .register_arithmetic import fma, spread
from .registers import load, store
from .vectors import REGISTER

LANES = REGISTER // 4  # channels worked on at once: a register of float32; each channel is a sum of its own
PIXELS = 8  # worked on at once
ROWS = 4  # of pixels over which a place's products are summed at once: they stay in the first-level cache
CHAIN = 255  # terms summed in a register before they are added up: longer chains round worse
# A rectangle: the pixels' loops, (length, step in the source, in the target), where they begin, their places in the
# tables of threes and of those alone.
OUTER, OUTER_X, OUTER_Y, INNER, INNER_X, INNER_Y, X, Y, THREES, THREES_END, ALONE, ALONE_END = range(12)


@kernel
def slide(x, weight, bias, y: Out, rectangles, threes, alone, x_image: int, y_image: int, channels: int, low, high):
    """y = bias + sum over the window's places of weight * x.

    The weight is (places, channels) in memory; the range is over the images and, in each, the rectangles.
    """
    for item in range(low, high):
        image, r = item // len(rectangles), item % len(rectangles)
        of = rectangles[r]
        places, steps = (
            (threes[of[THREES] : of[THREES_END]], alone[of[ALONE] : of[ALONE_END]]),
            (of[INNER_X], of[INNER_Y]),
        )
        for o in range(of[OUTER]):
            x_row, y_row = image * x_image + of[X] + o * of[OUTER_X], image * y_image + of[Y] + o * of[OUTER_Y]
            together = PIXELS if of[INNER] >= PIXELS else 1
            for p in range(0, of[INNER], together):
                first = min(p, of[INNER] - together)  # the last tile may have some of the one before once more
                x_at, y_at = x_row + first * steps[0], y_row + first * steps[1]
                for c in range(0, channels, LANES):
                    ats = x_at + c, y_at + c, c
                    if channels - c >= LANES:
                        _slide(x, weight, bias, y, places, ats, steps, together, LANES)
                    else:
                        _slide(x, weight, bias, y, places, ats, steps, together, channels - c)


@inner(forceinline=True)
def _slide(x, weight, bias, y, places, ats, steps, together, count):
    """A tile of pixels, or one, in the channels from c on."""
    if together > 1:
        _tile(x, weight, bias, y, places, ats, steps, count)
    else:
        _pixel(x, weight, bias, y, places, ats, steps[0], count)


@inner(forceinline=True)
def _pixel(x, weight, bias, y, places, ats, step, count):
    """The same sum for one pixel."""
    (threes, alone), (x_at, y_at, c), zero, terms = places, ats, spread(x, 0, LANES), 0
    total, s = zero, load(bias, c, count, LANES) if len(bias) > 0 else zero
    for t in range(0, len(threes), 3):
        at, w_at, w_step = x_at + threes[t], threes[t + 1] + c, threes[t + 2]
        s = fma(load(weight, w_at, count, LANES), load(x, at, count, LANES), s)
        s = fma(load(weight, w_at + w_step, count, LANES), load(x, at + step, count, LANES), s)
        s = fma(load(weight, w_at + 2 * w_step, count, LANES), load(x, at + 2 * step, count, LANES), s)
        terms += 3
        if terms == CHAIN:
            total, s, terms = total + s, zero, 0
    for t in range(0, len(alone), 2):
        s = fma(load(weight, alone[t + 1] + c, count, LANES), load(x, x_at + alone[t], count, LANES), s)
        terms += 1
        if terms == CHAIN:
            total, s, terms = total + s, zero, 0
    store(y, y_at, count, total + s)


@inner(forceinline=True)
def _tile(x, weight, bias, y, places, ats, steps, count):
    """Eight pixels."""
    (threes, alone), (x_at, y_at, c), (x_step, y_step) = places, ats, steps
    zero, terms = spread(x, 0, LANES), 0
    base = load(bias, c, count, LANES) if len(bias) > 0 else zero
    s, none = (base, base, base, base, base, base, base, base), (zero, zero, zero, zero, zero, zero, zero, zero)
    total = none
    for t in range(0, len(threes), 3):
        at, w_at, w_step = x_at + threes[t], threes[t + 1] + c, threes[t + 2]
        seen = _seen(x, at, x_step, count)
        s = _add_products(s, seen, load(weight, w_at, count, LANES))
        seen = _moved(seen, load(x, at + 8 * x_step, count, LANES))
        s = _add_products(s, seen, load(weight, w_at + w_step, count, LANES))
        seen = _moved(seen, load(x, at + 9 * x_step, count, LANES))
        s = _add_products(s, seen, load(weight, w_at + 2 * w_step, count, LANES))
        terms += 3
        if terms == CHAIN:
            total, s, terms = _sum(total, s), none, 0
    for t in range(0, len(alone), 2):
        s = _add_products(s, _seen(x, x_at + alone[t], x_step, count), load(weight, alone[t + 1] + c, count, LANES))
        terms += 1
        if terms == CHAIN:
            total, s, terms = _sum(total, s), none, 0
    _put(y, y_at, y_step, _sum(total, s), count)


@inner(forceinline=True)
def _seen(x, at, step, count):
    """What eight pixels see at a place."""
    return (
        load(x, at, count, LANES),
        load(x, at + step, count, LANES),
        load(x, at + 2 * step, count, LANES),
        load(x, at + 3 * step, count, LANES),
        load(x, at + 4 * step, count, LANES),
        load(x, at + 5 * step, count, LANES),
        load(x, at + 6 * step, count, LANES),
        load(x, at + 7 * step, count, LANES),
    )


@inner(forceinline=True)
def _moved(seen, beyond):
    """What the pixels see at the next place."""
    return seen[1], seen[2], seen[3], seen[4], seen[5], seen[6], seen[7], beyond


@inner(forceinline=True)
def _put(y, at, step, s, count):
    store(y, at, count, s[0])
    store(y, at + step, count, s[1])
    store(y, at + 2 * step, count, s[2])
    store(y, at + 3 * step, count, s[3])
    store(y, at + 4 * step, count, s[4])
    store(y, at + 5 * step, count, s[5])
    store(y, at + 6 * step, count, s[6])
    store(y, at + 7 * step, count, s[7])


@inner(forceinline=True)
def _add_products(s, x, weight):
    return (
        fma(weight, x[0], s[0]),
        fma(weight, x[1], s[1]),
        fma(weight, x[2], s[2]),
        fma(weight, x[3], s[3]),
        fma(weight, x[4], s[4]),
        fma(weight, x[5], s[5]),
        fma(weight, x[6], s[6]),
        fma(weight, x[7], s[7]),
    )


@inner(forceinline=True)
def _sum(s, t):
    return s[0] + t[0], s[1] + t[1], s[2] + t[2], s[3] + t[3], s[4] + t[4], s[5] + t[5], s[6] + t[6], s[7] + t[7]


@kernel
def correlate(
    x,
    dy,
    partial: Out,
    rectangles,
    threes,
    alone,
    x_image: int,
    y_image: int,
    channels: int,
    images: int,
    low,
    high,
):
    """partial[b] = sum over block b of the images' rectangles of dy * x for each place, (places, channels)."""
    every = images * len(rectangles)
    for b in range(low, high):
        partial[b] = 0
        for item in range(every * b // len(partial), every * (b + 1) // len(partial)):
            image, r = item // len(rectangles), item % len(rectangles)
            of, base = rectangles[r], b * partial.shape[1]
            places = threes[of[THREES] : of[THREES_END]], alone[of[ALONE] : of[ALONE_END]]
            for o in range(0, of[OUTER], ROWS):
                rows = min(ROWS, of[OUTER] - o), of[OUTER_X], of[OUTER_Y]
                loops = rows, (of[INNER], of[INNER_X], of[INNER_Y])
                x_at, y_at = image * x_image + of[X] + o * of[OUTER_X], image * y_image + of[Y] + o * of[OUTER_Y]
                for c in range(0, channels, LANES):
                    ats = x_at + c, y_at + c, base + c
                    if channels - c >= LANES:
                        _correlate(x, dy, partial, ats, places, loops, LANES)
                    else:
                        _correlate(x, dy, partial, ats, places, loops, channels - c)


@inner(forceinline=True)
def _correlate(x, dy, partial, ats, places, loops, count):
    """What some rows of pixels add to the sums."""
    (x_at, y_at, base), (threes, alone) = ats, places
    for t in range(0, len(threes), 3):
        a, b, c = _three(x, x_at + threes[t], dy, y_at, loops, count)
        _add(partial, base + threes[t + 1], count, a)
        _add(partial, base + threes[t + 1] + threes[t + 2], count, b)
        _add(partial, base + threes[t + 1] + 2 * threes[t + 2], count, c)
    for t in range(0, len(alone), 2):
        _add(partial, base + alone[t + 1], count, _one(x, x_at + alone[t], dy, y_at, loops, count))


@inner(forceinline=True)
def _add(partial, at, count, value):
    store(partial, at, count, load(partial, at, count, LANES) + value)


@inner(forceinline=True)
def _three(x, x_at, dy, y_at, loops, count):
    """The sums of three places: every second pixel's and the others' beside each other."""
    ((rows, x_row, y_row), (pixels, x_step, y_step)), zero = loops, spread(x, 0, LANES)
    even = odd = zero, zero, zero
    for r in range(rows):
        at, to = x_at + r * x_row, y_at + r * y_row
        a, b = load(x, at, count, LANES), load(x, at + x_step, count, LANES)
        for _ in range(pixels // 4):
            c, d = load(x, at + 2 * x_step, count, LANES), load(x, at + 3 * x_step, count, LANES)
            e, f = load(x, at + 4 * x_step, count, LANES), load(x, at + 5 * x_step, count, LANES)
            even = _add_threes(even, a, b, c, load(dy, to, count, LANES))
            odd = _add_threes(odd, b, c, d, load(dy, to + y_step, count, LANES))
            even = _add_threes(even, c, d, e, load(dy, to + 2 * y_step, count, LANES))
            odd = _add_threes(odd, d, e, f, load(dy, to + 3 * y_step, count, LANES))
            a, b, at, to = e, f, at + 4 * x_step, to + 4 * y_step
        for _ in range(pixels % 4):
            c = load(x, at + 2 * x_step, count, LANES)
            even = _add_threes(even, a, b, c, load(dy, to, count, LANES))
            a, b, at, to = b, c, at + x_step, to + y_step
    return even[0] + odd[0], even[1] + odd[1], even[2] + odd[2]


@inner(forceinline=True)
def _add_threes(sums, a, b, c, g):
    return fma(g, a, sums[0]), fma(g, b, sums[1]), fma(g, c, sums[2])


@inner(forceinline=True)
def _one(x, x_at, dy, y_at, loops, count):
    """The sum of one place."""
    ((rows, x_row, y_row), (pixels, x_step, y_step)), sums = loops, spread(x, 0, LANES)
    for r in range(rows):
        at, to = x_at + r * x_row, y_at + r * y_row
        for p in range(pixels):
            sums = fma(load(dy, to + p * y_step, count, LANES), load(x, at + p * x_step, count, LANES), sums)
    return sums
