"""Arrays that lie in memory in any way: transposed, in steps forwards and backwards, with gaps, stretched."""

import numpy as np


def random_view(rng, dtype, shape, writable=False):
    """An array of this shape over memory that holds more than it, random numbers; and all of that memory."""
    order = rng.permutation(len(shape))
    steps = [int(rng.choice([1, 1, 1, 2, 3, -1, -2])) for _ in shape]
    gaps = [int(rng.choice([0, 0, 0, 1, 5])) for _ in shape]
    flat = [not writable and extent > 1 and rng.random() < 0.2 for extent in shape]
    extents = [
        1 if same else extent * abs(step) + gap
        for extent, step, gap, same in zip(shape, steps, gaps, flat, strict=True)
    ]
    memory = rng.standard_normal([extents[d] for d in order]).astype(dtype)
    view = memory.transpose(np.argsort(order))
    for d, (extent, step, gap, same) in enumerate(zip(shape, steps, gaps, flat, strict=True)):
        if not same:
            span = extent * abs(step)
            at = slice(gap, gap + span)
            view = view[(slice(None),) * d + (at,)][(slice(None),) * d + (slice(None, None, step),)]
    return np.broadcast_to(view, shape) if any(flat) else view, memory
