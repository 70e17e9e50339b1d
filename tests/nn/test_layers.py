"""Every layer: its gradients by central differences, and values, gradients and state against PyTorch's."""

import numpy as np
import pytest

from minidl import nn, tensor
from minidl.testing import check_gradients
from tests.nn.layers import LAYERS

every_layer = pytest.mark.parametrize(("make", "shape"), [row[1:] for row in LAYERS], ids=[row[0] for row in LAYERS])


def randomise(module, seed=0):
    """Give every parameter and statistic a random value: with weight 1 and bias 0 a wrong gradient can hide."""
    rng = np.random.default_rng(seed)
    state = {
        name: rng.uniform(0.5, 2, v.shape) * rng.choice([-1, 1], v.shape) for name, v in module.state_dict().items()
    }
    for name, value in state.items():
        if name.endswith("running_var"):
            state[name] = np.abs(value)
        if name.endswith("num_batches_tracked"):
            state[name] = np.int64(3)
    module.load_state_dict(state)
    return module


@every_layer
def test_gradients(make, shape):
    layer = randomise(make(nn).to("float64"))
    check_gradients(layer, np.random.default_rng(1).standard_normal(shape))


@every_layer
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.filterwarnings("ignore:Using padding='same'")  # PyTorch's remark on its own speed
def test_as_pytorch_from_one_state_dict(make, shape, dtype):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(2)
    ours, theirs = randomise(make(nn).to(dtype)), make(torch.nn).to(getattr(torch, dtype))
    theirs.load_state_dict({name: torch.from_numpy(value) for name, value in ours.state_dict().items()})
    x = rng.standard_normal(shape).astype(dtype)
    our_x, their_x = tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    our_y, their_y = ours(our_x), theirs(their_x)
    dy = rng.standard_normal(our_y.shape).astype(dtype)
    our_y.backward(dy)
    their_y.backward(torch.from_numpy(dy))
    close = {"rtol": 1e-9, "atol": 1e-10} if dtype == "float64" else {"rtol": 2e-4, "atol": 2e-5}
    assert our_y.dtype == our_x.grad.dtype == np.dtype(dtype)
    np.testing.assert_allclose(our_y.numpy(), their_y.detach().numpy(), **close)
    np.testing.assert_allclose(our_x.grad, their_x.grad.numpy(), **close)
    their_parameters = dict(theirs.named_parameters())
    assert [name for name, _ in ours.named_parameters()] == list(their_parameters)
    for name, parameter in ours.named_parameters():
        np.testing.assert_allclose(parameter.grad, their_parameters[name].grad.numpy(), err_msg=name, **close)
    compare_states(ours, theirs, close)


def compare_states(ours, theirs, close):
    """The same names in the same order, and the same values: running statistics moved alike."""
    assert list(ours.state_dict()) == list(theirs.state_dict())
    for name, value in theirs.state_dict().items():
        got = ours.state_dict()[name]
        assert got.shape == tuple(value.shape) and got.dtype == value.numpy().dtype
        np.testing.assert_allclose(got, value.numpy(), err_msg=name, **close)


@every_layer
def test_a_pytorch_state_dict_loads(make, shape):
    torch = pytest.importorskip("torch")
    torch.manual_seed(3)
    ours, theirs = make(nn), make(torch.nn)
    assert ours.load_state_dict(theirs.state_dict()) == ([], [])
    compare_states(ours, theirs, {"rtol": 0, "atol": 0})


def test_the_defaults_are_pytorchs():
    torch = pytest.importorskip("torch")
    for make in (lambda nn: nn.CrossEntropyLoss(), lambda nn: nn.NLLLoss(), lambda nn: nn.LeakyReLU()):
        ours, theirs = make(nn), make(torch.nn)
        for name in ("ignore_index", "reduction", "label_smoothing", "negative_slope"):
            assert getattr(ours, name, None) == getattr(theirs, name, None)


@pytest.mark.parametrize(("name", "make", "shape"), [row for row in LAYERS if len(row[2]) == 2])
def test_an_empty_batch_of_vectors_goes_through_in_eval(name, make, shape):
    layer = make(nn).eval()
    full = layer(tensor(np.zeros(shape, np.float32)))
    assert layer(tensor(np.zeros((0, *shape[1:]), np.float32))).shape == (0, *full.shape[1:])


def test_dropout_drops_a_share_p_and_keeps_the_mean():
    x = tensor(np.ones((200, 100), np.float32), requires_grad=True)
    y = nn.Dropout(0.3, rng=5)(x)
    assert set(np.unique(y.numpy()).tolist()) == {0.0, float(np.float32(1 / 0.7))}
    assert abs((y.numpy() == 0).mean() - 0.3) < 0.01
    y.backward(np.ones(x.shape, np.float32))
    np.testing.assert_array_equal(x.grad, y.numpy())


def test_dropout_draws_anew_at_each_call_and_again_from_a_seed():
    x = tensor(np.ones((50, 20), np.float32))
    layer, again = nn.Dropout(0.5, rng=1), nn.Dropout(0.5, rng=1)
    first, second = layer(x).numpy(), layer(x).numpy()
    assert (first != second).any()
    np.testing.assert_array_equal(again(x).numpy(), first)
    np.testing.assert_array_equal(again(x).numpy(), second)


def test_gradient_of_dropout():
    x = np.random.default_rng(0).standard_normal((5, 3))
    check_gradients(lambda x: nn.Dropout(0.4, rng=2)(x), x)
