"""CIFAR-10 from its binary files and straight from the archive."""

import re

import numpy as np
import pytest

from minidl.data import CIFAR10

from .fakes import CIFAR_FILES, write_cifar, write_cifar_archive


@pytest.mark.parametrize("layout", ["files", "folder", "archive"])
@pytest.mark.parametrize("train", [True, False])
def test_images_and_labels_are_those_of_the_records(tmp_path, layout, train):
    write = write_cifar_archive if layout == "archive" else write_cifar
    files = write(tmp_path / "cifar-10-batches-bin" if layout == "folder" else tmp_path)
    records = np.concatenate([files[name] for name in (CIFAR_FILES[:5] if train else CIFAR_FILES[5:])])
    dataset = CIFAR10(tmp_path, train=train)
    assert len(dataset) == len(records) == (20 if train else 4)
    x, y = dataset[:]
    assert y.tolist() == records[:, 0].tolist()
    assert (x.shape[1:], x.dtype) == ((3, 32, 32), np.float32)
    for channel in range(3):
        for row, column in ((0, 0), (0, 31), (17, 5), (31, 31)):  # a plane for each colour, in C order
            expected = records[:, 1 + 1024 * channel + 32 * row + column] / np.float32(255)
            np.testing.assert_array_equal(x[:, channel, row, column], expected)
    assert x.transpose(0, 2, 3, 1).flags.c_contiguous
    assert dataset.inputs.transpose(0, 2, 3, 1).flags.c_contiguous


def test_a_missing_folder_is_named_with_the_remedy(tmp_path):
    with pytest.raises(FileNotFoundError, match=f"{re.escape(str(tmp_path))} lacks cifar-10-binary.tar.gz.*download"):
        CIFAR10(tmp_path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "got 0 bytes"),
        (bytes(3073 * 2 - 1), "got 6145 bytes, 2.00 images"),
        (b"\x0a" * 3073, "from 0 to 9, got 10"),
    ],
)
def test_a_wrong_file_is_named(tmp_path, content, words):
    write_cifar(tmp_path)
    (tmp_path / "data_batch_3.bin").write_bytes(content)
    with pytest.raises(ValueError, match=f"{re.escape(str(tmp_path / 'data_batch_3.bin'))}: .*{words}"):
        CIFAR10(tmp_path)


@pytest.mark.parametrize("keep", [10, 1000, -10])
def test_a_truncated_archive_is_named(tmp_path, keep):
    write_cifar_archive(tmp_path)
    path = tmp_path / "cifar-10-binary.tar.gz"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match=f"{re.escape(str(path))}: the archive is truncated or corrupt"):
        CIFAR10(tmp_path)


def test_an_archive_that_lacks_a_file_is_named(tmp_path):
    write_cifar_archive(tmp_path, CIFAR_FILES[:4])
    with pytest.raises(ValueError, match=r"cifar-10-binary.tar.gz: .*got no data_batch_5.bin"):
        CIFAR10(tmp_path)
