"""Reading IDX files, the format of MNIST and Fashion-MNIST, gzipped or plain.

A file is two zero bytes, a byte for the type (8: unsigned byte), a byte for the number of dimensions, their sizes as
big-endian 32-bit numbers, and the values in C order.

Source: LeCun, Cortes, Burges, "The MNIST database of handwritten digits", section "File formats".
"""

import gzip
import math
import zlib
from pathlib import Path

import numpy as np


def read_idx(path: str | Path, ndim: int) -> np.ndarray:
    """The bytes in an IDX file as an array of `ndim` dimensions.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is truncated, corrupt, too long, empty or of another kind; the message names it.
    """
    path = Path(path)
    content = _content(path)
    start = 4 + 4 * ndim
    if len(content) < start:
        raise ValueError(f"{path}: expected a header of {start} bytes, got a file of {len(content)}; it is truncated")
    expected = bytes((0, 0, 8, ndim))
    if content[:4] != expected:
        raise ValueError(
            f"{path}: expected an IDX file of {ndim}-D unsigned bytes, whose magic number is {expected.hex()}, got "
            f"{content[:4].hex()}"
        )
    shape = tuple(int(extent) for extent in np.frombuffer(content, ">u4", ndim, offset=4))
    size, present = math.prod(shape), len(content) - start
    if size != present:
        kind = "truncated" if present < size else "followed by other bytes"
        raise ValueError(f"{path}: expected {size} bytes for its shape {shape}, got {present}; the data is {kind}")
    if size == 0:
        raise ValueError(f"{path}: expected at least one example, got shape {shape}")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def read_pair(images: Path, labels: Path, size: tuple[int, int], classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Images and their labels.

    Shape:
        images (N, 1, *size) uint8, labels (N,) uint8.

    Raises:
        ValueError: a file is wrong, or the two do not belong together; the message names it.
    """
    pixels, values = read_idx(images, 3), read_idx(labels, 1)
    if pixels.shape[1:] != size:
        raise ValueError(f"{images}: expected images of {size[0]}x{size[1]} pixels, got shape {pixels.shape}")
    if len(pixels) != len(values):
        raise ValueError(f"{labels}: expected {len(pixels)} labels, one for each image in {images}, got {len(values)}")
    check_labels(labels, values, classes)
    return pixels[:, None], values


def check_labels(path: Path | str, labels: np.ndarray, classes: int) -> None:
    """Refuse labels out of range.

    Raises:
        ValueError: a label is `classes` or more; the message names the file and the example.
    """
    wrong = np.flatnonzero(labels >= classes)
    if len(wrong):
        raise ValueError(
            f"{path}: expected labels from 0 to {classes - 1}, got {labels[wrong[0]]} at example {wrong[0]} "
            f"({len(wrong)} such labels)"
        )


def _content(path: Path) -> bytes:
    content = path.read_bytes()
    if content[:2] != b"\x1f\x8b":
        return content
    try:
        return gzip.decompress(content)
    except (EOFError, OSError, zlib.error) as error:
        raise ValueError(f"{path}: the gzip data is truncated or corrupt ({error}); fetch the file again") from error
