"""The images that come with minidl, and the script that makes them."""

import gzip
import hashlib
from pathlib import Path

import numpy as np
import pytest

import minidl.data
from minidl.data import FashionMNIST
from minidl.data.embedded.make import first_of_each_class, make

from .fakes import idx_bytes, write_mnist

FOLDER = Path(minidl.data.__file__).parent / "embedded"
SHA256 = {  # of the content: compressed, it depends on the version of zlib
    "train-images-idx3-ubyte.gz": "d33512cfdc636a0d8972818e6659995be209a88891df7fa2109d7895922c8985",
    "train-labels-idx1-ubyte.gz": "620cb8e3b9348037c5ff9a07b02d773ab165330e072dfd19e0d21c59f8042dcf",
    "t10k-images-idx3-ubyte.gz": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte.gz": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}


@pytest.mark.parametrize("name", SHA256)
def test_the_content_is_the_one_made_from_the_originals(name):
    assert hashlib.sha256(gzip.decompress((FOLDER / name).read_bytes())).hexdigest() == SHA256[name]


@pytest.mark.parametrize("train", [True, False])
def test_classes_are_balanced_and_images_are_images(train):
    dataset = FashionMNIST(train=train)
    assert np.bincount(dataset.targets).tolist() == [1000] * 10
    assert dataset.inputs.shape == (10_000, 1, 28, 28)
    x, _ = dataset[:]
    assert (x.min(), x.max(), x.dtype) == (0, 1, np.float32)
    assert abs(x.mean() - FashionMNIST.channel_mean[0]) < 0.005
    assert abs(x.std() - FashionMNIST.channel_std[0]) < 0.005
    boots = x[dataset.targets == 9].mean(0)[0]  # a boot is heavier at its sole than where a T-shirt has its neck
    assert boots[20].mean() > 2 * boots[2].mean()


def test_no_image_is_in_both_parts_but_few():
    images = [FashionMNIST(train=train).inputs.reshape(10_000, -1) for train in (True, False)]
    train, test = ({image.tobytes() for image in part} for part in images)
    assert len(train & test) <= 1


def test_the_licence_lies_beside_them():
    text = (FOLDER / "LICENSE-fashion-mnist.txt").read_text()
    for words in ("MIT License", "2017 Zalando SE", "github.com/zalandoresearch/fashion-mnist"):
        assert words in text


def test_the_first_of_each_class_in_order():
    assert first_of_each_class(np.array([2, 0, 0, 1, 2, 0, 1, 2]), 2).tolist() == [0, 1, 2, 3, 4, 6]
    with pytest.raises(ValueError, match="at least 3 examples of each class, got 2"):
        first_of_each_class(np.array([2, 0, 0, 1, 2, 0, 1, 2]), 3)


def test_making_it_twice_gives_the_same_bytes_and_the_right_images(tmp_path):
    images, labels, test_images, test_labels = write_mnist(tmp_path / "originals", train=40)
    first, again = (make(tmp_path / "originals", tmp_path / name, per_class=2) for name in ("first", "again"))
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in again]
    contents = [gzip.decompress(path.read_bytes()) for path in first]
    expected = [images[:20], labels[:20], test_images, test_labels]  # labels are 0..9, 0..9, ...
    assert contents == [idx_bytes(array) for array in expected]
    assert len(FashionMNIST(tmp_path / "first")) == 20
