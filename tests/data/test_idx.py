"""IDX files: what is read, and what is refused with the name of the file."""

import gzip
import re

import numpy as np
import pytest

from minidl.data import read_idx
from minidl.data.idx import read_pair

from .fakes import idx_bytes

ARRAY = np.random.default_rng(0).integers(0, 256, (3, 4, 5), np.uint8)


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("array", [ARRAY, ARRAY[0], ARRAY[0, 0]])
def test_the_array_comes_back(tmp_path, array, packed):
    content = idx_bytes(array)
    (tmp_path / "file").write_bytes(gzip.compress(content) if packed else content)
    np.testing.assert_array_equal(read_idx(tmp_path / "file", array.ndim), array, strict=True)


CONTENT, PACKED = idx_bytes(ARRAY), gzip.compress(idx_bytes(ARRAY), mtime=0)
WRONG = {
    "empty file": (b"", "header of 16 bytes, got a file of 0"),
    "half a header": (CONTENT[:9], "header of 16 bytes, got a file of 9"),
    "labels for images": (idx_bytes(np.zeros(20, np.uint8)), "number is 00000803, got 00000801"),
    "floats": (b"\0\0\x0d\x03" + CONTENT[4:], "number is 00000803, got 00000d03"),
    "a text": (b"<html><head>Not found</head></html>", "number is 00000803, got 3c68746d"),
    "too few bytes": (CONTENT[:-1], r"60 bytes for its shape \(3, 4, 5\), got 59; the data is truncated"),
    "too many bytes": (CONTENT + b"\0\0", r"60 bytes for its shape \(3, 4, 5\), got 62; the data is followed"),
    "no examples": (idx_bytes(ARRAY[:0]), r"at least one example, got shape \(0, 4, 5\)"),
    "a huge shape": (CONTENT[:4] + b"\xff" * 12 + CONTENT[16:], "79228162458924105385300197375 bytes"),
    "truncated gzip": (PACKED[: len(PACKED) // 2], "gzip data is truncated or corrupt"),
    "gzip without its end": (PACKED[:-3], "gzip data is truncated or corrupt"),
    "gzip with a wrong sum": (PACKED[:-8] + bytes(4) + PACKED[-4:], "gzip data is truncated or corrupt"),
    "gzip header alone": (PACKED[:4], "gzip data is truncated or corrupt"),
    "damaged gzip": (PACKED[:20] + b"\xff" * 20 + PACKED[40:], "gzip data is truncated or corrupt"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_file_is_named_with_what_is_wrong(tmp_path, name):
    content, words = WRONG[name]
    path = tmp_path / "file-idx3"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"{re.escape(str(path))}: .*{words}") as caught:
        read_idx(path, 3)
    assert caught.type is ValueError


def write_pair(folder, images, labels):
    paths = folder / "images", folder / "labels"
    for path, array in zip(paths, (images, labels), strict=True):
        path.write_bytes(idx_bytes(array))
    return paths


def test_images_get_one_channel(tmp_path):
    images, labels = read_pair(*write_pair(tmp_path, ARRAY, np.array([1, 0, 2], np.uint8)), (4, 5), 3)
    np.testing.assert_array_equal(images, ARRAY[:, None])
    assert labels.tolist() == [1, 0, 2]


@pytest.mark.parametrize(
    ("size", "labels", "file", "words"),
    [
        ((28, 28), [0, 1, 2], "images", r"images of 28x28 pixels, got shape \(3, 4, 5\)"),
        ((4, 5), [0, 1], "labels", "expected 3 labels, one for each image in .*images, got 2"),
        ((4, 5), [0, 3, 200], "labels", r"labels from 0 to 2, got 3 at example 1 \(2 such labels\)"),
    ],
)
def test_files_that_do_not_belong_together_are_refused(tmp_path, size, labels, file, words):
    paths = write_pair(tmp_path, ARRAY, np.array(labels, np.uint8))
    with pytest.raises(ValueError, match=f"{re.escape(str(tmp_path / file))}: .*{words}"):
        read_pair(*paths, size, 3)
