"""Wrong input to optimizers and schedules."""

import numpy as np

from minidl import nn, ones, optim, tensor

leaf, other = nn.Parameter(ones(2, 3)), nn.Parameter(ones(3))


def sgd(**options):
    return optim.SGD([leaf], **options)


def step_with(gradient):
    parameter = nn.Parameter(ones(2, 3))
    parameter.grad = gradient
    optim.SGD([parameter], lr=0.1).step()


def step_after_to():
    layer = nn.Linear(2, 2)
    optimizer = optim.SGD(layer.parameters(), lr=0.1, momentum=0.9)
    for dtype in (np.float32, np.float64):
        for parameter in layer.to(dtype).parameters():
            parameter.grad = np.ones(parameter.shape, dtype)
        optimizer.step()


def step_with_negative_rate():
    optimizer = sgd(lr=0.1)
    optimizer.param_groups[0]["lr"] = -1
    optimizer.step()


def join(*schedules, milestones):
    optimizer = sgd(lr=0.1)
    return optim.SequentialLR(optimizer, [make(optimizer) for make in schedules], milestones)


def linear(optimizer):
    return optim.LinearLR(optimizer)


ERRORS = [
    ("SGD of a tensor", lambda: optim.SGD(leaf, lr=0.1), TypeError, ["SGD", "model.parameters()", "Parameter"]),
    ("SGD of a model", lambda: optim.SGD(nn.Linear(1, 1), lr=0.1), TypeError, ["SGD", "model.parameters()", "Linear"]),
    ("SGD of nothing", lambda: optim.SGD([], lr=0.1), ValueError, ["SGD", "at least one parameter", "none"]),
    ("SGD of arrays", lambda: optim.SGD([np.ones(2)], lr=0.1), TypeError, ["SGD", "Tensors", "ndarray"]),
    ("SGD of an output", lambda: optim.SGD([leaf * 2], lr=0.1), ValueError, ["SGD", "leaves", "multiply", "detach"]),
    ("SGD of whole numbers", lambda: optim.SGD([tensor([1])], lr=0.1), TypeError, ["SGD", "float32", "int64"]),
    ("SGD twice", lambda: optim.SGD([leaf, other, leaf], lr=0.1), ValueError, ["SGD", "once", "(2, 3)", "parameter 2"]),
    (
        "SGD twice in groups",
        lambda: optim.SGD([{"params": [leaf]}, {"params": [other, leaf]}], lr=0.1),
        ValueError,
        ["SGD", "once", "parameter 1 of group 1"],
    ),
    ("SGD of a mix", lambda: optim.SGD([{"params": [leaf]}, other], lr=0.1), TypeError, ["SGD", "mix"]),
    ("SGD group", lambda: optim.SGD([{"lr": 0.1}], lr=0.1), ValueError, ["SGD", "'params'", "'lr'"]),
    (
        "SGD group option",
        lambda: optim.SGD([{"params": [leaf], "rate": 1}], lr=0.1),
        ValueError,
        ["SGD", "lr, momentum", "got rate"],
    ),
    ("SGD lr", lambda: sgd(lr=-0.1), ValueError, ["SGD", "lr of at least 0", "-0.1"]),
    ("SGD lr NaN", lambda: sgd(lr=float("nan")), ValueError, ["SGD", "lr", "nan"]),
    ("SGD lr text", lambda: sgd(lr="0.1"), TypeError, ["SGD", "number as lr", "'0.1'"]),
    ("SGD momentum", lambda: sgd(momentum=-1), ValueError, ["SGD", "momentum of at least 0", "-1"]),
    ("SGD decay", lambda: sgd(weight_decay=-1), ValueError, ["SGD", "weight_decay of at least 0", "-1"]),
    ("SGD nesterov", lambda: sgd(nesterov=True), ValueError, ["SGD", "momentum above 0", "nesterov"]),
    (
        "SGD nesterov dampening",
        lambda: sgd(nesterov=True, momentum=0.9, dampening=0.1),
        ValueError,
        ["SGD", "dampening 0", "0.1"],
    ),
    ("SGD later", step_with_negative_rate, ValueError, ["SGD", "lr of at least 0", "-1"]),
    (
        "SGD gradient shape",
        lambda: step_with(np.ones((3, 2), np.float32)),
        ValueError,
        ["SGD.step", "(2, 3)", "(3, 2)"],
    ),
    ("SGD gradient dtype", lambda: step_with(np.ones((2, 3))), ValueError, ["SGD.step", "float32", "float64"]),
    ("SGD gradient kind", lambda: step_with(ones(2, 3)), ValueError, ["SGD.step", "gradient", "Tensor"]),
    ("SGD velocity", step_after_to, ValueError, ["SGD.step", "momentum_buffer", "float64", "after model.to"]),
    ("SGD state kind", lambda: sgd().load_state_dict([]), TypeError, ["SGD.load_state_dict", "dict", "list"]),
    ("SGD state", lambda: sgd().load_state_dict({"lr": 1}), ValueError, ["'param_groups'", "'lr'"]),
    (
        "SGD state groups",
        lambda: sgd().load_state_dict(optim.SGD([leaf, other]).state_dict()),
        ValueError,
        ["SGD.load_state_dict", "[1]", "[2]"],
    ),
    ("SGD dampening NaN", lambda: sgd(dampening=float("nan")), ValueError, ["SGD", "dampening", "nan"]),
    ("SGD group of a number", lambda: optim.SGD([{"params": 3}]), TypeError, ["SGD", "'params'", "int"]),
    (
        "SGD state without params",
        lambda: sgd().load_state_dict({"state": {}, "param_groups": [{}]}),
        ValueError,
        ["SGD.load_state_dict", "'params'", "[{}]"],
    ),
    ("no_decay_groups", lambda: optim.no_decay_groups([leaf], 0.1), TypeError, ["no_decay_groups", "Module", "list"]),
    ("schedule of a model", lambda: optim.StepLR(nn.Tanh(), 1), TypeError, ["StepLR", "optimizer", "Tanh"]),
    ("schedule state", lambda: linear(sgd()).load_state_dict({}), ValueError, ["LinearLR", "last_epoch"]),
    (
        "schedule state groups",
        lambda: linear(sgd()).load_state_dict({"last_epoch": 1, "base_lrs": [1.0, 2.0]}),
        ValueError,
        ["LinearLR", "1 base_lrs", "2"],
    ),
    ("ConstantLR factor", lambda: optim.ConstantLR(sgd(), 2), ValueError, ["ConstantLR", "factor from 0 to 1", "2"]),
    ("ConstantLR steps", lambda: optim.ConstantLR(sgd(), 0.5, -1), ValueError, ["ConstantLR", "total_iters", "-1"]),
    ("StepLR size", lambda: optim.StepLR(sgd(), 0), ValueError, ["StepLR", "step_size of at least 1", "0"]),
    ("StepLR float", lambda: optim.StepLR(sgd(), 2.5), TypeError, ["StepLR", "whole number", "2.5"]),
    ("StepLR gamma", lambda: optim.StepLR(sgd(), 2, -0.1), ValueError, ["StepLR", "gamma", "-0.1"]),
    ("LinearLR start", lambda: optim.LinearLR(sgd(), 0), ValueError, ["LinearLR", "start_factor above 0", "0"]),
    ("LinearLR end", lambda: optim.LinearLR(sgd(), end_factor="1"), TypeError, ["LinearLR", "end_factor", "'1'"]),
    ("LinearLR steps", lambda: optim.LinearLR(sgd(), total_iters=0), ValueError, ["LinearLR", "total_iters", "0"]),
    ("CosineAnnealingLR T_max", lambda: optim.CosineAnnealingLR(sgd(), -5), ValueError, ["T_max of at least 1", "-5"]),
    ("CosineAnnealingLR eta", lambda: optim.CosineAnnealingLR(sgd(), 5, -1), ValueError, ["eta_min", "-1"]),
    ("SequentialLR milestones", lambda: join(linear, linear, milestones=[]), ValueError, ["SequentialLR", "2", "[]"]),
    (
        "SequentialLR order",
        lambda: join(linear, linear, linear, milestones=[5, 5]),
        ValueError,
        ["SequentialLR", "rising", "[5, 5]"],
    ),
    ("SequentialLR kind", lambda: join(lambda o: o, milestones=[]), TypeError, ["SequentialLR", "schedules", "SGD"]),
    (
        "SequentialLR of another optimizer",
        lambda: join(lambda o: linear(sgd()), milestones=[]),
        ValueError,
        ["SequentialLR", "optimizer", "another"],
    ),
]
