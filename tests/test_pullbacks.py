"""What an op's function may answer, and what its pullback may."""

import numpy as np
import pytest

from minidl import no_grad, op
from minidl.testing import check_gradients

from .test_autograd import leaf


def test_a_rule_can_skip_the_gradient_of_an_input_that_needs_none():
    seen = []

    @op
    def watched(x, y, *, needs):
        seen.append(needs)
        return x * y, lambda dz: (dz * y if needs[0] else None, dz * x if needs[1] else None)

    watched(np.ones(2), leaf(2)).sum().backward()
    watched(leaf(2), 3.0).sum().backward()
    with no_grad():
        watched(leaf(2), leaf(2))
    assert seen == [[False, True], [True, False], [False, False]]


def test_a_users_op_in_plain_numpy_is_a_full_citizen():
    @op
    def softplus(x, beta=None, *, shift=0.0):
        def pullback(dy):
            return dy / (1 + np.exp(-x)), None

        return np.log1p(np.exp(x)) + shift, pullback

    check_gradients(softplus, np.random.default_rng(0).standard_normal((3, 5)))
    assert softplus(np.zeros(1), shift=1.0).item() == pytest.approx(1 + np.log(2))


def test_wrong_pullbacks_are_refused():
    @op
    def bad_shape(x):
        return x * 2, lambda dy: dy[:1]

    @op
    def bad_dtype(x):
        return x * 2, lambda dy: dy.astype(np.float32)

    @op
    def bad_none(x):
        return x * 2, lambda dy: None

    @op
    def bad_count(x, y):
        return x * y, lambda dy: dy

    with pytest.raises(ValueError, match=r"bad_shape: .* shape \(1,\) .* input 0 of shape \(3,\)"):
        bad_shape(leaf(3)).sum().backward()
    with pytest.raises(ValueError, match=r"bad_dtype: .* dtype float32 .* dtype float64"):
        bad_dtype(leaf(3)).sum().backward()
    with pytest.raises(ValueError, match="bad_none: its pullback answered None for input 0"):
        bad_none(leaf(3)).sum().backward()
    with pytest.raises(ValueError, match="bad_count: its pullback answered 1 gradients for 2 inputs"):
        bad_count(leaf(3), leaf(3)).sum().backward()
