"""For users who add ops and layers: is the gradient right?"""

from collections.abc import Callable
from typing import Any

import numpy as np

from .autograd import no_grad
from .random import as_generator
from .tensor import Tensor, tensor


def check_gradients(
    function: Callable[..., Tensor],
    *inputs: Any,
    rng: Any = 0,
    step: float = 1e-6,
    tolerance: float = 1e-6,
    directions: int = 3,
) -> None:
    """Compare the gradients of `function` with central differences, along random directions and for a random upstream
    gradient, for each floating input and for each parameter if `function` is a module:

        sum(u * (f(x + h d) - f(x - h d))) / 2h  =  sum(gradient * d)

    The function must be smooth within `step` of the inputs and the same at each call: random numbers in it, such as
    dropout's, must come from a fixed seed. Everything in float64: in float32 the differences are noise.

    Raises:
        TypeError: an input or a parameter is float32.
        ValueError: the function is random, or nothing has a gradient.
        AssertionError: a gradient is wrong; the message says which, by how much.

    Source: Griewank & Walther, "Evaluating derivatives" (2008), section 1; random directions as in HIPS/autograd.
    """
    generator = as_generator(rng)
    leaves = [x if isinstance(x, Tensor) else tensor(x) if isinstance(x, np.ndarray) else x for x in inputs]
    checked = _checked(function, leaves)
    with no_grad():
        first, second = function(*leaves)._array, function(*leaves)._array
    if not np.array_equal(first, second, equal_nan=True):
        raise ValueError("check_gradients: the function is random; give it a fixed seed, or use eval()")
    upstream = generator.normal(first.shape, dtype=np.float64)
    function(*leaves).backward(upstream)
    for name, leaf in checked.items():
        _compare(function, leaves, name, leaf, upstream, generator, step, tolerance, directions)


def _checked(function: Any, leaves: list[Any]) -> dict[str, Tensor]:
    """The inputs and parameters whose gradients are to be checked, by what a message calls them."""
    checked = {f"input {i}": x for i, x in enumerate(leaves) if isinstance(x, Tensor) and x.dtype.kind == "f"}
    named = getattr(function, "named_parameters", None)
    checked |= {f"parameter '{name}'": p for name, p in named() if p.requires_grad} if named else {}
    for name, leaf in checked.items():
        if leaf.dtype != np.float64:
            raise TypeError(f"check_gradients: expected float64, got {leaf.dtype} as {name}; use .to('float64')")
        leaf.requires_grad, leaf.grad = True, None
    if not checked:
        raise ValueError("check_gradients: expected an input or a parameter of dtype float64, got none")
    return checked


def _compare(function, leaves, name, leaf, upstream, generator, step, tolerance, directions) -> None:
    gradient = np.zeros(leaf.shape) if leaf.grad is None else leaf.grad
    before = leaf._array.copy()
    for _ in range(directions):
        direction = generator.normal(leaf.shape, dtype=np.float64)
        values = []
        for sign in (1, -1):
            leaf.data[...] = before + sign * step * direction
            with no_grad():
                values.append(function(*leaves)._array.copy())  # a view would show the next change
        leaf.data[...] = before
        numeric = float(np.sum(upstream * (values[0] - values[1]))) / (2 * step)
        analytic = float(np.sum(gradient * direction))
        # the size of a typical term's sum: a total that happens to cancel must not make the test harder or easier
        scale = max(float(np.sqrt(np.sum((gradient * direction) ** 2))), abs(numeric), 1e-3)
        if not abs(numeric - analytic) <= tolerance * scale:
            raise AssertionError(
                f"check_gradients: wrong gradient of {name} with shape {leaf.shape}: along a random direction it says "
                f"{analytic:.10g}, central differences say {numeric:.10g}"
            )
