"""The tape: what backward computes, what it refuses, and that it frees what it passes."""

import gc
import threading
import weakref

import numpy as np
import pytest

import minidl
from minidl import no_grad, op, ops, tensor


def leaf(*shape, seed=0, dtype=np.float64):
    return tensor(np.random.default_rng(seed).standard_normal(shape).astype(dtype), requires_grad=True)


def test_a_node_used_twice_sums_its_gradients():
    x = leaf(5)
    y = x * 3
    (y * y + y).sum().backward()
    np.testing.assert_allclose(x.grad, 18 * x.numpy() + 3, rtol=1e-14)


def test_a_tensor_multiplied_by_itself():
    x = leaf(5)
    (x * x * x).sum().backward()
    np.testing.assert_allclose(x.grad, 3 * x.numpy() ** 2, rtol=1e-14)


def test_a_diamond_is_walked_in_order():
    x = leaf(4)
    a = x.tanh()
    b, c = a * 2, a.exp()
    (b * c + a).sum().backward()
    t = np.tanh(x.numpy())
    np.testing.assert_allclose(x.grad, (2 * np.exp(t) + 2 * t * np.exp(t) + 1) * (1 - t * t), rtol=1e-13)


def test_gradients_accumulate_over_backward_calls():
    x = leaf(3)
    (x * 2).sum().backward()
    held = x.grad
    (x * 5).sum().backward()
    assert x.grad is held
    assert np.array_equal(x.grad, [7, 7, 7])


def test_two_leaves_never_share_one_gradient_array():
    x, y = leaf(3), leaf(3, seed=1)
    (x + y).backward(np.ones(3))
    x.grad *= 10
    assert np.array_equal(y.grad, [1, 1, 1])
    z = leaf(2, 3)
    upstream = np.ones((2, 3))
    z.reshape(3, 2).reshape(2, 3).backward(upstream)
    z.grad += 1
    assert np.array_equal(upstream, np.ones((2, 3)))


def test_a_leafs_gradient_is_not_what_another_node_still_reads():
    @op
    def add_thrice(x, y):
        def pullback(dz):
            both = 3 * dz
            return both, both

        return 3 * (x + y), pullback

    x = leaf(3)
    y = x.exp()
    doubled = x * 2  # between the two, so that its gradient is added to x's before y's pullback runs
    (add_thrice(x, y) + doubled).sum().backward()
    np.testing.assert_allclose(x.grad, 5 + 3 * np.exp(x.numpy()), rtol=1e-14)


def test_a_leaf_copies_no_gradient_that_is_its_alone_and_every_other():
    kept, answers = [], []

    @op
    def double(x, *, hold):
        def pullback(dy):
            dx = 2 * dy if hold != "view" else (2 * np.stack([dy, dy]))[0]
            answers.append(dx.__array_interface__["data"][0])
            if hold == "array":
                kept.append(dx)
            elif hold == "memory":
                kept.append(dx[1:])
            return dx

        return 2 * x, pullback

    for hold, copied in (("nothing", False), ("view", False), ("array", True), ("memory", True)):
        x = leaf(3)
        double(x, hold=hold).sum().backward()
        assert np.array_equal(x.grad, [2, 2, 2])
        assert (x.grad.__array_interface__["data"][0] != answers.pop()) == copied, hold


def test_a_leafs_gradient_does_not_show_an_input():
    @op
    def pick_second(x, y):
        return np.asarray((x * y).sum()), lambda dz: (y, x)  # a rule that hands out its inputs, dz being 1

    x, y = leaf(3), leaf(3, seed=1)
    before = y.numpy().copy()
    pick_second(x, y).backward()
    x.grad *= 0
    assert np.array_equal(y.numpy(), before)


def test_ten_thousand_deep_and_a_hundred_thousand_deep_unused():
    x = leaf(2)
    y = x
    for _ in range(10_000):
        y = y + x
    y.sum().backward()
    assert np.array_equal(x.grad, [10_001, 10_001])
    y = x
    for _ in range(100_000):
        y = -y
    del y  # freeing it must not overflow the stack either


def test_the_graph_is_freed_as_it_is_consumed():
    x = leaf(3)
    middle = x.exp()
    watch = weakref.ref(middle)
    loss = (middle * 2).sum()
    del middle
    assert watch() is not None
    loss.backward()
    gc.collect()
    assert watch() is None
    assert loss.requires_grad


def test_second_backward_is_refused():
    x = leaf(3)
    loss = (x * x).sum()
    loss.backward()
    with pytest.raises(ValueError, match=r"sum was freed by an earlier backward\(\); run the forward pass again"):
        loss.backward()
    shared = x.exp()
    shared.sum().backward()
    with pytest.raises(ValueError, match="exp was freed by an earlier backward"):
        (shared * 2).sum().backward()


def test_backward_of_a_non_scalar_needs_a_gradient():
    y = leaf(3) * 2
    with pytest.raises(
        ValueError, match=r"expected a scalar, got shape \(3,\); reduce it .* or pass backward\(gradient\)"
    ):
        y.backward()
    with pytest.raises(ValueError, match=r"expected a gradient of shape \(3,\), got \(2,\)"):
        y.backward(np.ones(2))
    with pytest.raises(TypeError, match="expected a gradient of dtype float64, got float32"):
        y.backward(np.ones(3, np.float32))
    with pytest.raises(ValueError, match="needs no gradient"):
        tensor([1.0]).backward()


def test_backward_accepts_a_tensor_as_gradient():
    x = leaf(3)
    (x * 2).backward(tensor(np.array([1.0, 2.0, 3.0])))
    assert np.array_equal(x.grad, [2, 4, 6])


def test_backward_of_a_leaf():
    x = tensor(2.0, requires_grad=True)
    x.backward()
    assert x.grad == 1


def test_no_grad_records_nothing_and_nests():
    x = leaf(3)
    with no_grad():
        assert not (x * 2).requires_grad
        with no_grad():
            pass
        assert not (x * 2).requires_grad
    assert (x * 2).requires_grad

    @no_grad()
    def inside():
        return (x * 2).requires_grad

    assert not inside() and not inside()
    with pytest.raises(RuntimeError), no_grad():
        raise RuntimeError
    assert (x * 2).requires_grad


def test_no_grad_is_a_threads_own():
    seen = []
    x = leaf(3)
    with no_grad():
        thread = threading.Thread(target=lambda: seen.append((x * 2).requires_grad))
        thread.start()
        thread.join()
    assert seen == [True]


def test_detach_cuts_the_graph_and_shares_memory():
    x = leaf(3)
    y = (x * 2).detach()
    assert not y.requires_grad and y.is_leaf
    (x * y).sum().backward()
    np.testing.assert_allclose(x.grad, 2 * x.numpy())
    assert np.shares_memory(x.detach().numpy(), x.numpy())


def test_retain_grad_keeps_an_inner_gradient():
    x = leaf(3)
    y = x * 2
    y.retain_grad()
    (y * y).sum().backward()
    np.testing.assert_allclose(y.grad, 4 * x.numpy())


def test_float32_is_never_widened():
    x = tensor([1.0, 2.0], requires_grad=True)
    y = ((2 * x + 1) / 3 - np.float64(0.5)) ** 2
    assert y.dtype == np.float32
    y.mean().backward()
    assert x.grad.dtype == np.float32
    with pytest.raises(TypeError, match="add: expected one dtype, got float32 and float64"):
        x + np.ones(2)


def test_a_number_does_not_lose_its_fraction_to_whole_numbers():
    with pytest.raises(TypeError, match="multiply: expected one dtype, got int64 and float32"):
        tensor([1, 2]) * 0.5
    assert (tensor([1, 2]) * 2).tolist() == [2, 4]


def test_ops_name_the_missing_and_the_wrong_input():
    with pytest.raises(TypeError, match=r"linear: expected x, weight, got no weight|linear: expected .*got no weight"):
        ops.linear(np.ones((2, 3)))
    with pytest.raises(TypeError, match="relu: expected a Tensor, an ndarray or a number, got list"):
        ops.relu([1.0])


def test_order_of_accumulation_gives_the_same_bits_each_time():
    def run():
        x = leaf(7, 11, seed=3, dtype=np.float32)
        parts = [x.tanh(), x.sigmoid(), x * x, x.relu(), x.exp()]
        loss = sum(((p * (i + 1)).mean() for i, p in enumerate(parts)), start=(x * 0).sum())
        loss.backward()
        return x.grad.tobytes()

    assert run() == run()


def test_images_keep_their_memory_order_through_sums_of_gradients():
    x = minidl.randn(2, 3, 4, 5, requires_grad=True, rng=0)
    (x.relu() + x.tanh() + x).sum().backward()
    assert x.grad.transpose(0, 2, 3, 1).flags.c_contiguous


def test_a_diverging_run_shows_infinity_and_nan_and_no_warnings():
    x = tensor([1e30, -1.0, 0.0, 1000.0], requires_grad=True)
    big = (x * x).sum() + x.exp().sum()
    nan = x.log().sum() + (x / 0.0).mean()
    assert big.item() == np.inf and np.isnan(nan.item())
    (big + nan).backward()
    assert not np.isfinite(x.grad).any()
    assert np.isinf((x.reshape(1, 4) @ x).item())


def test_an_op_may_answer_a_number():
    @op
    def length(x):
        return float(np.sqrt(np.sum(x * x))), None

    assert length(np.array([3.0, 4.0])).item() == 5
