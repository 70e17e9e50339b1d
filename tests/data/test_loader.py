"""DataLoader: every example once, a new order each epoch, and the same ones again when resumed."""

import gc
import threading

import numpy as np
import pytest

import minidl.kernels.launch
from minidl import Generator, Tensor, manual_seed
from minidl.data import ArrayDataset, Compose, DataLoader, Normalize, RandomCrop, RandomHorizontalFlip, Subset


def numbers(count):
    return ArrayDataset(np.arange(count, dtype=np.float32)[:, None], np.arange(count))


def images(count=30, dtype=np.uint8):
    pixels = np.random.default_rng(0).integers(0, 256, (count, 3, 6, 6)).astype(dtype)
    return ArrayDataset(pixels, np.arange(count) % 3)


def order(loader):
    return [y.tolist() for _, y in loader]


def examples(loader):
    return [example for batch in order(loader) for example in batch]


@pytest.fixture(autouse=True)
def no_thread_is_left():
    yield
    gc.collect()
    assert [thread for thread in threading.enumerate() if thread.name == "minidl-prefetch"] == []


@pytest.mark.parametrize("prefetch", [0, 1, 3])
@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize(("count", "size"), [(10, 3), (12, 4), (7, 7), (1, 1), (13, None), (5, 8)])
def test_every_example_comes_exactly_once_an_epoch(count, size, shuffle, drop_last, prefetch):
    if drop_last and size is not None and size > count:
        with pytest.raises(ValueError, match="no batch would be left"):
            DataLoader(numbers(count), size, drop_last=True)
        return
    loader = DataLoader(numbers(count), size, shuffle, drop_last=drop_last, rng=0, prefetch=prefetch)
    width = count if size is None else size
    sizes = [width] * (count // width) + ([count % width] if count % width and not drop_last else [])
    for _ in range(3):
        batches = order(loader)
        assert [len(batch) for batch in batches] == sizes
        assert len(loader) == len(sizes)
        seen = [example for batch in batches for example in batch]
        assert len(set(seen)) == len(seen) == sum(sizes)
        if not shuffle:
            assert seen == list(range(len(seen)))


def test_inputs_and_targets_stay_together_and_are_tensors():
    for x, y in DataLoader(numbers(20), 6, shuffle=True, rng=0):
        assert isinstance(x, Tensor)
        assert isinstance(y, Tensor)
        assert (x.dtype, y.dtype) == (np.float32, np.int64)
        np.testing.assert_array_equal(x.data[:, 0], y.data)


def test_images_come_channels_last():
    x, _ = next(iter(DataLoader(images(), 8, transform=Normalize(0.5, 0.5))))
    assert x.shape == (8, 3, 6, 6)
    assert x.data.transpose(0, 2, 3, 1).flags.c_contiguous


def test_each_epoch_has_another_order():
    loader = DataLoader(numbers(50), 10, shuffle=True, rng=0)
    epochs = [examples(loader) for _ in range(5)]
    assert len({tuple(epoch) for epoch in epochs}) == 5
    assert all(epoch != list(range(50)) for epoch in epochs)


@pytest.mark.parametrize("prefetch", [0, 2])
def test_resuming_goes_on_with_the_epoch_that_comes_next(prefetch):
    def make(seed):
        transform = Compose([RandomCrop(6, 2), RandomHorizontalFlip()])
        return DataLoader(images(), 7, shuffle=True, rng=seed, prefetch=prefetch, transform=transform)

    whole = make(3)
    epochs = [[(x.data, y.data) for x, y in whole] for _ in range(4)]
    assert not np.array_equal(epochs[0][0][1], epochs[2][0][1])
    first = make(3)
    for _ in range(2):
        order(first)
    resumed = make(99)
    resumed.load_state_dict(first.state_dict())
    for epoch in epochs[2:]:
        for (x, y), (x2, y2) in zip(epoch, resumed, strict=True):
            np.testing.assert_array_equal(x, x2.data)
            np.testing.assert_array_equal(y, y2.data)


def test_the_epoch_can_be_set():
    loader = DataLoader(numbers(30), 30, shuffle=True, rng=5)
    epochs = [order(loader) for _ in range(3)]
    loader.epoch = 1
    assert order(loader) == epochs[1]
    assert order(loader) == epochs[2]


def test_the_order_is_a_function_of_the_seed():
    first, again, other = (order(DataLoader(numbers(40), 8, shuffle=True, rng=seed)) for seed in (0, 0, 1))
    assert first == again != other
    generator = Generator(0)
    one, two = (order(DataLoader(numbers(40), 8, shuffle=True, rng=generator)) for _ in range(2))
    assert one == first
    assert two != first
    manual_seed(0)
    assert order(DataLoader(numbers(40), 8, shuffle=True)) == first


def test_a_loader_that_draws_nothing_leaves_the_generator_alone():
    generator = Generator(0)
    order(DataLoader(numbers(10), 3, rng=generator))
    assert generator.state == (0, 0, 0)


def test_the_batches_are_the_same_with_and_without_thread():
    def epoch(prefetch):
        transform = Compose([RandomCrop(4), RandomHorizontalFlip(), Normalize(0.5, 0.25)])
        return list(DataLoader(images(), 7, True, rng=1, prefetch=prefetch, transform=transform))

    for (x, y), (x2, y2) in zip(epoch(0), epoch(3), strict=True):
        np.testing.assert_array_equal(x.data, x2.data)
        np.testing.assert_array_equal(y.data, y2.data)


def test_random_transforms_differ_between_epochs_and_do_not_depend_on_the_batch_size():
    def epochs(size):
        loader = DataLoader(images(), size, transform=RandomCrop(6, 3), rng=2)
        return [np.concatenate([x.data for x, _ in loader]) for _ in range(2)]

    small, large = epochs(4), epochs(15)
    assert (small[0] != small[1]).any()
    np.testing.assert_array_equal(small, large)


def test_two_iterators_at_once_do_not_disturb_each_other():
    alone = DataLoader(numbers(20), 4, shuffle=True, rng=0)
    epochs = [order(alone), order(alone)]
    loader = DataLoader(numbers(20), 4, shuffle=True, rng=0)
    both = zip(iter(loader), iter(loader), strict=True)
    taken = [(first[1].tolist(), second[1].tolist()) for first, second in both]
    assert [list(batches) for batches in zip(*taken, strict=True)] == epochs


def test_changing_a_batch_does_not_change_the_dataset():
    dataset = numbers(6)
    for x, y in DataLoader(dataset, None):
        x.data[...] = -1
        y.data[...] = -1
    np.testing.assert_array_equal(dataset.inputs[:, 0], np.arange(6))
    np.testing.assert_array_equal(dataset.targets, np.arange(6))


def test_no_kernel_is_launched_from_the_thread(monkeypatch):
    launched = []
    original = minidl.kernels.launch.launch

    def spy(*arguments, **options):
        launched.append(threading.current_thread() is threading.main_thread())
        return original(*arguments, **options)

    monkeypatch.setattr("minidl.random.launch", spy)
    monkeypatch.setattr("minidl.kernels.launch.launch", spy)
    transform = Compose([RandomCrop(4), RandomHorizontalFlip(), Normalize(0.5, 0.25)])
    for _ in DataLoader(images(), 7, shuffle=True, rng=1, transform=transform):
        pass
    assert launched
    assert all(launched)


class Faulty:
    """A dataset whose third batch fails."""

    def __len__(self):
        return 9

    def __getitem__(self, indices):
        if 4 in indices:
            raise LookupError("example 4 is not readable")
        return np.ones((len(indices), 2)), np.ones(len(indices), np.int64)


@pytest.mark.parametrize("prefetch", [0, 2])
def test_an_error_in_the_dataset_reaches_the_consumer(prefetch):
    batches = iter(DataLoader(Faulty(), 2, prefetch=prefetch))
    assert len(next(batches)[0]) == len(next(batches)[0]) == 2
    with pytest.raises(LookupError, match="example 4") as caught:
        next(batches)
    assert "__getitem__" in [entry.name for entry in caught.traceback]


def test_an_iterator_given_up_early_does_not_hinder_the_next():
    loader = DataLoader(numbers(100), 1, shuffle=True, rng=0)
    for _ in range(20):
        next(iter(loader))
    assert loader.epoch == 20
    assert sorted(examples(loader)) == list(range(100))


def test_a_subset_is_loaded():
    assert order(DataLoader(Subset(numbers(10), [9, 3, 5]), 2)) == [[9, 3], [5]]
