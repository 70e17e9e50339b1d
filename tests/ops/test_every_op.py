"""Every op, by one table: values, dtypes, memory orders, gradients; and that the table can fail."""

import importlib
import pkgutil

import numpy as np
import pytest

import minidl
import tests.ops
from minidl import OPS, Tensor
from minidl.testing import check_gradients

MODULES = [m.name for m in pkgutil.iter_modules(tests.ops.__path__) if m.name.startswith("cases_")]
CASES = [case for name in MODULES for case in importlib.import_module(f"tests.ops.{name}").CASES]
every_case = pytest.mark.parametrize("case", CASES, ids=str)
SMOOTH = [case for case in CASES if case.smooth]
every_smooth_case = pytest.mark.parametrize("case", SMOOTH, ids=str)


def value(result):
    assert isinstance(result, Tensor)
    return result.numpy()


@every_case
def test_value_equals_the_reference_in_float64(case):
    arrays = case.arrays()
    copies = [None if a is None else a.copy() for a in arrays]
    got, expected = value(case.run(*arrays)), case.expected(copies)
    assert got.shape == expected.shape
    np.testing.assert_allclose(got, expected, rtol=1e-10, atol=1e-11)
    for array, copy in zip(arrays, copies, strict=True):
        assert array is None or np.array_equal(array, copy), "an input was changed"


@every_case
def test_value_and_dtype_in_float32(case):
    arrays = case.arrays(np.float32)
    got = value(case.run(*arrays))
    expected = case.expected([a.astype(np.float64) if a is not None and a.dtype.kind == "f" else a for a in arrays])
    assert got.dtype == (np.float32 if expected.dtype.kind == "f" else expected.dtype)
    np.testing.assert_allclose(got, expected, rtol=2e-4, atol=2e-5)


def other_orders(array):
    """The same numbers as a strided view, in Fortran order, and read-only."""
    if array is None:
        return [None] * 3
    strided = np.zeros((*array.shape, 2), array.dtype)[..., 0]
    strided[...] = array
    locked = array.copy()
    locked.flags.writeable = False
    return [strided, np.array(array, order="F"), locked]


@every_case
def test_memory_order_does_not_matter(case):
    arrays = case.arrays()
    expected = value(case.run(*arrays))
    for variant in zip(*(other_orders(a) for a in arrays), strict=True):
        np.testing.assert_allclose(value(case.run(*variant)), expected, rtol=1e-12, atol=1e-13)


@every_smooth_case
def test_gradients(case):
    check_gradients(case.run, *case.arrays(seed=1))


@every_smooth_case
def test_gradients_in_float32_keep_dtype_and_the_inputs(case):
    arrays = case.arrays(np.float32, seed=2)
    leaves = [None if a is None else minidl.tensor(a, requires_grad=a.dtype.kind == "f") for a in arrays]
    out = case.run(*leaves)
    upstream = np.random.default_rng(3).standard_normal(out.shape).astype(np.float32)
    # in an order that is nobody's: what a pullback gets may come from anywhere
    out.backward(np.array(upstream, order="F"))
    for leaf, array in zip(leaves, arrays, strict=True):
        if array is not None:
            assert np.array_equal(leaf.numpy(), array)
            if array.dtype.kind == "f":
                assert leaf.grad is not None and leaf.grad.dtype == np.float32 and leaf.grad.shape == array.shape


def has_a_gradient(case):
    """Whether there is a number to differentiate, and one to differentiate by."""
    arrays = case.arrays()
    return case.expected(arrays).size > 0 and any(a is not None and a.size and a.dtype.kind == "f" for a in arrays)


@pytest.mark.parametrize("case", [case for case in SMOOTH if has_a_gradient(case)], ids=str)
def test_a_pullback_off_by_a_thousandth_is_caught(case):
    def spoiled(*inputs):
        out = case.run(*inputs)
        node = out.node
        while node is not None and node.name != case.op:  # a public function may reshape around its op
            node = next((t.node for t in node.inputs if t is not None and t.node is not None), None)
        if node is not None:
            right = node.pullback

            def wrong(dy):
                parts = right(dy)
                parts = parts if isinstance(parts, tuple) else (parts,)
                return tuple(None if p is None else p * p.dtype.type(1.001) for p in parts)

            node.pullback = wrong
        return out

    with pytest.raises(AssertionError, match="wrong gradient"):
        check_gradients(spoiled, *case.arrays(seed=1))


def test_every_registered_op_has_a_case():
    ours = {name for name, op in OPS.items() if op.__module__.startswith("minidl.")}
    assert ours - {case.op for case in CASES} == set()


def test_every_differentiable_case_has_a_gradient():
    for case in SMOOTH:
        leaves = [minidl.tensor(a, requires_grad=a.dtype.kind == "f") if a is not None else None for a in case.arrays()]
        assert case.run(*leaves).requires_grad, case
