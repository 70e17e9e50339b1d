"""A training step recorded once, and from then on replayed as one native call."""

from .captured import Captured, capture
from .profiling import profile

__all__ = ["Captured", "capture", "profile"]
