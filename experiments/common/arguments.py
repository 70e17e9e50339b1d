"""Options that experiments share, and what they refuse."""

import argparse
import math
import tempfile
from pathlib import Path


class UsageError(ValueError):
    """The user asked for what cannot be done; the message alone is shown, without a traceback."""


def count(text: str) -> int:
    """A whole number of at least 1.

    Raises:
        argparse.ArgumentTypeError: it is not.
    """
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, got {text!r}")
    return value


def rate(text: str) -> float:
    """A finite learning rate above 0.

    Raises:
        argparse.ArgumentTypeError: it is not.
    """
    return _above_zero(text, "a learning rate")


def duration(text: str) -> float:
    """A finite number of seconds above 0.

    Raises:
        argparse.ArgumentTypeError: it is not.
    """
    return _above_zero(text, "a number of seconds")


def _above_zero(text: str, what: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"expected {what} above 0, got {text!r}")
    return value


def check_folder(path: Path) -> None:
    """Refuse a folder that cannot be written to now rather than after minutes of work.

    Raises:
        UsageError: it cannot.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise UsageError(f"--out: expected a folder to write to, got {path} ({error.strerror})") from error
