"""minidl: train small networks on the CPU, and see what normalization does to them."""

import gc

_collects = gc.isenabled()
gc.disable()  # what an import makes stays: to look for garbage among all of Numba's objects would take 30 ms of it

# ruff: noqa: E402
from . import nn, ops, optim
from .autograd import OPS, no_grad, op
from .capture import capture, profile
from .creation import ones, randn, zeros
from .kernels.launch import InOut, Out, kernel, launch, set_num_threads
from .nn.serialization import load, save
from .ops import concatenate, stack, where
from .random import Generator, manual_seed
from .tensor import Tensor, tensor

if _collects:
    gc.enable()

__version__ = "0.1.0"
__all__ = [
    "OPS",
    "Generator",
    "InOut",
    "Out",
    "Tensor",
    "capture",
    "concatenate",
    "kernel",
    "launch",
    "load",
    "manual_seed",
    "nn",
    "no_grad",
    "ones",
    "op",
    "ops",
    "optim",
    "profile",
    "randn",
    "save",
    "set_num_threads",
    "stack",
    "tensor",
    "where",
    "zeros",
]
