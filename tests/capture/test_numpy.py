"""What a user's op, kernel or step does in NumPy is no part of a program: it is refused, with the op's name."""

import numpy as np
import pytest

import minidl
from minidl import InOut, Out, kernel, launch, op

from .problem import Problem, batches, bits, refusal


@op
def numpy_cube(x):
    return x**3, lambda dy: 3 * x**2 * dy


@kernel
def double(x, y: Out, low, high):
    for i in range(low, high):
        y[i] = x[i] + x[i]


def launched(x):
    y = np.empty_like(np.asarray(x))
    launch(double, x.size, x.reshape(-1), y.reshape(-1))
    return y


@op
def touched_up(x):
    y = launched(x)
    y += 1
    return y, lambda dy: launched(dy)


@op
def clipped(x):
    """NumPy that changes nothing as long as nothing is beyond 1e6."""
    y = launched(x)
    return np.minimum(y, 1e6, out=y), lambda dy: launched(dy)


@op
def switching(x):
    y = launched(x)
    if x.max() > 1e6:
        y = launched(y)
    return y, lambda dy: launched(dy)


@op
def clipping_backward(x):
    return launched(x), lambda dy: launched(np.clip(dy, -1e6, 1e6))


def with_op(function):
    def step(p, x, y):
        p.optimizer.zero_grad()
        loss = p.loss_of(function(p.model(x)), y)
        loss.backward()
        p.optimizer.step()
        return loss

    return step


OPS = {
    "NumPy alone": (numpy_cube, "numpy_cube"),
    "NumPy after a launch": (touched_up, "replay differs"),
    "NumPy that asks for a value": (switching, "switching in NumPy"),
    "NumPy on a gradient": (clipping_backward, "clipping_backward.<locals>.<lambda> in NumPy"),
}


@pytest.mark.parametrize("kind", OPS)
def test_an_op_that_works_in_numpy(kind):
    function, words = OPS[kind]
    p, step = Problem(), with_op(function)
    why = refusal(lambda x, y: step(p, x, y))
    assert words in why and "kernel" in why


@pytest.mark.parametrize(
    "operation", ["x.mean()", "x + 1", "x.argmax()", "x[[0, 1]]", "np.exp(x)", "np.where(x > 0, x, 0)"]
)
def test_numpy_on_an_input(operation):
    p = Problem()

    def step(x, y):
        eval(operation, {"x": x, "np": np})
        return p.loss_of(p.model(x), y)

    given = [(x.numpy(), y.numpy()) for x, y in batches(5)]
    assert "an input in NumPy" in refusal(step, given)


def test_a_large_array_that_only_numpy_reads():
    p, large = Problem(), np.ones(1 << 18)
    p.model.eval()

    def step(x, y):
        return p.loss_of(p.model(x), y) * float(large[0])

    assert "reaches an array of 2 MiB (large), which no kernel reads" in refusal(step)
    large.flags.writeable = False
    captured = minidl.capture(step)
    given = batches(5)
    assert [bits(captured(x, y)) for x, y in given[:4]] == [bits(step(x, y)) for x, y in given[:4]]
    assert "kernels" in repr(captured)


def test_an_input_changed_in_place():
    @kernel
    def clear(x: InOut, low, high):
        for i in range(low, high):
            x[i] = 0

    def step(x, y):
        launch(clear, x.size, x.reshape(-1))
        return tensor_of(x)

    @op
    def tensor_of(x):
        return launched(x), None

    assert "changes an input in place" in refusal(step, [(x.numpy(), y.numpy()) for x, y in batches(5)])


@kernel
def undeclared(x, y, low, high):
    for i in range(low, high):
        y[i] = x[i] * x[i]


@kernel
def adding(x, y: Out, low, high):
    for i in range(low, high):
        y[i] += x[i]


@kernel
def some(x, y: Out, low, high):
    for i in range(low, high):
        if x[i] > 0:
            y[i] = x[i]


def test_a_kernel_that_does_not_say_what_it_writes():
    @op
    def square(x):
        y = np.empty_like(x)
        launch(undeclared, x.size, x.reshape(-1), y.reshape(-1))
        return y, None

    assert "undeclared reads y" in refusal(lambda x, y: square(x))


@pytest.mark.parametrize("wrong", [adding, some])
def test_a_kernel_that_says_out_and_reads_or_leaves_what_was_there(wrong):
    @op
    def function(x):
        y = np.zeros_like(x)
        launch(wrong, x.size, x.reshape(-1), y.reshape(-1))
        return y, None

    assert "replay differs" in refusal(lambda x, y: function(x))
