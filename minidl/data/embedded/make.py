"""Make the embedded subset of Fashion-MNIST from the original files: `python -m minidl.data.embedded.make [FOLDER]`.

The first 1,000 training images of each class, in the order of the original file, and the whole test set, as four IDX
files. The same originals give the same bytes each time.
"""

import argparse
import gzip
import hashlib
from pathlib import Path

import numpy as np

from ...files import writing
from ..mnist import FashionMNIST

PER_CLASS = 1000


def first_of_each_class(labels: np.ndarray, count: int) -> np.ndarray:
    """The positions of the first `count` examples of each class, in ascending order.

    Raises:
        ValueError: a class has fewer.
    """
    members = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    fewest = min(len(positions) for positions in members)
    if fewest < count:
        raise ValueError(f"first_of_each_class: expected at least {count} examples of each class, got {fewest} of one")
    return np.sort(np.concatenate([positions[:count] for positions in members]))


def write_idx(path: Path, array: np.ndarray) -> None:
    """Write unsigned bytes as a gzipped IDX file without name or time in it, so that it depends on the bytes alone."""
    header = bytes((0, 0, 8, array.ndim)) + np.asarray(array.shape, ">u4").tobytes()
    with (
        writing(path) as temporary,
        temporary.open("wb") as raw,
        gzip.GzipFile(filename="", mode="wb", compresslevel=9, fileobj=raw, mtime=0) as file,
    ):
        file.write(header + array.tobytes())


def make(root: str | Path, out: Path, per_class: int = PER_CLASS) -> list[Path]:
    """Write the four files of the subset of the originals at `root` (as `FashionMNIST` takes it) into `out`."""
    written = []
    for part in ("train", "t10k"):
        dataset = FashionMNIST(root, train=part == "train")
        chosen = first_of_each_class(dataset.targets, per_class) if part == "train" else np.arange(len(dataset))
        images, labels = dataset.inputs[chosen, 0], dataset.targets[chosen].astype(np.uint8)
        for name, array in (("images-idx3", images), ("labels-idx1", labels)):
            written.append(out / f"{part}-{name}-ubyte.gz")
            write_idx(written[-1], array)
    return written


def main() -> None:
    """Make the subset and print the SHA-256 of each file."""
    parser = argparse.ArgumentParser(description="Make the embedded subset of Fashion-MNIST from the original files.")
    parser.add_argument("folder", nargs="?", default="full", help="the folder of the originals (default: look for it)")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, help="where to write (default: in place)")
    options = parser.parse_args()
    for path in make(options.folder, options.out):
        print(hashlib.sha256(path.read_bytes()).hexdigest(), path)


if __name__ == "__main__":
    main()
