"""Arrays that are made once and only read: a captured step may read no other memory that none of its kernels wrote."""

import functools

import numpy as np


@functools.lru_cache(1024)
def ones(count: int, dtype: np.dtype) -> np.ndarray:
    """So many ones."""
    return np.ones(count, dtype)


@functools.lru_cache(1024)
def zeros(count: int, dtype: np.dtype) -> np.ndarray:
    """So many zeros."""
    return np.zeros(count, dtype)
