"""Matrix products. NumPy's BLAS computes them for now, held to one thread, since its bits change with its threads."""

import numpy as np

_held = False


def _hold_to_one_thread() -> None:
    global _held
    from threadpoolctl import ThreadpoolController  # a fifth of minidl's import time, so not before it is needed

    _held = True
    for library in ThreadpoolController().select(user_api="blas").lib_controllers:
        library.set_num_threads(1)


def matmul(x: np.ndarray, y: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """x @ y as `numpy.matmul`, with the same bits on any number of threads.

    The first call holds NumPy's BLAS to one thread for the whole process.
    """
    if not _held:
        _hold_to_one_thread()
    with np.errstate(all="ignore"):  # a diverging run shows infinity and NaN, as it does in the kernels
        return np.matmul(x, y, out=out)
