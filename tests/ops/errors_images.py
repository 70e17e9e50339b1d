"""Wrong input to convolution and pooling."""

import numpy as np

from minidl import ops

x, one = np.ones((2, 6, 5, 7), np.float32), np.ones((6, 5, 7), np.float32)
weight, bias = np.ones((4, 6, 3, 3), np.float32), np.ones(4, np.float32)


def conv(x=x, weight=weight, bias=None, **options):
    return lambda: ops.conv2d(x, weight, bias, **options)


def pool(x=x, kernel_size=2, **options):
    return lambda: ops.max_pool2d(x, kernel_size=kernel_size, **options)


def mean(x=x, kernel_size=2, **options):
    return lambda: ops.avg_pool2d(x, kernel_size=kernel_size, **options)


def adaptive(x=x, output_size=1):
    return lambda: ops.adaptive_avg_pool2d(x, output_size=output_size)


def ones(*shape):
    return np.ones(shape, np.float32)


ERRORS = [
    ("conv2d of a matrix", conv(ones(5, 7)), ValueError, ["conv2d", "(N, C, H, W) or (C, H, W)", "(5, 7)"]),
    ("conv2d of five dimensions", conv(ones(1, 2, 6, 5, 7)), ValueError, ["conv2d", "(1, 2, 6, 5, 7)"]),
    ("conv2d empty batch", conv(ones(0, 6, 5, 7)), ValueError, ["conv2d", "an empty batch", "(0, 6, 5, 7)"]),
    ("conv2d without pixels", conv(ones(2, 6, 0, 7)), ValueError, ["conv2d", "an empty image", "(2, 6, 0, 7)"]),
    ("conv2d channels", conv(ones(2, 3, 5, 7)), ValueError, ["6 channels", "(4, 6, 3, 3)", "(2, 3, 5, 7)"]),
    ("conv2d channels last", conv(ones(2, 5, 7, 6)), ValueError, ["(2, 5, 7, 6)", "channels come before height"]),
    ("conv2d channels of one", conv(ones(5, 5, 7)), ValueError, ["conv2d", "6 channels", "(5, 5, 7)"]),
    ("conv2d weight", conv(weight=ones(4, 6)), ValueError, ["conv2d", "(out, in / groups, kh, kw)", "(4, 6)"]),
    ("conv2d empty weight", conv(weight=ones(4, 6, 0, 3)), ValueError, ["without an extent of 0", "(4, 6, 0, 3)"]),
    ("conv2d groups in", conv(groups=4), ValueError, ["groups that divide the 6 channels", "got 4"]),
    ("conv2d groups out", conv(groups=3), ValueError, ["the 4 of weight (4, 6, 3, 3)", "got 3"]),
    ("conv2d groups weight", conv(groups=2), ValueError, ["12 channels", "groups=2", "(2, 6, 5, 7)"]),
    ("conv2d groups zero", conv(groups=0), ValueError, ["conv2d", "groups", "got 0"]),
    ("conv2d groups pair", conv(groups=(1, 1)), TypeError, ["conv2d", "groups", "(1, 1)"]),
    ("conv2d bias", conv(bias=ones(6)), ValueError, ["bias of shape (4,)", "(6,)"]),
    ("conv2d bias matrix", conv(bias=ones(1, 4)), ValueError, ["bias of shape (4,)", "(1, 4)"]),
    ("conv2d of whole numbers", conv(x.astype(int)), TypeError, ["conv2d", "float32 or float64", "int64"]),
    ("conv2d dtypes", conv(weight=weight.astype(float)), TypeError, ["conv2d", "one dtype", "weight float64"]),
    ("conv2d bias dtype", conv(bias=bias.astype(float)), TypeError, ["conv2d", "one dtype", "bias float64"]),
    ("conv2d without weight", lambda: ops.conv2d(x), TypeError, ["conv2d", "no weight"]),
    ("conv2d kernel", conv(weight=ones(4, 6, 6, 3)), ValueError, ["padded input (5, 7)", "kernel (6, 3)", "padding"]),
    ("conv2d dilated", conv(padding=1, dilation=4), ValueError, ["padded input (7, 9)", "(9, 9)", "dilation (4, 4)"]),
    ("conv2d stride zero", conv(stride=0), ValueError, ["conv2d", "stride of at least 1", "got 0"]),
    ("conv2d stride triple", conv(stride=(1, 2, 3)), ValueError, ["conv2d", "stride", "a pair", "(1, 2, 3)"]),
    ("conv2d stride float", conv(stride=1.5), TypeError, ["conv2d", "stride", "1.5"]),
    ("conv2d padding negative", conv(padding=(0, -1)), ValueError, ["padding of at least 0", "-1"]),
    ("conv2d padding name", conv(padding="full"), ValueError, ["'same', 'valid'", "'full'"]),
    ("conv2d same strided", conv(padding="same", stride=(1, 2)), ValueError, ["stride 1", "'same'", "(1, 2)"]),
    ("conv2d dilation zero", conv(dilation=0), ValueError, ["conv2d", "dilation of at least 1", "got 0"]),
    ("conv2d dilation bool", conv(dilation=True), TypeError, ["conv2d", "dilation", "True"]),
    ("max_pool2d of a matrix", pool(ones(5, 7)), ValueError, ["max_pool2d", "(C, H, W)", "(5, 7)"]),
    ("max_pool2d empty batch", pool(ones(0, 6, 5, 7)), ValueError, ["max_pool2d", "empty batch", "(0, 6, 5, 7)"]),
    ("max_pool2d empty image", pool(ones(0, 5, 7)), ValueError, ["max_pool2d", "empty image", "(0, 5, 7)"]),
    ("max_pool2d of bool", pool(x > 0), TypeError, ["max_pool2d", "float32", "bool"]),
    ("max_pool2d kernel zero", pool(kernel_size=(2, 0)), ValueError, ["kernel_size of at least 1", "got 0"]),
    ("max_pool2d kernel large", pool(one, 6), ValueError, ["hold a window", "(5, 7)", "kernel (6, 6)", "smaller"]),
    ("max_pool2d dilation large", pool(dilation=5), ValueError, ["hold a window", "(5, 7)", "dilation (5, 5)"]),
    ("max_pool2d dilation zero", pool(dilation=0), ValueError, ["dilation of at least 1", "got 0"]),
    ("max_pool2d padding", pool(padding=(1, 2)), ValueError, ["at most half the kernel (2, 2)", "(1, 2)"]),
    ("max_pool2d padding negative", pool(padding=-1), ValueError, ["padding of at least 0", "-1"]),
    ("max_pool2d stride negative", pool(stride=-2), ValueError, ["stride of at least 1", "-2"]),
    ("max_pool2d kernel text", pool(kernel_size="2"), TypeError, ["max_pool2d", "kernel_size", "'2'"]),
    ("avg_pool2d of a vector", mean(ones(5)), ValueError, ["avg_pool2d", "(C, H, W)", "(5,)"]),
    ("avg_pool2d empty batch", mean(ones(0, 6, 5, 7)), ValueError, ["avg_pool2d", "empty batch", "(0, 6, 5, 7)"]),
    ("avg_pool2d of whole numbers", mean(x.astype(int)), TypeError, ["avg_pool2d", "int64"]),
    ("avg_pool2d kernel large", mean(kernel_size=(2, 8)), ValueError, ["avg_pool2d", "(5, 7)", "(2, 8)"]),
    ("avg_pool2d padding", mean(kernel_size=3, padding=2), ValueError, ["at most half", "(3, 3)", "(2, 2)"]),
    ("avg_pool2d stride", mean(stride=0), ValueError, ["avg_pool2d", "stride", "got 0"]),
    ("avg_pool2d divisor zero", mean(divisor_override=0), ValueError, ["divisor_override", "other than 0"]),
    ("avg_pool2d divisor float", mean(divisor_override=2.5), TypeError, ["divisor_override", "2.5"]),
    ("adaptive of a matrix", adaptive(ones(5, 7)), ValueError, ["adaptive_avg_pool2d", "(5, 7)"]),
    ("adaptive empty batch", adaptive(ones(0, 6, 5, 7)), ValueError, ["adaptive_avg_pool2d", "empty batch"]),
    ("adaptive of whole numbers", adaptive(x.astype(int)), TypeError, ["adaptive_avg_pool2d", "int64"]),
    ("adaptive size zero", adaptive(output_size=(0, 3)), ValueError, ["output_size of at least 1", "got 0"]),
    ("adaptive size triple", adaptive(output_size=(1, 2, 3)), ValueError, ["output_size", "(1, 2, 3)"]),
    ("adaptive size float", adaptive(output_size=1.0), TypeError, ["output_size", "1.0"]),
]
