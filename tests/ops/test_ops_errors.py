"""A mistake gives one readable line that names operation, argument, what it got and expected.

Errors derive from FastdlError and from the built-in that a user would catch, and come before any
kernel runs: nothing is changed.
"""

from functools import partial

import numpy as np
import pytest

import fastdl
from fastdl import ops
from fastdl.errors import ArgumentError, DTypeError, FastdlError, ShapeError

BUILTIN = {ShapeError: ValueError, ArgumentError: ValueError, DTypeError: TypeError}


def z(*shape, dtype=np.float32):
    return np.zeros(shape, dtype)


x, w = z(2, 3, 8, 8), z(4, 3, 3, 3)
conv = partial(ops.conv2d, x, w)
conv_back = partial(ops.conv2d_backward, z(2, 4, 6, 6), x, w)
pool = partial(ops.max_pool2d, x)
scores, labels = z(4, 5), np.zeros(4, int)
entropy = partial(ops.softmax_cross_entropy, scores)
norm = partial(ops.batch_norm, z(4, 3), z(3), z(3))
norm_back = partial(ops.batch_norm_backward, z(4, 3), z(4, 3), z(3), z(3), z(3))
u8 = partial(z, dtype=np.uint8)
frozen = z(3)
frozen.flags.writeable = False

# What is called; the error; what its message contains.
MISTAKES = {
    # conv2d
    "conv residual": (partial(conv, residual=z(2, 4, 8, 8)), ShapeError,
                      ["conv2d", "residual must be (2, 4, 6, 6)", "got (2, 4, 8, 8)"]),
    "conv residual's dtype": (partial(conv, residual=z(2, 4, 6, 6, dtype="f8")), DTypeError,
                              ["conv2d", "residual is float64", "x is float32"]),
    "conv algorithm": (partial(conv, algorithm="fft"), ArgumentError,
                       ["conv2d: unknown algorithm 'fft'; there are: "
                        "auto, direct, winograd, im2col"]),
    "conv algorithm's type": (partial(conv_back, algorithm=3), ArgumentError,
                              ["conv2d_backward: unknown algorithm 3"]),
    "winograd, stride": (partial(conv, stride=2, algorithm="winograd"), ArgumentError,
                         ["conv2d", "'winograd'", "stride 1", "got", "stride (2, 2)"]),
    "winograd, dilation": (partial(conv, dilation=2, algorithm="winograd"), ArgumentError,
                           ["conv2d", "'winograd'", "dilation 1", "got", "dilation (2, 2)"]),
    "winograd, window": (partial(ops.conv2d_backward, z(2, 4, 8, 8), x, z(4, 3, 1, 1),
                                 algorithm="winograd"), ArgumentError,
                         ["conv2d_backward", "'winograd'", "3x3", "weight (4, 3, 1, 1)"]),
    "set_conv_algorithm": (partial(fastdl.set_conv_algorithm, "fft"), ArgumentError,
                           ["set_conv_algorithm: unknown algorithm 'fft'", "im2col"]),
    "set_conv_algorithm None": (partial(fastdl.set_conv_algorithm, None), ArgumentError,
                                ["set_conv_algorithm: unknown algorithm None"]),
    "conv rank of x": (partial(ops.conv2d, z(3, 8, 8), w), ShapeError,
                       ["conv2d", "x (3, 8, 8)", "4 dimensions"]),
    "conv rank of w": (partial(ops.conv2d, x, z(4, 27)), ShapeError,
                       ["conv2d", "weight (4, 27)", "4 dimensions"]),
    "conv channels": (partial(ops.conv2d, z(8, 4, 32, 32), z(16, 3, 3, 3)), ShapeError,
                      ["conv2d: weight expects 3 input channels (groups=1), x has 4: "
                       "x (8, 4, 32, 32), weight (16, 3, 3, 3)"]),
    "conv bias": (partial(conv, z(5)), ShapeError, ["conv2d", "bias must be (4,)", "got (5,)"]),
    "conv groups of x": (partial(conv, groups=2), ShapeError,
                         ["conv2d", "6 input channels", "groups=2", "x has 3"]),
    "conv groups of w": (partial(ops.conv2d, x, z(4, 1, 3, 3), groups=3), ShapeError,
                         ["conv2d", "4 output channels", "3 groups"]),
    "conv groups 0": (partial(conv, groups=0), ArgumentError, ["conv2d", "groups", "1", "got 0"]),
    "conv groups text": (partial(conv, groups="2"), ArgumentError, ["conv2d", "groups", "'2'"]),
    "conv stride 0": (partial(conv, stride=0), ArgumentError,
                      ["conv2d", "stride must be at least 1", "got 0"]),
    "conv stride pair": (partial(conv, stride=(1, 0)), ArgumentError,
                         ["conv2d", "stride", "(1, 0)"]),
    "conv stride triple": (partial(conv, stride=(1, 1, 1)), ArgumentError,
                           ["conv2d", "stride", "integer or a pair", "(1, 1, 1)"]),
    "conv stride float": (partial(conv, stride=1.5), ArgumentError,
                          ["conv2d", "stride", "integers", "1.5"]),
    "conv padding": (partial(conv, padding=-1), ArgumentError,
                     ["conv2d", "padding must be at least 0", "got -1"]),
    "conv padding name": (partial(conv, padding="same"), ArgumentError,
                          ["conv2d", "padding", "'same'"]),
    "conv dilation": (partial(conv, dilation=0), ArgumentError,
                      ["conv2d", "dilation must be at least 1", "got 0"]),
    "conv kernel too large": (partial(conv, dilation=4), ShapeError,
                              ["conv2d", "kernel (3, 3)", "dilation (4, 4)", "input (8, 8)",
                               "padding (0, 0)"]),
    "conv empty filter": (partial(ops.conv2d, x, z(0, 3, 3, 3)), ShapeError,
                          ["conv2d", "weight (0, 3, 3, 3)", "empty"]),
    "conv mixed dtypes": (partial(ops.conv2d, x, z(4, 3, 3, 3, dtype=np.float64)), DTypeError,
                          ["conv2d", "weight is float64", "x is float32", "astype"]),
    "conv complex": (partial(ops.conv2d, x.astype(complex), w), DTypeError,
                     ["conv2d", "x has dtype complex128", "float32"]),
    "conv objects": (partial(ops.conv2d, x, w.astype(object)), DTypeError,
                     ["conv2d", "weight has dtype object"]),
    "conv long double": (partial(ops.conv2d, x.astype("g"), w), DTypeError,
                         ["conv2d", "x has dtype"]),
    "conv text": (partial(ops.conv2d, "image", w), DTypeError, ["conv2d", "x has dtype"]),
    "conv None": (partial(ops.conv2d, x, [None]), DTypeError,
                  ["conv2d", "weight has dtype object"]),
    "conv backward dy": (partial(ops.conv2d_backward, z(2, 4, 5, 5), x, w), ShapeError,
                         ["conv2d_backward", "dy must be (2, 4, 6, 6)", "got (2, 4, 5, 5)"]),
    "conv backward dtype": (partial(ops.conv2d_backward, z(2, 4, 6, 6, dtype="f8"), x, w),
                            DTypeError, ["conv2d_backward", "dy is float64", "x is float32"]),
    "conv backward stride": (partial(conv_back, stride=0), ArgumentError,
                             ["conv2d_backward", "stride"]),
    # im2col
    "im2col rank": (partial(ops.im2col, z(8, 8), 3), ShapeError,
                    ["im2col", "x must have 4 dimensions", "(8, 8)"]),
    "im2col kernel 0": (partial(ops.im2col, x, 0), ArgumentError, ["im2col", "kernel_size", "0"]),
    "im2col too large": (partial(ops.im2col, x, 9), ShapeError, ["im2col", "(9, 9)", "(8, 8)"]),
    "col2im col": (partial(ops.col2im, z(3, 4), (1, 1, 3, 3), 2), ShapeError,
                   ["col2im", "col must be (4, 4)", "(1, 1, 3, 3)", "got (3, 4)"]),
    "col2im x_shape": (partial(ops.col2im, z(4, 4), (3, 3), 2), ShapeError,
                       ["col2im", "x_shape", "(N, C, H, W)", "(3, 3)"]),
    # pooling
    "pool rank": (partial(ops.max_pool2d, z(8, 8), 2), ShapeError, ["max_pool2d", "x", "(8, 8)"]),
    "pool no cells": (partial(ops.avg_pool2d, z(2, 3, 0, 8), 2), ShapeError,
                      ["avg_pool2d", "x (2, 3, 0, 8)", "no cells"]),
    "pool padding": (partial(pool, 3, padding=2), ArgumentError,
                     ["max_pool2d", "padding (2, 2)", "half of the kernel (3, 3)"]),
    "pool kernel": (partial(pool, 9), ShapeError, ["max_pool2d", "kernel (9, 9)", "input (8, 8)"]),
    "pool stride": (partial(pool, 2, stride=0), ArgumentError, ["max_pool2d", "stride", "got 0"]),
    "pool argmax dtype": (partial(ops.max_pool2d_backward, z(2, 3, 4, 4),
                                  z(2, 3, 4, 4, dtype=np.int64), x.shape, 2), DTypeError,
                          ["max_pool2d_backward", "argmax must be uint8", "got int64"]),
    "pool argmax shape": (partial(ops.max_pool2d_backward, z(2, 3, 4, 4), u8(2, 3, 4), x.shape, 2),
                          ShapeError, ["max_pool2d_backward", "argmax must be (2, 3, 4, 4)"]),
    "pool dy": (partial(ops.max_pool2d_backward, z(2, 3, 3, 4), u8(2, 3, 3, 4), x.shape, 2),
                ShapeError, ["max_pool2d_backward", "dy must be (2, 3, 4, 4)", "got (2, 3, 3, 4)"]),
    "pool x_shape": (partial(ops.avg_pool2d_backward, z(2, 3, 4, 4), (2, 5, 8, 8), 2), ShapeError,
                     ["avg_pool2d_backward", "x_shape (2, 5, 8, 8)", "dy (2, 3, 4, 4)"]),
    "global pool dy": (partial(ops.global_avg_pool2d_backward, z(2, 3, 2, 1), x.shape), ShapeError,
                       ["global_avg_pool2d_backward", "dy must be (2, 3, 1, 1)"]),
    "global pool argmax": (partial(ops.global_max_pool2d_backward, z(2, 3, 1, 1), u8(2, 3, 1, 1),
                                   x.shape), DTypeError,
                           ["global_max_pool2d_backward", "argmax must be int32", "got uint8"]),
    # batch normalisation
    "norm rank": (partial(ops.batch_norm, z(3), z(3), z(3)), ShapeError,
                  ["batch_norm", "x must be (N, C)", "(3,)"]),
    "norm weight": (partial(ops.batch_norm, z(4, 3), z(4), z(3)), ShapeError,
                    ["batch_norm", "weight must be (3,)", "got (4,)"]),
    "norm empty batch": (partial(ops.batch_norm, z(0, 3), z(3), z(3)), ShapeError,
                         ["batch_norm", "more than one value", "(0, 3)"]),
    "norm one value": (partial(ops.batch_norm, z(1, 3), z(3), z(3)), ShapeError,
                       ["batch_norm", "more than one value", "(1, 3)"]),
    "norm half of the statistics": (partial(norm, z(3)), ArgumentError,
                                    ["batch_norm", "running_mean and running_var"]),
    "norm evaluation alone": (partial(norm, training=False), ArgumentError,
                              ["batch_norm", "running_mean", "None"]),
    "norm statistics dtype": (partial(norm, z(3, dtype="f8"), z(3)), ArgumentError,
                              ["batch_norm", "running_mean", "float32 array (3,)", "float64"]),
    "norm statistics list": (partial(norm, z(3), [1.0] * 3), ArgumentError,
                             ["batch_norm", "running_var", "in place", "[1.0, 1.0, 1.0]"]),
    "norm statistics read-only": (partial(norm, z(3), frozen), ArgumentError,
                                  ["batch_norm", "running_var", "writeable"]),
    "norm dtypes": (partial(ops.batch_norm, z(4, 3), z(3, dtype="f8"), z(3)), DTypeError,
                    ["batch_norm", "weight is float64", "x is float32"]),
    "norm backward dy": (partial(ops.batch_norm_backward, z(3, 3), *norm_back.args[1:]), ShapeError,
                         ["batch_norm_backward", "dy must be (4, 3)", "got (3, 3)"]),
    "norm residual": (partial(norm, residual=z(4, 2)), ShapeError,
                      ["batch_norm", "residual must be (4, 3)", "shape of x", "got (4, 2)"]),
    "norm residual dtype": (partial(norm, residual=z(4, 3, dtype="f8")), DTypeError,
                            ["batch_norm", "residual is float64", "x is float32"]),
    "norm backward y": (partial(norm_back, y=z(4, 3, 1)), ShapeError,
                        ["batch_norm_backward", "y must be (4, 3)", "got (4, 3, 1)"]),
    # activations
    "relu complex": (partial(ops.relu, z(3, dtype=complex)), DTypeError,
                     ["relu", "x", "complex128"]),
    "relu backward shape": (partial(ops.relu_backward, z(3), z(4)), ShapeError,
                            ["relu_backward", "dy must be (4,)", "shape of y", "got (3,)"]),
    "sigmoid backward dtype": (partial(ops.sigmoid_backward, z(3, dtype="f8"), z(3)), DTypeError,
                               ["sigmoid_backward", "dy is float64", "y is float32"]),
    "softmax axis": (partial(ops.softmax, z(2, 3), 2), ShapeError, ["softmax", "(2, 3)", "axis 2"]),
    "softmax of nothing": (partial(ops.softmax, z(2, 0)), ShapeError, ["softmax", "(2, 0)"]),
    "softmax of a scalar": (partial(ops.softmax, z()), ShapeError, ["softmax", "()"]),
    # losses
    "entropy label": (partial(entropy, np.array([0, 1, 5, 2])), ArgumentError,
                      ["softmax_cross_entropy", "t has label 5", "5 classes", "0 to 4", "(4, 5)"]),
    "entropy negative label": (partial(entropy, np.array([0, 1, -1, 2])), ArgumentError,
                               ["softmax_cross_entropy", "label -1"]),
    "entropy count": (partial(entropy, labels[:3]), ShapeError,
                      ["softmax_cross_entropy", "class indices (4,)", "(4, 5)", "got (3,)"]),
    "entropy one-hot": (partial(entropy, z(4, 6)), ShapeError,
                        ["softmax_cross_entropy", "(4, 5)", "got (4, 6)"]),
    "entropy float labels": (partial(entropy, z(4)), DTypeError,
                             ["softmax_cross_entropy", "integers", "float32"]),
    "entropy rank": (partial(ops.softmax_cross_entropy, z(4), labels), ShapeError,
                     ["softmax_cross_entropy", "x must have 2 dimensions", "(4,)"]),
    "entropy empty batch": (partial(ops.softmax_cross_entropy, z(0, 5), labels[:0]), ShapeError,
                            ["softmax_cross_entropy", "x (0, 5) is empty"]),
    "entropy backward label": (partial(ops.softmax_cross_entropy_backward, scores, labels + 9),
                               ArgumentError, ["softmax_cross_entropy_backward", "label 9"]),
    "mse shape": (partial(ops.mse, z(4, 3), z(4, 2)), ShapeError,
                  ["mse", "t must be (4, 3)", "got (4, 2)"]),
    "mse complex": (partial(ops.mse, z(4, 3), z(4, 3, dtype=complex)), DTypeError,
                    ["mse", "t has dtype complex128"]),
    "mse empty batch": (partial(ops.mse, z(0, 3), z(0, 3)), ShapeError, ["mse", "(0, 3)", "empty"]),
    "bce shape": (partial(ops.binary_cross_entropy, z(4), z(4, 1)), ShapeError,
                  ["binary_cross_entropy", "t must be (4,)", "got (4, 1)"]),
    "bce empty": (partial(ops.binary_cross_entropy_backward, z(0), z(0)), ShapeError,
                  ["binary_cross_entropy_backward", "(0,)"]),
    "cross entropy shape": (partial(ops.cross_entropy, z(4, 3), labels), ShapeError,
                            ["cross_entropy", "t must be (4, 3)", "got (4,)"]),
    # dropout
    "dropout p": (partial(ops.dropout, z(3), 1.5, seed=0), ArgumentError,
                  ["dropout", "p must be in [0, 1]", "1.5"]),
    "dropout NaN": (partial(ops.dropout, z(3), np.nan, seed=0), ArgumentError, ["dropout", "nan"]),
    "dropout text": (partial(ops.dropout, z(3), "half", seed=0), ArgumentError,
                     ["dropout", "p", "'half'"]),
    "dropout seed": (partial(ops.dropout, z(3), 0.5, seed=-1), ArgumentError,
                     ["dropout", "seed must be", "2**64", "-1"]),
    "dropout seed too large": (partial(ops.dropout_backward, z(3), 0.5, seed=2**64), ArgumentError,
                               ["dropout_backward", "seed", str(2**64)]),
    "dropout seed float": (partial(ops.dropout, z(3), 0.5, seed=1.5), ArgumentError,
                           ["dropout", "seed", "1.5"]),
    # matrix product
    "gemm rank": (partial(ops.gemm, z(3), z(3, 2)), ShapeError, ["gemm", "2 dimensions", "(3,)"]),
    "gemm chain": (partial(ops.gemm, z(2, 3), z(4, 5)), ShapeError,
                   ["gemm", "3 columns", "4 rows"]),
    "gemm transposed": (partial(ops.gemm, z(2, 3), z(3, 5), trans_a=True), ShapeError,
                        ["gemm", "2 columns", "3 rows"]),
    "gemm bias": (partial(ops.gemm, z(2, 3), z(3, 5), bias=z(2)), ShapeError,
                  ["gemm", "bias must be (5,)", "got (2,)"]),
    "gemm beta without c": (partial(ops.gemm, z(2, 3), z(3, 5), beta=1), ShapeError,
                            ["gemm", "beta is 1", "c is needed"]),
    "gemm c": (partial(ops.gemm, z(2, 3), z(3, 5), beta=1, c=z(5, 2)), ShapeError,
               ["gemm", "c must be (2, 5)", "got (5, 2)"]),
    "gemm dtypes": (partial(ops.gemm, z(2, 3), z(3, 5, dtype="f8")), DTypeError,
                    ["gemm", "b is float64", "a is float32"]),
    "linear": (partial(ops.linear, z(4, 3), z(5, 2)), ShapeError, ["linear", "(4, 3)", "(5, 2)"]),
    "linear bias": (partial(ops.linear, z(4, 3), z(5, 3), z(3)), ShapeError,
                    ["linear", "b must be (5,)", "got (3,)"]),
    "linear backward": (partial(ops.linear_backward, z(4, 4), z(4, 3), z(5, 3)), ShapeError,
                        ["linear_backward", "dy must be (4, 5)", "got (4, 4)"]),
    # joins
    "add nothing": (ops.add, ArgumentError, ["add", "no arrays"]),
    "add shapes": (partial(ops.add, z(2), z(3)), ShapeError, ["add", "(2,)", "(3,)"]),
    "multiply dtypes": (partial(ops.multiply, z(2), z(2, dtype="f8")), DTypeError,
                        ["multiply", "float32", "float64"]),
    "concat nothing": (partial(ops.concat, []), ArgumentError, ["concat", "no arrays"]),
    "concat shapes": (partial(ops.concat, [z(2, 3), z(3, 3)]), ShapeError,
                      ["concat", "axis 1", "(2, 3)", "(3, 3)"]),
    "concat ranks": (partial(ops.concat, [z(2, 3), z(2)]), ShapeError,
                     ["concat", "axis 1", "(2, 3)", "(2,)"]),
    "split axis": (partial(ops.split, z(2, 3), [1, 2], 2), ShapeError, ["split", "axis 2"]),
    "split sizes": (partial(ops.split, z(2, 3), [1, 1]), ShapeError,
                    ["split", "axis 1", "(2, 3)", "[1, 1]"]),
    "split negative size": (partial(ops.split, z(2, 3), [4, -1]), ShapeError,
                            ["split", "[4, -1]"]),
    "concat axis": (partial(ops.concat, [z(2, 3)], axis=2), ShapeError, ["concat", "axis 2"]),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_message(mistake):
    call, error, parts = MISTAKES[mistake]
    with pytest.raises(error) as caught:
        call()
    assert isinstance(caught.value, FastdlError)
    assert isinstance(caught.value, BUILTIN[error])
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert part in message


# ---- update steps, which change their arguments ----

good = {"w": np.ones(3), "dw": np.ones(3), "m": np.ones(3), "v": np.ones(3)}
read_only = np.ones(3)
read_only.flags.writeable = False
UPDATE_MISTAKES = {
    "read-only parameter": ({"w": read_only}, {}, ArgumentError, ["w is changed", "read-only"]),
    "read-only state": ({"v": read_only}, {}, ArgumentError, ["v is changed", "read-only"]),
    "list": ({"w": [1.0] * 3}, {}, DTypeError, ["w must be a floating array", "list"]),
    "integers": ({"w": np.ones(3, int)}, {}, DTypeError, ["w must be a floating array", "int64"]),
    "state's shape": ({"m": np.ones(4)}, {}, ShapeError, ["m must be float64 (3,)", "(4,)"]),
    "state's dtype": ({"m": np.ones(3, "f4")}, {}, ShapeError, ["m must be float64", "float32"]),
    "gradient's shape": ({"dw": np.ones((3, 1))}, {}, ShapeError, ["dw must be (3,)", "(3, 1)"]),
    "gradient's dtype": ({"dw": np.ones(3, "f4")}, {}, DTypeError,
                         ["dw is float32", "w is float64"]),
    "step 0": ({}, {"step": 0}, ArgumentError, ["step counts from 1", "got 0"]),
}


@pytest.mark.parametrize("mistake", UPDATE_MISTAKES)
def test_a_refused_update_changes_nothing(mistake):
    wrong, options, error, parts = UPDATE_MISTAKES[mistake]
    arrays = {key: wrong.get(key, a.copy()) for key, a in good.items()}
    before = {key: np.array(a) for key, a in arrays.items()}
    with pytest.raises(error) as caught:
        ops.adam_update(**arrays, **({"step": 1} | options))
    for part in ["adam_update", *parts]:
        assert part in str(caught.value)
    for key, array in arrays.items():
        np.testing.assert_array_equal(array, before[key])


def test_a_refused_batch_norm_leaves_the_running_statistics(quiet):
    mean, var = z(3), z(3)
    for bad in (z(0, 3), z(1, 3), z(4, 2), np.ones((4, 3))):
        with pytest.raises(FastdlError):
            ops.batch_norm(bad, z(3), z(3), mean, var)
    assert not mean.any()
    assert not var.any()


def test_unknown_backend():
    with pytest.raises(ArgumentError,
                       match=r"backend.*'fortran'.*auto, cython, numba, cuda, reference"):
        ops.relu(z(3), backend="fortran")


def test_nan_and_infinities_are_values_not_errors(quiet):
    for bad in (np.nan, np.inf):
        assert not np.isfinite(ops.linear(np.full((1, 2), bad), np.ones((1, 2)))).any()
        assert not np.isfinite(ops.mse(np.array([[bad]]), np.array([[0.0]])))
