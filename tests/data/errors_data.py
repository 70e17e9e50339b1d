"""Wrong input to datasets, splits, loaders, transforms and scalers."""

import numpy as np

from minidl import Generator
from minidl.data import (
    CIFAR10,
    MNIST,
    ArrayDataset,
    Compose,
    DataLoader,
    Dataset,
    FashionMNIST,
    MinMaxScaler,
    Normalize,
    RandomCrop,
    RandomHorizontalFlip,
    StandardScaler,
    Subset,
    moons,
    random_split,
    spirals,
)

x, y = np.ones((6, 2), np.float32), np.array([0, 1, 2, 0, 1, 2])
images = np.ones((4, 3, 8, 8), np.float32)
data, regression = ArrayDataset(x, y), ArrayDataset(x, x)


class Empty(Dataset):
    def __len__(self):
        return 0


class Given:
    """A dataset that answers with the arrays given, whatever they are."""

    def __init__(self, *arrays):
        self.arrays = arrays

    def __len__(self):
        return 4

    def __getitem__(self, indices):
        return self.arrays


def first(*arguments, **options):
    return next(iter(DataLoader(*arguments, **options)))


ERRORS = [
    ("dataset list", lambda: ArrayDataset([1.0], y), TypeError, ["ArrayDataset", "inputs", "list", "asarray"]),
    ("dataset target list", lambda: ArrayDataset(x, [0] * 6), TypeError, ["ArrayDataset", "targets", "list"]),
    ("dataset scalar", lambda: ArrayDataset(np.float32(1), y), TypeError, ["ArrayDataset", "ndarray", "float32"]),
    ("dataset ints", lambda: ArrayDataset(x.astype(int), y), TypeError, ["ArrayDataset", "float32", "got int64"]),
    ("dataset half", lambda: ArrayDataset(x.astype(np.float16), y), TypeError, ["ArrayDataset", "got float16"]),
    ("dataset text", lambda: ArrayDataset(x, np.array(["a"] * 6)), TypeError, ["ArrayDataset", "targets", "<U1"]),
    ("dataset bool", lambda: ArrayDataset(x, y > 0), TypeError, ["ArrayDataset", "targets", "bool"]),
    ("dataset lengths", lambda: ArrayDataset(x, y[:5]), ValueError, ["ArrayDataset", "(6, 2)", "(5,)"]),
    ("dataset empty", lambda: ArrayDataset(x[:0], y[:0]), ValueError, ["ArrayDataset", "at least one", "(0, 2)"]),
    ("dataset NaN", lambda: ArrayDataset(x, np.full(6, np.nan)), ValueError, ["ArrayDataset", "NaN", "6 of 6"]),
    ("dataset transform", lambda: ArrayDataset(x, y, 3), TypeError, ["ArrayDataset", "transform", "int 3"]),
    (
        "dataset random transform",
        lambda: ArrayDataset(images, y[:4], RandomCrop(3)),
        TypeError,
        ["ArrayDataset", "without randomness", "RandomCrop", "DataLoader(transform="],
    ),
    ("index one", lambda: data[3], TypeError, ["ArrayDataset", "array of positions", "int 3", "dataset[[i]]"]),
    ("index float", lambda: data[[0.5]], TypeError, ["ArrayDataset", "array of positions", "list"]),
    ("index mask", lambda: data[y > 0], TypeError, ["ArrayDataset", "array of positions", "bool"]),
    ("index 2-D", lambda: data[y[None]], TypeError, ["ArrayDataset", "one-dimensional", "(1, 6)"]),
    ("index high", lambda: data[[0, 6]], ValueError, ["ArrayDataset", "[0, 6)", "0 to 6"]),
    ("index negative", lambda: data[[-1]], ValueError, ["ArrayDataset", "[0, 6)", "-1"]),
    ("subset list", lambda: Subset([1, 2], [0]), TypeError, ["Subset", "dataset", "list"]),
    ("subset empty", lambda: Subset(data, []), ValueError, ["Subset", "at least one", "6 examples"]),
    ("subset float", lambda: Subset(data, [1.5]), TypeError, ["Subset", "array of positions"]),
    ("subset outside", lambda: Subset(data, [2, 9]), ValueError, ["Subset", "[0, 6)", "9"]),
    ("subset targets", lambda: Subset(Given(x, y), [1]).targets, TypeError, ["Subset", "targets", "Given"]),
    ("split counts", lambda: random_split(data, [4, 3]), ValueError, ["random_split", "6 examples", "sum to 7"]),
    ("split fractions", lambda: random_split(data, [0.9, 0.2]), ValueError, ["random_split", "sum to 1", "0.2"]),
    ("split zero", lambda: random_split(data, [6, 0]), ValueError, ["random_split", "above 0", "[6, 0]"]),
    ("split negative", lambda: random_split(data, [1.5, -0.5]), ValueError, ["random_split", "above 0", "-0.5"]),
    ("split NaN", lambda: random_split(data, [np.nan, 1.0]), ValueError, ["random_split", "above 0", "nan"]),
    ("split empty part", lambda: random_split(data, [0.9, 0.05, 0.05]), ValueError, ["random_split", "empty part"]),
    ("split nothing", lambda: random_split(data, []), TypeError, ["random_split", "counts or of fractions", "[]"]),
    ("split number", lambda: random_split(data, 3), TypeError, ["random_split", "counts or of fractions", "3"]),
    ("split None", lambda: random_split(None, [3, 3]), TypeError, ["random_split", "dataset", "NoneType"]),
    ("split text", lambda: random_split(data, ["a"]), TypeError, ["random_split", "counts or of fractions", "'a'"]),
    ("split rng", lambda: random_split(data, [3, 3], rng="0"), TypeError, ["'0'"]),
    (
        "split stratify",
        lambda: random_split(regression, [3, 3], stratify=True),
        TypeError,
        ["random_split", "stratify", "(6, 2)", "float32"],
    ),
    (
        "split stratify without targets",
        lambda: random_split(Given(x, y), [2, 2], stratify=True),
        TypeError,
        ["random_split", "targets", "Given"],
    ),
    ("loader dataset", lambda: DataLoader(5), TypeError, ["DataLoader", "dataset", "int", "ArrayDataset"]),
    ("loader pairs", lambda: DataLoader([(x[0], 1), (x[1], 0)]), TypeError, ["DataLoader", "list", "ArrayDataset"]),
    ("loader array", lambda: DataLoader(x), TypeError, ["DataLoader", "(6, 2)", "ArrayDataset(inputs, targets)"]),
    ("loader empty", lambda: DataLoader(Empty()), ValueError, ["DataLoader", "at least one example", "Empty"]),
    ("loader shuffle", lambda: DataLoader(data, 2, "no"), TypeError, ["DataLoader", "True or False", "'no'"]),
    ("loader drop_last", lambda: DataLoader(data, 2, drop_last=1), TypeError, ["DataLoader", "drop_last", "1"]),
    ("loader batch 0", lambda: DataLoader(data, 0), ValueError, ["DataLoader", "batch_size", "at least 1", "0"]),
    ("loader batch negative", lambda: DataLoader(data, -2), ValueError, ["DataLoader", "batch_size", "-2"]),
    ("loader batch float", lambda: DataLoader(data, 2.0), TypeError, ["DataLoader", "batch_size", "2.0"]),
    ("loader batch bool", lambda: DataLoader(data, True), TypeError, ["DataLoader", "batch_size", "True"]),
    ("loader prefetch", lambda: DataLoader(data, 2, prefetch=-1), ValueError, ["DataLoader", "prefetch", "-1"]),
    ("loader prefetch None", lambda: DataLoader(data, 2, prefetch=None), TypeError, ["DataLoader", "prefetch", "None"]),
    ("loader transform", lambda: DataLoader(data, 2, transform=1), TypeError, ["DataLoader", "transform", "1"]),
    ("loader rng", lambda: DataLoader(data, 2, True, rng=0.5), TypeError, ["0.5"]),
    (
        "loader nothing left",
        lambda: DataLoader(data, 7, drop_last=True),
        ValueError,
        ["DataLoader", "6 examples", "7", "no batch would be left"],
    ),
    (
        "loader state",
        lambda: DataLoader(data).load_state_dict({"epoch": 1}),
        ValueError,
        ["DataLoader", "seed", "epoch"],
    ),
    (
        "loader state negative",
        lambda: DataLoader(data).load_state_dict({"epoch": -1, "seed": 0}),
        ValueError,
        ["DataLoader", "whole numbers", "-1"],
    ),
    ("batch of one", lambda: first(Given(x), 4), TypeError, ["DataLoader", "(inputs, targets)", "tuple of 1"]),
    ("batch of ints", lambda: first(Given(y, y), 6), TypeError, ["DataLoader", "inputs", "float32", "int64"]),
    ("batch of lists", lambda: first(Given([1.0], y), 4), TypeError, ["DataLoader", "inputs", "list"]),
    (
        "batch of int32 targets",
        lambda: first(Given(images, np.zeros(4, "i4")), 4),
        TypeError,
        ["targets", "int64", "int32"],
    ),
    ("batch of another size", lambda: first(Given(x, y), 4), ValueError, ["DataLoader", "4 inputs", "(6, 2)"]),
    (
        "batch transformed",
        lambda: first(data, 4, transform=lambda a: a[1:]),
        ValueError,
        ["DataLoader", "4 inputs", "transform", "(3, 2)"],
    ),
    ("normalize std 0", lambda: Normalize(0.5, 0.0), ValueError, ["Normalize", "std above 0", "0.0"]),
    ("normalize text", lambda: Normalize("half", 1), TypeError, ["Normalize", "numbers", "'half'"]),
    ("normalize nothing", lambda: Normalize([], []), ValueError, ["Normalize", "each channel", "[]"]),
    ("normalize NaN", lambda: Normalize(np.nan, 1.0), ValueError, ["Normalize", "finite", "nan"]),
    ("normalize counts", lambda: Normalize([1, 2], [1.0]), ValueError, ["Normalize", "each channel", "[1, 2]"]),
    ("normalize channels", lambda: Normalize([1, 2], [1, 2])(images), ValueError, ["Normalize", "2 channels", "(4, 3"]),
    ("normalize vectors", lambda: Normalize(1, 2)(x), ValueError, ["Normalize", "(N, C, H, W)", "(6, 2)"]),
    ("normalize bytes", lambda: Normalize(1, 2)(images.astype("u1")), TypeError, ["Normalize", "float32", "uint8"]),
    ("crop size 0", lambda: RandomCrop(0), ValueError, ["RandomCrop", "size of at least 1", "0"]),
    ("crop padding", lambda: RandomCrop(3, -1), ValueError, ["RandomCrop", "padding", "-1"]),
    ("crop float", lambda: RandomCrop((2.0, 3)), TypeError, ["RandomCrop", "whole number", "size", "2.0"]),
    ("crop triple", lambda: RandomCrop((1, 2, 3)), ValueError, ["RandomCrop", "size", "(1, 2, 3)"]),
    ("crop None", lambda: RandomCrop(None), TypeError, ["RandomCrop", "size", "None"]),
    (
        "crop too large",
        lambda: RandomCrop(11, 1)(images, Generator(0)),
        ValueError,
        ["RandomCrop", "11x11", "(4, 3, 8, 8)"],
    ),
    ("crop without rng", lambda: RandomCrop(3)(images), TypeError, ["RandomCrop", "rng", "None"]),
    ("crop vectors", lambda: RandomCrop(3)(x, Generator(0)), ValueError, ["RandomCrop", "(N, C, H, W)", "(6, 2)"]),
    ("flip p", lambda: RandomHorizontalFlip(1.5), ValueError, ["RandomHorizontalFlip", "p from 0 to 1", "1.5"]),
    ("flip NaN", lambda: RandomHorizontalFlip(np.nan), ValueError, ["RandomHorizontalFlip", "nan"]),
    ("flip text", lambda: RandomHorizontalFlip("half"), TypeError, ["RandomHorizontalFlip", "number", "'half'"]),
    ("flip rng", lambda: RandomHorizontalFlip()(images, 0), TypeError, ["RandomHorizontalFlip", "rng", "0"]),
    ("compose", lambda: Compose([RandomCrop(3), None]), TypeError, ["Compose", "functions", "None"]),
    ("standard ints", lambda: StandardScaler().fit(y), TypeError, ["StandardScaler.fit", "float32", "int64"]),
    ("standard images", lambda: StandardScaler().fit(images), ValueError, ["StandardScaler.fit", "(N, D)", "reshape"]),
    (
        "standard empty",
        lambda: StandardScaler().fit(x[:0]),
        ValueError,
        ["StandardScaler.fit", "at least one", "(0, 2)"],
    ),
    ("standard NaN", lambda: StandardScaler().fit(x * np.nan), ValueError, ["StandardScaler.fit", "finite", "12"]),
    ("standard unfitted", lambda: StandardScaler().transform(x), ValueError, ["StandardScaler.transform", "call fit"]),
    (
        "standard features",
        lambda: StandardScaler().fit(x).inverse_transform(x[:, :1]),
        ValueError,
        ["StandardScaler.inverse_transform", "2 features", "(6, 1)"],
    ),
    ("minmax list", lambda: MinMaxScaler().fit([[1.0]]), TypeError, ["MinMaxScaler.fit", "list"]),
    ("minmax infinite", lambda: MinMaxScaler().fit(x * np.inf), ValueError, ["MinMaxScaler.fit", "finite"]),
    ("minmax unfitted", lambda: MinMaxScaler().inverse_transform(x), ValueError, ["MinMaxScaler", "call fit"]),
    ("minmax features", lambda: MinMaxScaler().fit(x).transform(x[:, :1]), ValueError, ["MinMaxScaler", "(6, 1)"]),
    ("moons 1", lambda: moons(1), ValueError, ["moons", "at least 2", "1"]),
    ("moons float", lambda: moons(10.0), TypeError, ["moons", "whole number", "10.0"]),
    ("moons noise", lambda: moons(10, -0.1), ValueError, ["moons", "noise", "-0.1"]),
    ("moons text", lambda: moons(10, "much"), TypeError, ["moons", "noise", "'much'"]),
    ("spirals classes", lambda: spirals(10, 1), ValueError, ["spirals", "classes", "at least 2", "1"]),
    ("spirals points", lambda: spirals(3, 4), ValueError, ["spirals", "n of at least 4", "3"]),
    ("spirals noise", lambda: spirals(10, noise=np.nan), ValueError, ["spirals", "noise", "nan"]),
    ("embedded download", lambda: FashionMNIST("embedded", download=True), ValueError, ["FashionMNIST", 'root="full"']),
    ("embedded train", lambda: FashionMNIST(train="test"), TypeError, ["FashionMNIST", "True or False", "'test'"]),
    ("mnist root", lambda: MNIST(None), TypeError, ["MNIST", "folder", "None"]),
    ("cifar root", lambda: CIFAR10(10), TypeError, ["CIFAR10", "folder", "10"]),
]
