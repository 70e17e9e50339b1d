"""Wrong input to modules, layers, losses, initialisation, saving and loading."""

import numpy as np

import minidl
from minidl import nn, tensor
from minidl.nn import init

x = tensor(np.ones((2, 3), np.float32))
images = tensor(np.ones((2, 3, 4, 5), np.float32))
double, labels = np.ones((2, 3)), np.array([0, 2])


def assign(layer, value):
    layer.weight = value


def assign_buffer(layer, value):
    layer.running_mean = value


ERRORS = [
    ("Module load of a list", lambda: nn.Linear(1, 1).load_state_dict([]), TypeError, ["Linear", "dict", "list"]),
    (
        "Module assignment of an array to a buffer",
        lambda: assign_buffer(nn.BatchNorm1d(3), np.zeros(3, np.float32)),
        TypeError,
        ["BatchNorm1d", "Tensor", "'running_mean'", "ndarray"],
    ),
    ("Module hook", lambda: nn.Tanh().register_forward_hook(None), TypeError, ["hook", "function", "NoneType"]),
    (
        "Module load of text",
        lambda: nn.Linear(1, 1).load_state_dict({"weight": "a", "bias": [0.0]}),
        TypeError,
        ["Linear.load_state_dict", "float32", "'weight'", "<U1"],
    ),
    (
        "Module load of floats into a counter",
        lambda: nn.BatchNorm1d(1).load_state_dict({"num_batches_tracked": np.float32(1)}, strict=False),
        TypeError,
        ["int64", "'num_batches_tracked'", "float32"],
    ),
    (
        "Module load of a missing name",
        lambda: nn.Linear(1, 1).load_state_dict({"weight": [[1.0]]}),
        ValueError,
        ["Linear.load_state_dict", "missing: 'bias'"],
    ),
    ("Module to int", lambda: nn.Linear(1, 1).to("int64"), TypeError, ["Linear.to", "float32 or float64", "int64"]),
    ("Module weight", lambda: assign(nn.Linear(1, 1), x), TypeError, ["Linear", "Parameter", "'weight'", ".data"]),
    (
        "Module buffer of an array",
        lambda: nn.Tanh().register_buffer("mean", double),
        TypeError,
        ["Tanh.register_buffer", "Tensor", "ndarray"],
    ),
    (
        "Module buffer with gradient",
        lambda: nn.Tanh().register_buffer("mean", nn.Parameter(double)),
        TypeError,
        ["Tanh.register_buffer", "without gradient", "'mean'"],
    ),
    (
        "Module buffer with a taken name",
        lambda: nn.Tanh().register_buffer("forward", x),
        ValueError,
        ["Tanh.register_buffer", "new", "'forward'"],
    ),
    ("Module buffer with a dot", lambda: nn.Tanh().register_buffer("a.b", x), ValueError, ["without dots", "'a.b'"]),
    ("Parameter of whole numbers", lambda: nn.Parameter([1, 2]), TypeError, ["float32 or float64", "int64"]),
    ("Sequential of a list", lambda: nn.Sequential([nn.Tanh()]), TypeError, ["Sequential", "callables", "*layers"]),
    ("Sequential of a class", lambda: nn.Sequential(nn.Tanh), TypeError, ["Sequential", "the class Tanh", "'0'"]),
    ("Sequential name", lambda: nn.Sequential({"train": nn.Tanh()}), ValueError, ["Sequential", "name", "'train'"]),
    ("Sequential append", lambda: nn.Sequential().append(3), TypeError, ["Sequential", "callables", "3"]),
    ("Linear size", lambda: nn.Linear(-3, 2), ValueError, ["Linear", "in_features of at least 1", "-3"]),
    ("Linear float", lambda: nn.Linear(3, 2.0), TypeError, ["Linear", "whole number", "out_features", "2.0"]),
    ("Linear rng", lambda: nn.Linear(3, 2, rng="a"), TypeError, ["whole number", "'a'"]),
    ("Linear input", lambda: nn.Linear(4, 2)(x), ValueError, ["linear", "(..., 4)", "(2, 3)"]),
    ("Linear dtype", lambda: nn.Linear(3, 2)(double), TypeError, ["linear", "float64", ".to("]),
    ("Flatten dim", lambda: nn.Flatten("a"), TypeError, ["Flatten", "whole number", "start_dim", "'a'"]),
    ("Flatten input", lambda: nn.Flatten(1, 4)(x), ValueError, ["flatten", "dim", "4"]),
    ("Conv2d channels", lambda: nn.Conv2d(0, 2, 3), ValueError, ["Conv2d", "in_channels of at least 1", "0"]),
    ("Conv2d kernel", lambda: nn.Conv2d(3, 2, (3, 3, 3)), ValueError, ["Conv2d", "kernel_size", "(3, 3, 3)"]),
    ("Conv2d stride", lambda: nn.Conv2d(3, 2, 3, stride=0), ValueError, ["Conv2d", "stride of at least 1", "0"]),
    ("Conv2d padding", lambda: nn.Conv2d(3, 2, 3, padding=-1), ValueError, ["Conv2d", "padding of at least 0", "-1"]),
    ("Conv2d padding name", lambda: nn.Conv2d(3, 2, 3, padding="full"), ValueError, ["Conv2d", "'same'", "'full'"]),
    ("Conv2d same", lambda: nn.Conv2d(3, 2, 3, 2, "same"), ValueError, ["Conv2d", "stride 1", "(2, 2)"]),
    ("Conv2d dilation", lambda: nn.Conv2d(3, 2, 3, dilation=1.5), TypeError, ["Conv2d", "dilation", "1.5"]),
    ("Conv2d groups", lambda: nn.Conv2d(3, 4, 3, groups=2), ValueError, ["Conv2d", "groups that divide", "3", "2"]),
    ("Conv2d input", lambda: nn.Conv2d(4, 2, 3)(images), ValueError, ["conv2d", "4 channels", "(2, 3, 4, 5)"]),
    ("MaxPool2d kernel", lambda: nn.MaxPool2d(0), ValueError, ["MaxPool2d", "kernel_size of at least 1", "0"]),
    ("MaxPool2d padding", lambda: nn.MaxPool2d(3, padding=2), ValueError, ["MaxPool2d", "half", "3", "2"]),
    ("MaxPool2d dilation", lambda: nn.MaxPool2d(3, dilation=0), ValueError, ["MaxPool2d", "dilation", "0"]),
    ("MaxPool2d input", lambda: nn.MaxPool2d(2)(x), ValueError, ["max_pool2d", "(2, 3)"]),
    ("AvgPool2d stride", lambda: nn.AvgPool2d(2, stride=-1), ValueError, ["AvgPool2d", "stride of at least 1", "-1"]),
    ("AvgPool2d divisor", lambda: nn.AvgPool2d(2, divisor_override=0), ValueError, ["AvgPool2d", "other than 0"]),
    ("AvgPool2d input", lambda: nn.AvgPool2d(6)(images), ValueError, ["avg_pool2d", "(4, 5)", "(6, 6)"]),
    ("AdaptiveAvgPool2d size", lambda: nn.AdaptiveAvgPool2d((0, 1)), ValueError, ["AdaptiveAvgPool2d", "at least 1"]),
    ("AdaptiveAvgPool2d text", lambda: nn.AdaptiveAvgPool2d("a"), TypeError, ["AdaptiveAvgPool2d", "'a'"]),
    ("AdaptiveAvgPool2d input", lambda: nn.AdaptiveAvgPool2d(1)(x), ValueError, ["adaptive_avg_pool2d", "(2, 3)"]),
    ("Dropout p", lambda: nn.Dropout(1.5), ValueError, ["Dropout", "p from 0 to 1", "1.5"]),
    ("Dropout NaN", lambda: nn.Dropout(float("nan")), ValueError, ["Dropout", "p from 0 to 1", "nan"]),
    ("Dropout text", lambda: nn.Dropout("0.5"), TypeError, ["Dropout", "number as p", "'0.5'"]),
    ("BatchNorm1d size", lambda: nn.BatchNorm1d(0), ValueError, ["BatchNorm1d", "num_features of at least 1", "0"]),
    ("BatchNorm1d eps", lambda: nn.BatchNorm1d(3, eps=-1e-5), ValueError, ["BatchNorm1d", "eps", "-1e-05"]),
    ("BatchNorm1d momentum", lambda: nn.BatchNorm1d(3, momentum=2), ValueError, ["momentum from 0 to 1", "2"]),
    ("BatchNorm1d input", lambda: nn.BatchNorm1d(3)(images), ValueError, ["BatchNorm1d", "(N, C)", "(2, 3, 4, 5)"]),
    ("BatchNorm1d channels", lambda: nn.BatchNorm1d(4)(x), ValueError, ["BatchNorm1d", "C = 4", "(2, 3)"]),
    ("BatchNorm1d alone", lambda: nn.BatchNorm1d(3)(x[:1]), ValueError, ["BatchNorm1d", "(1, 3)"]),
    ("BatchNorm2d input", lambda: nn.BatchNorm2d(3)(x), ValueError, ["BatchNorm2d", "(N, C, H, W)", "(2, 3)"]),
    (
        "BatchNorm2d alone",
        lambda: nn.BatchNorm2d(3)(images[:1, :, :1, :1]),
        ValueError,
        ["BatchNorm2d", "(1, 3, 1, 1)"],
    ),
    ("BatchNorm2d dtype", lambda: nn.BatchNorm2d(3)(images.to("float64")), TypeError, ["BatchNorm2d", "float64"]),
    ("LayerNorm shape", lambda: nn.LayerNorm(()), ValueError, ["LayerNorm", "at least one dimension", "()"]),
    ("LayerNorm size", lambda: nn.LayerNorm((3, 0)), ValueError, ["LayerNorm", "normalized_shape of at least 1", "0"]),
    ("LayerNorm eps", lambda: nn.LayerNorm(3, eps="a"), TypeError, ["LayerNorm", "number as eps", "'a'"]),
    ("LayerNorm input", lambda: nn.LayerNorm(4)(x), ValueError, ["layer_norm", "4", "(2, 3)"]),
    ("LeakyReLU slope", lambda: nn.LeakyReLU(-0.1), ValueError, ["LeakyReLU", "negative_slope", "-0.1"]),
    ("ReLU input", lambda: nn.ReLU()(labels), TypeError, ["relu", "float32 or float64", "int64"]),
    ("Tanh input", lambda: nn.Tanh()([1.0]), TypeError, ["tanh", "Tensor", "list"]),
    ("Sigmoid input", lambda: nn.Sigmoid()(labels), TypeError, ["sigmoid", "int64"]),
    ("Softmax dim", lambda: nn.Softmax(1.0), TypeError, ["Softmax", "dim", "1.0"]),
    ("Softmax input", lambda: nn.Softmax(2)(x), ValueError, ["softmax", "dim", "2"]),
    ("LogSoftmax dim", lambda: nn.LogSoftmax(None), TypeError, ["LogSoftmax", "dim", "None"]),
    ("LogSoftmax input", lambda: nn.LogSoftmax(-3)(x), ValueError, ["log_softmax", "dim", "-3"]),
    ("CrossEntropyLoss reduction", lambda: nn.CrossEntropyLoss(reduction="avg"), ValueError, ["'mean'", "'avg'"]),
    ("CrossEntropyLoss smoothing", lambda: nn.CrossEntropyLoss(label_smoothing=2), ValueError, ["from 0 to 1", "2"]),
    ("CrossEntropyLoss index", lambda: nn.CrossEntropyLoss(ignore_index=0.5), TypeError, ["ignore_index", "0.5"]),
    ("CrossEntropyLoss label", lambda: nn.CrossEntropyLoss()(x, np.array([0, 3])), ValueError, ["cross_entropy", "3"]),
    ("CrossEntropyLoss shape", lambda: nn.CrossEntropyLoss()(x, np.zeros(3, int)), ValueError, ["(2, 3)", "(3,)"]),
    ("NLLLoss reduction", lambda: nn.NLLLoss(reduction=None), ValueError, ["NLLLoss", "'none'", "None"]),
    ("NLLLoss label", lambda: nn.NLLLoss()(x, np.array([-1, 0])), ValueError, ["nll_loss", "-1"]),
    ("MSELoss reduction", lambda: nn.MSELoss(reduction="Mean"), ValueError, ["MSELoss", "'mean'", "'Mean'"]),
    ("MSELoss shape", lambda: nn.MSELoss()(x, x[:1]), ValueError, ["mse_loss", "(2, 3)", "(1, 3)"]),
    ("BCEWithLogitsLoss reduction", lambda: nn.BCEWithLogitsLoss(reduction=1), ValueError, ["BCEWithLogitsLoss", "1"]),
    (
        "BCEWithLogitsLoss dtype",
        lambda: nn.BCEWithLogitsLoss()(x, double),
        TypeError,
        ["binary_cross_entropy_with_logits", "float64"],
    ),
    ("init of an array", lambda: init.zeros_(double), TypeError, ["zeros_", "Tensor", "ndarray"]),
    ("init of whole numbers", lambda: init.normal_(tensor(labels)), TypeError, ["normal_", "float32", "int64"]),
    ("init of an output", lambda: init.ones_(nn.Linear(3, 2)(x)), ValueError, ["ones_", "leaf", "linear"]),
    ("init uniform bounds", lambda: init.uniform_(x, 1, 0), ValueError, ["uniform_", "a <= b", "1 and 0"]),
    ("init normal std", lambda: init.normal_(x, 0, -1), ValueError, ["normal_", "std", "-1"]),
    ("init kaiming mode", lambda: init.kaiming_uniform_(x, mode="fan"), ValueError, ["kaiming_uniform_", "'fan'"]),
    (
        "init kaiming vector",
        lambda: init.kaiming_normal_(x[0]),
        ValueError,
        ["kaiming_normal_", "2 dimensions", "(3,)"],
    ),
    ("init xavier vector", lambda: init.xavier_normal_(x[0]), ValueError, ["xavier_normal_", "(3,)"]),
    ("init gain", lambda: init.calculate_gain("gelu"), ValueError, ["calculate_gain", "'relu'", "'gelu'"]),
    ("save a model", lambda: minidl.save(nn.Linear(1, 1), "m"), TypeError, ["save", "Linear", "state_dict()"]),
    ("save text", lambda: minidl.save({"a": np.array(["b"])}, "m"), TypeError, ["save", "'a'", "<U1"]),
    ("save under a number", lambda: minidl.save({1: double}, "m"), TypeError, ["save", "string keys", "1"]),
    ("load a file of text", lambda: minidl.load(__file__), ValueError, ["load", "safetensors", "errors_nn.py"]),
]
