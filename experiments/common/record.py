"""What a result must say of how it came about."""

import platform
from importlib.metadata import version

import numba
import numpy as np

import minidl


def versions() -> dict[str, str]:
    """Of Python, of the packages that compute, and the machine."""
    return {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "numba": numba.__version__,
        "matplotlib": version("matplotlib"),
        "minidl": minidl.__version__,
        "system": f"{platform.system()} {platform.machine()}",
    }
