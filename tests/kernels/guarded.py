"""Runs in memory that ends at unreadable pages: `python -m tests.kernels.guarded FAMILY COUNT`, or `cases` as family.

Prints each example before it runs, and at the end how many different ones there were; one element read or written too
far ends the process first.
"""

import faulthandler
import os
import sys
import traceback

import numpy as np

from minidl.kernels import launch as launching
from tests.kernels import guard
from tests.kernels.digests import differentiate
from tests.kernels.families import sweep
from tests.ops.test_every_op import CASES


def every_case() -> int:
    """Every case of every op, in both dtypes, shared among threads or not, at both ends of a page; how many cases."""
    for share_from, chunk in ((launching.SHARE_FROM, launching.CHUNK), (0, 1)):
        launching.SHARE_FROM, launching.CHUNK = share_from, chunk
        for at_start in (False, True):
            guard.guard_start(at_start)
            for case in CASES:
                for dtype in (np.float32, np.float64):
                    print(case, dtype.__name__, flush=True)
                    differentiate(case, dtype)
    return len(CASES)


if __name__ == "__main__":
    faulthandler.enable()
    guard.install()
    status = 1
    try:
        done = every_case() if sys.argv[1] == "cases" else sweep(sys.argv[1], int(sys.argv[2]), guarded=True)
        print("done:", done, flush=True)
        status = 0
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
    os._exit(status)  # without freeing arrays when the handler's functions are gone
