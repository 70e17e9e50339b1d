"""MNIST and Fashion-MNIST: 28x28 grey images in four IDX files."""

from pathlib import Path
from typing import ClassVar

import numpy as np

from .dataset import Transform
from .idx import read_pair
from .image_files import ImageFiles

_EMBEDDED = Path(__file__).with_name("embedded")


class MNIST(ImageFiles):
    """Handwritten digits: 60,000 training and 10,000 test images, read from four IDX files, gzipped or plain.

    `root` is the folder that has them, or `"full"`, which looks in `$MINIDL_DATA/mnist`, `$MINIDL_DATA` and
    `~/.cache/minidl/mnist`, in that order. `download=True` fetches the files that are missing. `transform` is a fixed
    function of a batch of images.

    Shape:
        a batch of B indices: images (B, 1, 28, 28) float32 in [0, 1], labels (B,) int64.

    Raises:
        TypeError: root is no folder, or train or download neither True nor False.
        FileNotFoundError: a file is missing; the message names folders and remedies.
        OSError: a download failed.
        ValueError: a file is wrong, or was downloaded wrong; the message names it.

    Source: LeCun, Bottou, Bengio, Haffner, "Gradient-based learning applied to document recognition" (1998).
    """

    title = "MNIST"
    folder_name = "mnist"
    url = "https://ossci-datasets.s3.amazonaws.com/mnist/"
    checksums: ClassVar[dict[str, str]] = {
        "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
        "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
        "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
    }
    classes = tuple("0123456789")
    channel_mean, channel_std = (0.1307,), (0.3081,)
    first_labels = ((5, 0, 4, 1, 9, 2, 1, 3, 1, 4), (7, 2, 1, 0, 4, 1, 4, 9, 5, 9))  # of training and test set

    def _missing(self, folder: Path) -> list[str]:
        return [name for name in self.checksums if not _present(folder / name)]

    def _read(self, folder: Path, train: bool) -> tuple[np.ndarray, np.ndarray]:
        part = "train" if train else "t10k"
        images = _present(folder / f"{part}-images-idx3-ubyte.gz")
        labels = _present(folder / f"{part}-labels-idx1-ubyte.gz")
        assert images and labels, "nothing is missing"
        pair = read_pair(images, labels, (28, 28), len(self.classes))
        for other in (MNIST, FashionMNIST):  # their files have the same names
            theirs = other.first_labels[0 if train else 1]
            if type(self).title != other.title and tuple(pair[1][: len(theirs)].tolist()) == theirs:
                raise ValueError(f"{labels}: expected the labels of {self.title}, got those of {other.title}")
        return pair


class FashionMNIST(MNIST):
    """Articles of clothing: 60,000 training and 10,000 test images, of which minidl brings 10,000 and 10,000 along.

    `root` alone decides which images these are, whatever the machine has: `"embedded"` (the default), the first 1,000
    training images of each class and the whole test set, in the package; `"full"`, all of them, from the four IDX files
    in `$MINIDL_DATA/fashion-mnist`, `$MINIDL_DATA`, `/usr/share/datasets/fashion-mnist` (Debian's package
    dataset-fashion-mnist) or `~/.cache/minidl/fashion-mnist`, the first that has them; or the folder that has them.
    `download=True` fetches the files that are missing; without a root it means `"full"`. `transform` is a fixed
    function of a batch of images.

    Shape:
        a batch of B indices: images (B, 1, 28, 28) float32 in [0, 1], labels (B,) int64.

    Raises:
        TypeError: root is no folder, or train or download neither True nor False.
        FileNotFoundError: a file is missing; the message names folders and remedies.
        OSError: a download failed.
        ValueError: a file is wrong, or was downloaded wrong, or a download of the embedded images is asked for.

    Source: Xiao, Rasul, Vollgraf, "Fashion-MNIST: a novel image dataset for benchmarking machine learning algorithms"
    (2017).
    """

    title = "Fashion-MNIST"
    folder_name = "fashion-mnist"
    url = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
    checksums: ClassVar[dict[str, str]] = {
        "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
        "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
        "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
    }
    classes = (
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    )
    channel_mean, channel_std = (0.2860,), (0.3530,)
    first_labels = ((9, 0, 0, 3, 0, 2, 7, 2, 5, 5), (9, 2, 1, 1, 6, 1, 4, 6, 5, 7))
    package = "dataset-fashion-mnist"

    def __init__(
        self,
        root: str | Path | None = None,
        train: bool = True,
        transform: Transform | None = None,
        download: bool = False,
    ):
        if root == "embedded" and download:
            raise ValueError(
                'FashionMNIST: expected download=False with root="embedded", whose images are in the package; use '
                'root="full" for all 60,000'
            )
        if root is None:
            root = "full" if download else "embedded"
        super().__init__(_EMBEDDED if root == "embedded" else root, train, transform, download)


def _present(path: Path) -> Path | None:
    """The file as it is named, or unpacked, or neither."""
    return next((found for found in (path, path.with_suffix("")) if found.is_file()), None)
