"""`python -m tests.kernels.digests`: digests of what each op computes both ways, which no machine may change.

Each case runs on 1, 2, 3, ... threads, with launches shared as usual and in chunks of one item.
"""

import hashlib
from typing import Any

import numpy as np

import minidl
from minidl import tensor
from minidl.kernels import launch as launching
from minidl.kernels.vectors import REGISTER
from tests.ops.case import Case
from tests.ops.test_every_op import CASES


def large(op: str, *shapes: tuple[int, ...] | None, **options: Any) -> Case:
    return Case(op, shapes, lambda *_: None, options)


SHARED = launching.SHARE_FROM, launching.CHUNK
LARGE = [  # of which the threads have parts, and sums of several blocks
    large("linear", (61, 784), (101, 784), (101,)),
    large("linear", (130, 1003), (300, 1003), None),
    large("linear", (5003, 27), (33, 27), (33,)),
    large("linear", (2503, 27), (32, 27), None),
    *(large("matmul", (m, k), (k, n)) for m, k, n in ((300, 257, 290), (13, 300, 37), (60, 20, 33), (40, 5, 70))),
    large("conv2d", (33, 1, 28, 28), (16, 1, 3, 3), (16,), padding=1),
    large("conv2d", (9, 3, 32, 32), (33, 3, 3, 3), None, padding=1),
    large("conv2d", (17, 16, 14, 14), (32, 16, 3, 3), (32,), padding=1),
    large("conv2d", (9, 33, 15, 13), (65, 33, 5, 5), (65,), padding=2, stride=2),
    large("conv2d", (9, 32, 16, 16), (64, 32, 1, 1), None, stride=2),
    large("conv2d", (9, 64, 8, 8), (128, 64, 3, 3), None, padding=1),
    large("conv2d", (64, 29, 10, 9), (30, 29, 3, 3), (30,), padding=1),
    large("conv2d", (50, 40, 12, 8), (64, 40, 3, 3), None, padding=(0, 1)),
    large("conv2d", (9, 64, 16, 16), (64, 1, 3, 3), (64,), padding=1, groups=64),
    large("conv2d", (9, 24, 16, 16), (36, 8, 3, 3), (36,), padding=1, groups=3, dilation=2),
    large("batch_norm", (64, 16, 14, 14), (16,), (16,), activation="relu"),
    large("batch_norm", (65, 3, 32, 32), (3,), (3,)),
    large("batch_norm", (128, 1000), (1000,), (1000,)),
    large("batch_norm", (701, 530), (530,), (530,)),
    large("layer_norm", (300, 513), (513,), (513,), normalized_shape=513),
    *(
        case
        for shape in [(60, 100), (601, 13), (37, 1, 3, 7), (8, 64, 6, 6), (130, 33), (5, 1000)]
        for case in (
            large("batch_norm", shape, shape[1:2], shape[1:2], activation="relu"),
            large("layer_norm", shape, shape[-1:], shape[-1:], normalized_shape=shape[-1]),
        )
    ),
    *(large(op, (64, 16, 28, 27)) for op in ("relu", "leaky_relu", "tanh", "sigmoid")),
    large("dropout", (64, 16, 28, 27), p=0.3, rng=5),
    large("max_pool2d", (33, 17, 28, 28), kernel_size=2),
    large("max_pool2d", (33, 17, 28, 28), kernel_size=3, stride=2, padding=1),
    large("avg_pool2d", (33, 17, 28, 28), kernel_size=2),
    large("avg_pool2d", (33, 17, 28, 28), kernel_size=3, stride=2, padding=1),
    large("softmax", (501, 301), dim=1),
    large("softmax", (8, 33, 20, 20), dim=1),
    large("log_softmax", (501, 301), dim=1),
    large("sum", (501, 301), dim=0),
    large("mean", (501, 301)),
]


def differentiate(case: Case, dtype: Any) -> list[np.ndarray]:
    """What the case computes: the output, and the gradients for random upstream numbers."""
    made = case.arrays(dtype)
    leaves = [None if a is None else tensor(a, requires_grad=case.smooth and a.dtype.kind == "f") for a in made]
    y = case.run(*leaves)
    found = [y._array]
    if y.requires_grad:
        y.backward(np.random.default_rng(1).standard_normal(y.shape).astype(y.dtype))
        found += [leaf.grad for leaf in leaves if leaf is not None and leaf.grad is not None]
    return found


def digest(case: Case, dtype: Any) -> str:
    hashed = hashlib.sha256()
    for array in differentiate(case, dtype):
        hashed.update(np.ascontiguousarray(array).tobytes())
    return hashed.hexdigest()[:16]


def main() -> None:
    """Print the width of a register, then a line a case and dtype."""
    print(REGISTER)
    for place, case in enumerate((*CASES, *LARGE)):
        for dtype in (np.float32, np.float64):
            found = {}
            for share_from, chunk in ((launching.SHARE_FROM, launching.CHUNK), (0, 1)):
                launching.SHARE_FROM, launching.CHUNK = share_from, chunk
                for threads in range(1, launching.config.NUMBA_NUM_THREADS + 1):
                    minidl.set_num_threads(threads)
                    found[threads, share_from] = digest(case, dtype)
                launching.SHARE_FROM, launching.CHUNK = SHARED
            same = len(set(found.values())) == 1
            print(f"{place} {case}\t{dtype.__name__}\t{found[1, SHARED[0]] if same else found}", flush=True)


if __name__ == "__main__":
    main()
