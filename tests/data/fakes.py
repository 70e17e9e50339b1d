"""Small files in the formats of the real datasets."""

import gzip
import io
import tarfile
from pathlib import Path

import numpy as np

STEMS = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
CIFAR_FILES = (*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin")


def idx_bytes(array):
    header = bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
    return header + array.tobytes()


def mnist_arrays(train=20, test=10):
    random = np.random.default_rng(3)
    arrays = []
    for count in (train, test):
        arrays += [random.integers(0, 256, (count, 28, 28), np.uint8), (np.arange(count) % 10).astype(np.uint8)]
    return arrays


def write_mnist(folder, packed=True, train=20, test=10):
    """The four files; answers their arrays."""
    folder.mkdir(parents=True, exist_ok=True)
    arrays = mnist_arrays(train, test)
    for stem, array in zip(STEMS, arrays, strict=True):
        if packed:
            (folder / f"{stem}.gz").write_bytes(gzip.compress(idx_bytes(array), mtime=0))
        else:
            (folder / stem).write_bytes(idx_bytes(array))
    return arrays


def cifar_records(count=4, seed=0):
    records = np.random.default_rng(seed).integers(0, 256, (count, 3073), np.uint8)
    records[:, 0] %= 10
    return records


def write_cifar(folder, count=4):
    """The six files; answers their records."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {name: cifar_records(count, seed) for seed, name in enumerate(CIFAR_FILES)}
    for name, records in files.items():
        (folder / name).write_bytes(records.tobytes())
    return files


def write_cifar_archive(folder, names=CIFAR_FILES):
    folder.mkdir(parents=True, exist_ok=True)
    files = {name: cifar_records(4, seed) for seed, name in enumerate(names)}
    with tarfile.open(Path(folder) / "cifar-10-binary.tar.gz", "w:gz") as tar:
        for name, records in files.items():
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = records.nbytes
            tar.addfile(member, io.BytesIO(records.tobytes()))
    return files
