"""MNIST and Fashion-MNIST: which files are read, and that nothing but the arguments decides it."""

import gzip
import re

import numpy as np
import pytest

from minidl.data import MNIST, FashionMNIST

from .fakes import STEMS, idx_bytes, write_mnist


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    """No dataset on this machine but what the test puts under `tmp_path`."""
    monkeypatch.delenv("MINIDL_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(FashionMNIST, "package", None)
    return tmp_path


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("kind", [MNIST, FashionMNIST])
def test_a_named_folder_is_read(tmp_path, kind, packed):
    arrays = write_mnist(tmp_path, packed)
    for train, (images, labels) in ((True, arrays[:2]), (False, arrays[2:])):
        dataset = kind(tmp_path, train=train)
        x, y = dataset[np.arange(len(labels))[::-1]]
        np.testing.assert_array_equal(x, images[::-1, None].astype(np.float32) / np.float32(255), strict=True)
        np.testing.assert_array_equal(y, labels[::-1].astype(np.int64), strict=True)
        assert dataset.folder == tmp_path


def test_full_is_looked_for_in_order(nowhere, monkeypatch):
    data, package = nowhere / "data", "minidl-no-such-package"
    cache = nowhere / "cache/minidl/fashion-mnist"
    write_mnist(cache)
    assert FashionMNIST("full").folder == cache
    monkeypatch.setenv("MINIDL_DATA", str(data))
    assert FashionMNIST("full").folder == cache
    write_mnist(data)
    assert FashionMNIST("full").folder == data
    write_mnist(data / "fashion-mnist")
    assert FashionMNIST("full").folder == data / "fashion-mnist"
    (data / "fashion-mnist" / f"{STEMS[3]}.gz").unlink()  # one of the four is missing: not the dataset
    assert FashionMNIST("full").folder == data
    monkeypatch.setattr(FashionMNIST, "package", package)
    assert [str(f) for f in FashionMNIST._folders(FashionMNIST(data))] == [
        str(data / "fashion-mnist"),
        str(data),
        "/usr/share/datasets/fashion-mnist",
        str(cache),
    ]


def test_the_default_is_embedded_whatever_the_machine_has(nowhere, monkeypatch):
    write_mnist(nowhere / "fashion-mnist")
    monkeypatch.setenv("MINIDL_DATA", str(nowhere))
    assert len(FashionMNIST()) == len(FashionMNIST("embedded")) == 10_000
    assert len(FashionMNIST("full")) == 20


def test_the_embedded_images_need_no_download():
    with pytest.raises(ValueError, match="download=False"):
        FashionMNIST("embedded", download=True)


@pytest.mark.parametrize("kind", [MNIST, FashionMNIST])
def test_a_folder_without_the_files_is_named_with_the_remedy(nowhere, kind):
    write_mnist(nowhere / "some")
    (nowhere / "some" / f"{STEMS[1]}.gz").unlink()
    words = f"{kind.title}: .*{re.escape(str(nowhere / 'some'))} lacks {STEMS[1]}.gz.*download=True"
    with pytest.raises(FileNotFoundError, match=words):
        kind(nowhere / "some")
    with pytest.raises(
        FileNotFoundError, match=f"cache/minidl/{kind.folder_name} lacks {STEMS[0]}.gz, .*download=True"
    ):
        kind("full")


def test_debians_package_is_a_remedy(nowhere, monkeypatch):
    monkeypatch.setattr(FashionMNIST, "package", "dataset-fashion-mnist")
    with pytest.raises(FileNotFoundError, match="install Debian's package dataset-fashion-mnist"):
        FashionMNIST(nowhere)


@pytest.mark.parametrize(
    ("stem", "change", "words"),
    [
        (0, lambda content: content[:-5000], "gzip data is truncated"),
        (1, lambda content: content[:15], "gzip data is truncated"),
        (0, lambda content: idx_bytes(np.zeros((20, 32, 32), np.uint8)), "28x28 pixels, got shape (20, 32, 32)"),
        (1, lambda content: idx_bytes(np.zeros(19, np.uint8)), "expected 20 labels"),
        (1, lambda content: idx_bytes(np.full(20, 10, np.uint8)), "labels from 0 to 9, got 10"),
    ],
)
def test_a_wrong_file_is_named(tmp_path, stem, change, words):
    write_mnist(tmp_path)
    path = tmp_path / f"{STEMS[stem]}.gz"
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(ValueError, match=f"{re.escape(str(path))}: .*{re.escape(words)}"):
        FashionMNIST(tmp_path)


@pytest.mark.parametrize(("kind", "other"), [(MNIST, FashionMNIST), (FashionMNIST, MNIST)])
@pytest.mark.parametrize("train", [True, False])
def test_the_other_ones_files_of_the_same_names_are_refused(tmp_path, kind, other, train):
    write_mnist(tmp_path)
    labels = np.zeros(20 if train else 10, np.uint8)
    labels[:10] = other.first_labels[0 if train else 1]
    path = tmp_path / f"{STEMS[1 if train else 3]}.gz"
    path.write_bytes(gzip.compress(idx_bytes(labels)))
    with pytest.raises(ValueError, match=f"labels of {kind.title}, got those of {other.title}"):
        kind(tmp_path, train)
    assert other(tmp_path, train).targets[:10].tolist() == labels[:10].tolist()


def test_there_is_a_name_for_each_class():
    assert len(MNIST.classes) == len(FashionMNIST.classes) == 10
    assert FashionMNIST.classes[9] == "Ankle boot"
