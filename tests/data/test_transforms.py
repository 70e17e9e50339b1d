"""Transforms of batches, against the same done image by image."""

import numpy as np
import pytest

from minidl import Generator
from minidl.data import BatchTransform, Compose, Normalize, RandomCrop, RandomHorizontalFlip

RANDOM = np.random.default_rng(2)


def batch(count=50, channels=3, height=7, width=5, dtype=np.float32):
    """Random images, channels-last in memory."""
    images = RANDOM.normal(size=(count, height, width, channels)).astype(dtype)
    return images.transpose(0, 3, 1, 2)


ALL = [
    Normalize([0.1, 0.2, 0.3], [1, 2, 3]),
    RandomCrop(5, padding=1),
    RandomCrop((7, 3)),
    RandomHorizontalFlip(),
    Compose([RandomCrop((7, 5), 2), RandomHorizontalFlip(), Normalize(0.5, 2.0)]),
]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("order", ["channels-last", "C order"])
@pytest.mark.parametrize("transform", ALL, ids=lambda t: type(t).__name__)
def test_dtype_and_order_stay_and_the_input_is_unchanged(transform, order, dtype):
    x = batch(dtype=dtype) if order == "channels-last" else np.ascontiguousarray(batch(dtype=dtype))
    before = x.copy()
    y = transform(x, Generator(0))
    assert y.dtype == dtype
    assert order != "channels-last" or y.transpose(0, 2, 3, 1).flags.c_contiguous
    np.testing.assert_array_equal(x, before)
    assert not np.shares_memory(x, y)


@pytest.mark.parametrize("transform", ALL[1:], ids=lambda t: type(t).__name__)
def test_a_random_transform_is_a_function_of_its_generator(transform):
    x = batch()
    first, again, other = (transform(x, Generator(seed)) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_normalize():
    x = batch(dtype=np.float64)
    expected = np.stack([(x[:, c] - m) / s for c, (m, s) in enumerate([(0.1, 1), (0.2, 2), (0.3, 3)])], axis=1)
    np.testing.assert_allclose(ALL[0](x), expected, rtol=1e-14)
    np.testing.assert_allclose(Normalize(0.5, 2.0)(x), (x - 0.5) / 2, rtol=1e-14)


def test_crops_are_windows_of_the_padded_images_and_all_of_them_occur():
    x = batch(count=300, height=4, width=5)
    y = RandomCrop((4, 3), padding=1)(x, Generator(0))
    assert y.shape == (300, 3, 4, 3)
    padded = np.zeros((300, 3, 6, 7), np.float32)
    padded[:, :, 1:5, 1:6] = x
    places = {(top, left): 0 for top in range(3) for left in range(5)}
    for image, crop in zip(padded, y, strict=True):
        found = [place for place in places if np.array_equal(crop, image[:, place[0] :, place[1] :][:, :4, :3])]
        assert len(found) == 1
        places[found[0]] += 1
    assert min(places.values()) >= 8  # 20 of 300 are expected at each of the 15 places
    assert max(places.values()) <= 36


def test_the_largest_random_number_stays_inside():
    x = batch(count=1, height=16, width=16)
    noise = np.full((1, 2), 1 - 2**-24, np.float32)
    np.testing.assert_array_equal(RandomCrop(8).apply(x, noise), x[:, :, 8:, 8:])


@pytest.mark.parametrize(("p", "low", "high"), [(0.0, 0, 0), (1.0, 400, 400), (0.5, 160, 240), (0.1, 15, 70)])
def test_images_are_mirrored_or_not(p, low, high):
    x = batch(count=400)
    y = RandomHorizontalFlip(p)(x, Generator(0))
    mirrored = 0
    for image, result in zip(x, y, strict=True):
        mirrored += np.array_equal(result, image[:, :, ::-1])
        assert np.array_equal(result, image) or np.array_equal(result, image[:, :, ::-1])
    assert low <= mirrored <= high


def test_the_parts_of_a_composition_are_random_each_on_its_own():
    x = batch(count=100, height=9, width=9)
    noise = Generator(0).uniform((100, 3))
    crop, flip = RandomCrop(5), RandomHorizontalFlip()
    composed = Compose([crop, lambda a: 2 * a, flip])
    assert composed.draws == 3
    expected = flip.apply(2 * crop.apply(x, noise[:, :2]), noise[:, 2:])
    np.testing.assert_array_equal(composed.apply(x, noise), expected)


def test_one_can_derive_ones_own():
    class Brighten(BatchTransform):
        draws = 1

        def apply(self, inputs, noise):
            return inputs * (1 + noise[:, :, None, None])

    x = batch()
    ratio = Brighten()(x, Generator(0)) / x
    assert (ratio.std(axis=(1, 2, 3)) < 1e-6).all()
    assert ratio.mean(axis=(1, 2, 3)).std() > 0.2
