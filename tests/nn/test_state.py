"""state_dict, load_state_dict, save and load."""

import numpy as np
import pytest

import minidl
from minidl import nn, tensor
from minidl.kernels.layout import dense


def net(seed=0):
    return nn.Sequential(nn.Conv2d(2, 3, 2, rng=seed), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(3, 2, rng=seed + 1))


def test_a_snapshot_in_c_order():
    model = net()
    state = model.state_dict()
    assert state["0.weight"].flags.c_contiguous and state["0.weight"].shape == (3, 2, 2, 2)
    state["0.weight"][...] = 9
    assert not (model[0].weight.numpy() == 9).any()
    assert state["1.num_batches_tracked"].shape == () and state["1.num_batches_tracked"].dtype == np.int64


def test_loading_writes_into_the_arrays_that_are_there():
    model, other = net(), net(5)
    arrays = [p._array for p in model.parameters()]
    assert model.load_state_dict(other.state_dict()) == ([], [])
    assert all(p._array is a for p, a in zip(model.parameters(), arrays, strict=True))
    assert all(dense(p._array) is p._array for p in model.parameters())
    x = tensor(np.random.default_rng(0).standard_normal((5, 2, 2, 2)).astype(np.float32))
    np.testing.assert_array_equal(model(x).numpy(), other(x).numpy())


def test_tensors_and_wider_floats_will_do():
    layer = nn.Linear(2, 1)
    layer.load_state_dict({"weight": tensor([[1.0, 2.0]]), "bias": np.array([0.5])})
    assert layer.weight.tolist() == [[1, 2]] and layer.weight.dtype == np.float32 and layer.bias.tolist() == [0.5]


def test_strict_lists_everything_and_changes_nothing():
    model = net()
    before = model.state_dict()
    wrong = dict(before, extra=np.ones(2), more=np.ones(1))
    wrong = {name: value + 1 for name, value in wrong.items()}
    del wrong["3.bias"], wrong["1.weight"]
    wrong["3.weight"] = np.ones((2, 4), np.float32)
    with pytest.raises(ValueError) as caught:
        model.load_state_dict(wrong)
    text = str(caught.value)
    assert "missing: '1.weight', '3.bias'" in text and "not expected: 'extra', 'more'" in text
    assert "'3.weight' has shape (2, 3) here and (2, 4) there" in text
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value, before[name])


def test_not_strict_loads_what_is_in_both():
    layer = nn.Linear(2, 1)
    bias = layer.bias.numpy().copy()
    keys = layer.load_state_dict({"weight": np.ones((1, 2)), "other": np.ones(1)}, strict=False)
    assert keys.missing_keys == ["bias"] and keys.unexpected_keys == ["other"]
    assert layer.weight.tolist() == [[1, 1]] and np.array_equal(layer.bias.numpy(), bias)


def test_loading_between_forward_and_backward_is_refused():
    layer = nn.Linear(2, 2, rng=0)
    x = tensor(np.ones((3, 2), np.float32), requires_grad=True)
    loss = layer(x).sum()
    layer.load_state_dict(nn.Linear(2, 2, rng=1).state_dict())
    with pytest.raises(ValueError, match="changed in place"):
        loss.backward()


def test_save_and_load(tmp_path):
    state = net().state_dict()
    minidl.save(state, tmp_path / "new folder" / "model.safetensors")
    again = minidl.load(tmp_path / "new folder" / "model.safetensors")
    assert set(again) == set(state)
    for name, value in state.items():
        assert again[name].dtype == value.dtype and again[name].shape == value.shape
        np.testing.assert_array_equal(again[name], value)
    net(9).load_state_dict(again)
    assert [p.name for p in (tmp_path / "new folder").iterdir()] == ["model.safetensors"]


def test_any_order_of_memory_is_saved_as_it_is_seen(tmp_path):
    images = nn.Conv2d(2, 3, 4).weight
    minidl.save(
        {"images": images, "T": np.arange(6.0).reshape(2, 3).T, "big": np.arange(3, dtype=">f4")}, tmp_path / "a"
    )
    again = minidl.load(tmp_path / "a")
    np.testing.assert_array_equal(again["images"], images.numpy())
    np.testing.assert_array_equal(again["T"], np.arange(6.0).reshape(2, 3).T)
    np.testing.assert_array_equal(again["big"], np.arange(3))


def test_a_failed_save_leaves_the_old_file(tmp_path):
    path = tmp_path / "model.safetensors"
    minidl.save({"a": np.ones(2)}, path)
    with pytest.raises(TypeError):
        minidl.save({"a": np.array(["text"])}, path)
    assert minidl.load(path)["a"].tolist() == [1, 1] and len(list(tmp_path.iterdir())) == 1


def test_a_truncated_file_is_named(tmp_path):
    path = tmp_path / "cut.safetensors"
    minidl.save({"a": np.ones(100)}, path)
    for size in (0, 4, 50, path.stat().st_size - 1):
        whole = path.read_bytes()
        (tmp_path / "part").write_bytes(whole[:size])
        with pytest.raises(ValueError, match=r"load: expected a whole safetensors file, got '.*part'"):
            minidl.load(tmp_path / "part")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        minidl.load(tmp_path / "nowhere")


def test_pytorch_reads_our_file_and_we_read_its(tmp_path):
    torch = pytest.importorskip("torch")
    from safetensors.torch import load_file, save_file

    ours, theirs = nn.BatchNorm1d(3), torch.nn.BatchNorm1d(3)
    minidl.save(ours.state_dict(), tmp_path / "ours")
    theirs.load_state_dict(load_file(tmp_path / "ours"))
    theirs(torch.randn(5, 3))
    save_file(theirs.state_dict(), tmp_path / "theirs")
    ours.load_state_dict(minidl.load(tmp_path / "theirs"))
    assert ours.num_batches_tracked.item() == 1
    np.testing.assert_array_equal(ours.running_mean.numpy(), theirs.running_mean.numpy())
