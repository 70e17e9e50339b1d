"""CIFAR-10: 32x32 colour images, in its binary version; nothing is unpickled."""

import gzip
import tarfile
import zlib
from pathlib import Path
from typing import ClassVar

import numpy as np

from .idx import check_labels
from .image_files import ImageFiles

_ARCHIVE = "cifar-10-binary.tar.gz"
_TRAIN = tuple(f"data_batch_{i}.bin" for i in range(1, 6))
_TEST = ("test_batch.bin",)
_SHAPE = (3, 32, 32)
_RECORD = 1 + 3 * 32 * 32  # bytes: the label, then the red, green and blue plane


class CIFAR10(ImageFiles):
    """Photographs of animals and vehicles: 50,000 training and 10,000 test images, from the binary version.

    `root` is a folder that has `cifar-10-binary.tar.gz`, or the six `.bin` files in it, or them in a folder
    `cifar-10-batches-bin`; or `"full"`, which looks in `$MINIDL_DATA/cifar-10`, `$MINIDL_DATA` and
    `~/.cache/minidl/cifar-10`, in that order. The archive is read in place, nothing is unpacked. `download=True`
    fetches it (162 MB) if it is missing. `transform` is a fixed function of a batch of images.

    Shape:
        a batch of B indices: images (B, 3, 32, 32) float32 in [0, 1], labels (B,) int64.

    Raises:
        TypeError: root is no folder, or train or download neither True nor False.
        FileNotFoundError: a file is missing; the message names folders and remedies.
        OSError: the download failed.
        ValueError: a file is wrong, or was downloaded wrong; the message names it.

    Source: Krizhevsky, "Learning multiple layers of features from tiny images" (2009), chapter 3.
    """

    title = "CIFAR-10"
    folder_name = "cifar-10"
    url = "https://www.cs.toronto.edu/~kriz/"
    checksums: ClassVar[dict[str, str]] = {_ARCHIVE: "c32a1d4ab5d03f1284b67883e8d87530"}
    classes = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
    channel_mean, channel_std = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)

    def _missing(self, folder: Path) -> list[str]:
        return [] if _unpacked(folder) or (folder / _ARCHIVE).is_file() else [_ARCHIVE]

    def _read(self, folder: Path, train: bool) -> tuple[np.ndarray, np.ndarray]:
        names = _TRAIN if train else _TEST
        files = _unpacked(folder)
        contents = (
            {str(files / name): (files / name).read_bytes() for name in names}
            if files
            else _members(folder / _ARCHIVE, names)
        )
        batches = [_parse(path, content, len(self.classes)) for path, content in contents.items()]
        return np.concatenate([images for images, _ in batches]), np.concatenate([labels for _, labels in batches])


def _unpacked(folder: Path) -> Path | None:
    """The folder that has the six files, if one has."""
    for candidate in (folder, folder / "cifar-10-batches-bin"):
        if all((candidate / name).is_file() for name in _TRAIN + _TEST):
            return candidate
    return None


def _members(archive: Path, names: tuple[str, ...]) -> dict[str, bytes]:
    """The contents of the files of these names in the archive, wherever in it they lie."""
    found = {}
    try:
        with gzip.open(archive) as stream:
            with tarfile.open(fileobj=stream, mode="r|") as tar:
                for member in tar:
                    file = tar.extractfile(member) if member.isfile() else None
                    if file is not None and Path(member.name).name in names:
                        found[Path(member.name).name] = file.read()
            while stream.read(1 << 20):
                pass  # to the end, where the checksum of the whole stands
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise ValueError(f"{archive}: the archive is truncated or corrupt ({error}); fetch it again") from error
    lacking = [name for name in names if name not in found]
    if lacking:
        raise ValueError(f"{archive}: expected {', '.join(names)} in it, got no {', '.join(lacking)}")
    return {f"{archive}: {name}": found[name] for name in names}


def _parse(path: str, content: bytes, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """The images and labels in one file's content."""
    if not content or len(content) % _RECORD:
        raise ValueError(
            f"{path}: expected images of {_RECORD} bytes each, label included, got {len(content)} bytes, "
            f"{len(content) / _RECORD:.2f} images; the file is truncated or not of CIFAR-10's binary version"
        )
    records = np.frombuffer(content, np.uint8).reshape(-1, _RECORD)
    labels = records[:, 0]
    check_labels(path, labels, classes)
    return records[:, 1:].reshape(-1, *_SHAPE), labels
