"""Image datasets that lie in files: where the files are looked for, and how they are fetched."""

import hashlib
import http.client
import os
import urllib.request
from pathlib import Path
from typing import ClassVar

import numpy as np

from ..checks import check_flag
from ..files import writing
from .dataset import ArrayDataset, Transform

_TIMEOUT = 60  # seconds without an answer
_BLOCK = 1 << 20  # bytes


class ImageFiles(ArrayDataset):
    """A dataset of images in files, which a subclass knows how to read.

    `root` says where the files are, and nothing else decides: a folder, or `"full"`, the first of these that has
    them all: `$MINIDL_DATA/<folder>`, `$MINIDL_DATA`, where the system's package puts them,
    `~/.cache/minidl/<folder>`. With `download=True` what is missing is fetched: to the folder named, or else to
    `$MINIDL_DATA/<folder>` where that variable is set and to the cache where it is not. The attribute `folder` says
    where the images came from.
    """

    title: str  # how the dataset is called
    folder_name: str  # how its folder is called
    url: str  # where the files are fetched from, up to their names
    checksums: ClassVar[dict[str, str]]  # MD5 of each file fetched
    classes: tuple[str, ...]
    channel_mean: tuple[float, ...]  # of the whole training set, scaled to [0, 1], for Normalize
    channel_std: tuple[float, ...]
    package: str | None = None  # the Debian package, which puts the files under /usr/share/datasets

    def __init__(
        self,
        root: str | Path = "full",
        train: bool = True,
        transform: Transform | None = None,
        download: bool = False,
    ):
        if not isinstance(root, str | Path):
            raise TypeError(f"{type(self).__name__}: expected a folder, or one of its words, as root, got {root!r}")
        train = check_flag(type(self).__name__, "train", train)
        self.folder = self._locate(root, check_flag(type(self).__name__, "download", download))
        images, labels = self._read(self.folder, train)
        super().__init__(images, labels, transform)

    def _missing(self, folder: Path) -> list[str]:
        """The files that are not in a folder."""
        raise NotImplementedError

    def _read(self, folder: Path, train: bool) -> tuple[np.ndarray, np.ndarray]:
        """The images (N, C, H, W) and labels (N,) in a folder that misses nothing."""
        raise NotImplementedError

    def _locate(self, root: str | Path, download: bool) -> Path:
        """The folder that has the files, after fetching them if need be."""
        folders = self._folders() if root == "full" else [Path(root).expanduser()]
        for folder in folders:
            if not self._missing(folder):
                return folder
        target = folders[0] if root != "full" or os.environ.get("MINIDL_DATA") else folders[-1]
        if not download:
            remedies = [
                f"{type(self).__name__}({str(root)!r}, download=True) fetches them",
                "name the folder that has them as root",
            ]
            remedies += [f"install Debian's package {self.package}"] if self.package else []
            places = "; ".join(f"{folder} lacks {', '.join(self._missing(folder))}" for folder in folders)
            raise FileNotFoundError(f"{self.title}: the files are not there ({places}): {', or '.join(remedies)}")
        for name in self._missing(target):
            fetch(self.title, self.url + name, target / name, self.checksums[name])
        return target

    def _folders(self) -> list[Path]:
        """Where the files are looked for when no folder is named."""
        named = os.environ.get("MINIDL_DATA")
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        folders = [Path(named).expanduser() / self.folder_name, Path(named).expanduser()] if named else []
        folders += [Path("/usr/share/datasets") / self.folder_name] if self.package else []
        return [*folders, cache / "minidl" / self.folder_name]


def fetch(title: str, url: str, path: Path, checksum: str) -> None:
    """Download a file; `path` appears only when it is whole and its MD5 is the one expected.

    Raises:
        OSError: it could not be fetched or written.
        ValueError: what came is not the file expected.
    """
    remedy = f"try again, or put {path.name} into {path.parent} yourself and name that folder as root"
    digest = hashlib.md5(usedforsecurity=False)
    try:
        with (
            writing(path) as temporary,
            temporary.open("wb") as file,
            urllib.request.urlopen(url, timeout=_TIMEOUT) as reply,
        ):
            while block := reply.read(_BLOCK):
                digest.update(block)
                file.write(block)
            if digest.hexdigest() != checksum:
                raise ValueError(
                    f"{title}: {url}, fetched for {path}, has MD5 {digest.hexdigest()}, expected {checksum}: the "
                    f"download is incomplete or another file; nothing was kept; {remedy}"
                )
    except (OSError, http.client.HTTPException) as error:
        raise OSError(f"{title}: could not download {url} to {path}: {error}; {remedy}") from error
