"""Normalization, softmax and their gradients against PyTorch, on random shapes and options."""

import numpy as np
import pytest

from minidl import ops, tensor

torch = pytest.importorskip("torch")
functional = torch.nn.functional


def compare(ours, theirs, inputs, rng, rtol=1e-8, atol=1e-9):
    """Output and gradients of the same call on both sides."""
    leaves = [None if a is None else tensor(a, requires_grad=True) for a in inputs]
    others = [None if a is None else torch.tensor(a, requires_grad=True) for a in inputs]
    got, expected = ours(*leaves), theirs(*others)
    upstream = rng.standard_normal(got.shape)
    got.backward(upstream)
    expected.backward(torch.tensor(upstream))
    np.testing.assert_allclose(got.numpy(), expected.detach().numpy(), rtol=rtol, atol=atol)
    for leaf, other in zip(leaves, others, strict=True):
        if leaf is not None:
            np.testing.assert_allclose(leaf.grad, other.grad.numpy(), rtol=rtol, atol=atol)


def some(rng, *shape):
    """Random numbers, or None as often as not."""
    return rng.standard_normal(shape) if rng.random() < 0.5 else None


@pytest.mark.parametrize("seed", range(20))
def test_batch_norm(seed):
    rng = np.random.default_rng(seed)
    shape = tuple(int(s) for s in rng.integers(1, 9, rng.integers(2, 5)))
    shape = (shape[0] + 2, *shape[1:])
    momentum, eps, training = float(rng.uniform(0, 1)), 10.0 ** rng.integers(-6, 0), bool(rng.random() < 0.6)
    mean, variance = rng.standard_normal(shape[1]), rng.uniform(0.5, 2, shape[1])
    other_mean, other_variance = torch.tensor(mean), torch.tensor(variance)
    compare(
        lambda x, w, b: ops.batch_norm(
            x, w, b, running_mean=mean, running_var=variance, training=training, momentum=momentum, eps=eps
        ),
        lambda x, w, b: functional.batch_norm(x, other_mean, other_variance, w, b, training, momentum, eps),
        [rng.standard_normal(shape), some(rng, shape[1]), some(rng, shape[1])],
        rng,
    )
    np.testing.assert_allclose(mean, other_mean.numpy(), rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(variance, other_variance.numpy(), rtol=1e-12)


@pytest.mark.parametrize("seed", range(20))
def test_layer_norm(seed):
    rng = np.random.default_rng(seed)
    shape = tuple(int(s) for s in rng.integers(1, 9, rng.integers(1, 5)))
    shape = (*shape[:-1], shape[-1] + 2)
    extents, eps = shape[-int(rng.integers(1, len(shape) + 1)) :], 10.0 ** rng.integers(-6, 0)
    compare(
        lambda x, w, b: ops.layer_norm(x, w, b, normalized_shape=extents, eps=eps),
        lambda x, w, b: functional.layer_norm(x, extents, w, b, eps),
        [rng.standard_normal(shape), some(rng, *extents), some(rng, *extents)],
        rng,
    )


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_softmax(name, seed):
    rng = np.random.default_rng(seed)
    shape = tuple(int(s) for s in rng.integers(1, 9, rng.integers(1, 5)))
    dim = int(rng.integers(-len(shape), len(shape)))
    ours, theirs = getattr(ops, name), getattr(functional, name)
    compare(lambda x: ours(x, dim=dim), lambda x: theirs(x, dim=dim), [5 * rng.standard_normal(shape)], rng)


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_rows_with_infinities(name):
    inf, nan = np.inf, np.nan
    x = np.array([[-inf, 0, 1], [inf, 0, 1], [inf, inf, 0], [-inf] * 3, [nan, 0, 1], [nan] * 3, [-inf, inf, 0]])
    expected = getattr(functional, name)(torch.tensor(x), dim=1).numpy()
    np.testing.assert_allclose(getattr(ops, name)(x, dim=1).numpy(), expected, rtol=1e-12)
