"""minidl: train small networks on the CPU, and see what normalization does to them."""

from . import ops
from .autograd import OPS, no_grad, op
from .kernels.launch import kernel, launch, set_num_threads
from .random import Generator, manual_seed
from .tensor import Tensor, tensor
