"""BatchNorm as layers: running statistics, modes, and what is refused."""

import numpy as np
import pytest

from minidl import nn, tensor


def batches(shape, count=4):
    rng = np.random.default_rng(0)
    return [(rng.standard_normal(shape) * 3 + 2).astype(np.float32) for _ in range(count)]


def test_running_variance_starts_at_one_and_mean_at_zero():
    layer = nn.BatchNorm1d(3)
    np.testing.assert_array_equal(layer.running_var.numpy(), np.ones(3))
    np.testing.assert_array_equal(layer.running_mean.numpy(), np.zeros(3))
    assert layer.num_batches_tracked.item() == 0 and layer.num_batches_tracked.dtype == np.int64


def test_momentum_is_the_weight_of_the_new_value_and_variance_is_unbiased():
    layer, mean, var = nn.BatchNorm2d(3, momentum=0.2), np.zeros(3), np.ones(3)
    for x in batches((4, 3, 5, 2)):
        layer(tensor(x))
        rows = x.transpose(0, 2, 3, 1).reshape(-1, 3).astype(np.float64)
        mean, var = 0.8 * mean + 0.2 * rows.mean(0), 0.8 * var + 0.2 * rows.var(0, ddof=1)
    np.testing.assert_allclose(layer.running_mean.numpy(), mean, rtol=1e-5)
    np.testing.assert_allclose(layer.running_var.numpy(), var, rtol=1e-5)
    assert layer.num_batches_tracked.item() == 4


def test_momentum_none_is_the_mean_over_all_batches():
    layer, seen = nn.BatchNorm1d(5, momentum=None), batches((7, 5))
    for x in seen:
        layer(tensor(x))
    np.testing.assert_allclose(layer.running_mean.numpy(), np.mean([x.mean(0) for x in seen], 0), rtol=1e-5)
    np.testing.assert_allclose(layer.running_var.numpy(), np.mean([x.var(0, ddof=1) for x in seen], 0), rtol=1e-5)


def test_eval_changes_nothing_and_goes_backward():
    layer = nn.BatchNorm1d(5)
    layer(tensor(batches((7, 5))[0]))
    before = layer.eval().state_dict()
    x = tensor(batches((7, 5))[1], requires_grad=True)
    layer(x).sum().backward()
    for name, value in layer.state_dict().items():
        np.testing.assert_array_equal(value, before[name])
    slope = layer.weight.numpy() / np.sqrt(before["running_var"] + 1e-5)
    np.testing.assert_allclose(x.grad, np.broadcast_to(slope, (7, 5)), rtol=1e-6)


def test_eval_of_one_example_is_its_row_in_a_batch_bit_for_bit():
    for layer, shape in ((nn.BatchNorm1d(5), (67, 5)), (nn.BatchNorm2d(3), (9, 3, 5, 4))):
        x = batches(shape)[0]
        layer(tensor(x))
        whole = layer.eval()(tensor(x)).numpy()
        for i in (0, 3, len(x) - 1):
            np.testing.assert_array_equal(layer(tensor(x[i : i + 1])).numpy()[0], whole[i])


def test_without_tracking_eval_uses_the_batch():
    layer, x = nn.BatchNorm1d(3, track_running_stats=False), batches((50, 3))[0]
    assert layer.running_mean is None and "running_mean" not in layer.state_dict()
    np.testing.assert_array_equal(layer.eval()(tensor(x)).numpy(), layer.train()(tensor(x)).numpy())
    np.testing.assert_allclose(layer(tensor(x)).numpy().mean(0), np.zeros(3), atol=1e-6)


def test_training_between_an_eval_pass_and_its_backward_is_right_or_refused():
    x = tensor(batches((7, 5))[0], requires_grad=True)
    layer = nn.BatchNorm1d(5).eval()
    expected = layer.weight.numpy() / np.sqrt(layer.running_var.numpy() + 1e-5)
    y = layer(x)
    layer.train()(tensor(batches((7, 5))[1]))
    y.backward(np.ones((7, 5), np.float32))
    np.testing.assert_allclose(x.grad, np.broadcast_to(expected, (7, 5)), rtol=1e-6)


@pytest.mark.parametrize(("layer", "shape"), [(nn.BatchNorm1d(3), (1, 3)), (nn.BatchNorm2d(2), (1, 2, 1, 1))])
def test_one_value_per_channel_is_refused_in_training_only(layer, shape):
    x = tensor(np.zeros(shape, np.float32))
    with pytest.raises(ValueError, match=type(layer).__name__) as caught:
        layer.train()(x)
    assert str(shape) in str(caught.value)
    assert layer.num_batches_tracked.item() == 0
    assert layer.eval()(x).shape == shape
