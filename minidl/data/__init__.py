"""Datasets, and batches of them."""

from .cifar import CIFAR10
from .dataset import ArrayDataset, Dataset, Subset
from .idx import read_idx
from .loader import DataLoader
from .mnist import MNIST, FashionMNIST
from .scalers import MinMaxScaler, StandardScaler
from .split import random_split
from .toys import moons, spirals
from .transforms import BatchTransform, Compose, Normalize, RandomCrop, RandomHorizontalFlip

__all__ = [
    "CIFAR10",
    "MNIST",
    "ArrayDataset",
    "BatchTransform",
    "Compose",
    "DataLoader",
    "Dataset",
    "FashionMNIST",
    "MinMaxScaler",
    "Normalize",
    "RandomCrop",
    "RandomHorizontalFlip",
    "StandardScaler",
    "Subset",
    "moons",
    "random_split",
    "read_idx",
    "spirals",
]
