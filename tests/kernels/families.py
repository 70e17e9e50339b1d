"""The sweep with all its families."""

from tests.kernels import sweep_arithmetic, sweep_copies, sweep_elements, sweep_pools, sweep_products, sweep_rows
from tests.kernels.sweep import FAMILIES, sweep

__all__ = [
    "FAMILIES",
    "sweep",
    "sweep_arithmetic",
    "sweep_copies",
    "sweep_elements",
    "sweep_pools",
    "sweep_products",
    "sweep_rows",
]
