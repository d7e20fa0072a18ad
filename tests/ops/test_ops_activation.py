"""Activations against hand-made values, PyTorch and differences."""

import numpy as np
import pytest
from gradients import assert_gradient, torch_gradients

from fastdl import ops
from fastdl.errors import ArgumentError

X = np.array([-2.0, -0.0, 0.0, 1.0, 3.0])
AWAY_FROM_0 = np.array([[-2.0, -0.7, -0.1], [0.2, 0.9, 2.9]])       # where ReLU has its corner

FUNCTIONS = {   # ours, from what its gradient is computed, in PyTorch
    "relu": (ops.relu, ops.relu_backward, "y", lambda torch: torch.relu),
    "relu6": (ops.relu6, ops.relu6_backward, "y", lambda torch: torch.nn.functional.relu6),
    "leaky_relu": (ops.leaky_relu, ops.leaky_relu_backward, "x",
                   lambda torch: torch.nn.functional.leaky_relu),
    "sigmoid": (ops.sigmoid, ops.sigmoid_backward, "y", lambda torch: torch.sigmoid),
    "tanh": (ops.tanh, ops.tanh_backward, "y", lambda torch: torch.tanh),
    "silu": (ops.silu, ops.silu_backward, "x", lambda torch: torch.nn.functional.silu),
    "hardsigmoid": (ops.hardsigmoid, ops.hardsigmoid_backward, "y",
                    # PyTorch's own has a gradient of 1 / 6 in float32.
                    lambda torch: lambda x: torch.nn.functional.relu6(x + 3) / 6),
    "hardswish": (ops.hardswish, ops.hardswish_backward, "x",
                  lambda torch: torch.nn.functional.hardswish),
    "gelu": (ops.gelu, ops.gelu_backward, "x", lambda torch: torch.nn.functional.gelu),
    "softmax": (ops.softmax, ops.softmax_backward, "y",
                lambda torch: lambda x: torch.softmax(x, -1)),
}
each_function = pytest.mark.parametrize(
    ("forward", "backward", "saved", "theirs"), FUNCTIONS.values(), ids=FUNCTIONS)


def test_relu_by_hand():
    y = ops.relu(X)
    np.testing.assert_array_equal(y, [0, 0, 0, 1, 3])
    dy = np.full(5, 7.0)
    np.testing.assert_array_equal(ops.relu_backward(dy, y), [0, 0, 0, 7, 7])
    assert ops.relu_backward(dy, y, out=dy) is dy
    np.testing.assert_array_equal(dy, [0, 0, 0, 7, 7])


def test_relu_backward_into_an_array(rng):
    y, dy = (rng.standard_normal((2, 3, 4)).transpose(0, 2, 1) for _ in range(2))
    out = np.empty((2, 3, 4)).transpose(0, 2, 1)
    ops.relu_backward(dy, y, out=out)
    np.testing.assert_array_equal(out, np.where(y > 0, dy, 0))
    fixed = np.empty_like(out)
    fixed.flags.writeable = False
    for wrong in (out[:1], out.astype(np.float32), np.empty((2, 4, 3)).transpose(0, 2, 1), fixed):
        with pytest.raises(ArgumentError, match=r"relu_backward: out must be an array to write to"):
            ops.relu_backward(dy, y, out=wrong)


def test_relu6_by_hand():
    x = np.array([-2.0, 0.0, 1.0, 5.5, 6.0, 7.0, np.inf])
    y = ops.relu6(x)
    np.testing.assert_array_equal(y, [0, 0, 1, 5.5, 6, 6, 6])
    np.testing.assert_array_equal(ops.relu6_backward(np.full(7, 7.0), y), [0, 0, 7, 7, 0, 0, 0])


def test_leaky_relu_by_hand():
    np.testing.assert_array_equal(ops.leaky_relu(X, 0.5), [-1, 0, 0, 1, 3])
    np.testing.assert_array_equal(ops.leaky_relu_backward(np.full(5, 8.0), X, 0.5),
                                  [4, 4, 4, 8, 8])
    np.testing.assert_allclose(ops.leaky_relu(X)[0], -0.02)


def test_sigmoid_by_hand():
    x = np.array([0.0, np.log(3), -np.log(3), 800, -800])
    np.testing.assert_allclose(ops.sigmoid(x), [0.5, 0.75, 0.25, 1, 0], rtol=1e-15)


def test_tanh_by_hand():
    np.testing.assert_allclose(ops.tanh(np.array([0.0, np.log(3), 800])), [0, 0.8, 1], rtol=1e-15)


def test_softmax_by_hand():
    y = ops.softmax(np.array([[0.0, np.log(3)], [1000, 1000]]))
    np.testing.assert_allclose(y, [[0.25, 0.75], [0.5, 0.5]], rtol=1e-15)


@each_function
def test_as_pytorch(forward, backward, saved, theirs, rng, torch):
    x, dy = rng.standard_normal((2, 4, 7)) * 3
    y = forward(x)
    expected, (gradient,) = torch_gradients(torch, theirs(torch), [x], dy)
    np.testing.assert_allclose(y, expected, rtol=1e-13, atol=1e-15)     # its GELU cancels
    np.testing.assert_allclose(backward(dy, {"x": x, "y": y}[saved]), gradient, rtol=1e-12,
                               atol=1e-14)


@each_function
def test_gradient(forward, backward, saved, theirs, rng):
    dy = rng.standard_normal(AWAY_FROM_0.shape)
    values = {"x": AWAY_FROM_0, "y": forward(AWAY_FROM_0)}
    assert_gradient(backward(dy, values[saved]), forward, AWAY_FROM_0, dy)


@each_function
def test_nan_passes_through(forward, backward, saved, theirs, quiet):
    x = np.array([[1.0, np.nan]])
    assert np.isnan(forward(x)[0, 1])
    assert np.isnan(backward(x, np.full((1, 2), 0.5))[0, 1])


@pytest.mark.parametrize("axis", [0, 1, -2, 2])
def test_softmax_along_any_axis(axis, rng, torch):
    x, dy = rng.standard_normal((2, 3, 4, 5))
    y = ops.softmax(x, axis)
    expected, (gradient,) = torch_gradients(torch, lambda x: torch.softmax(x, axis), [x], dy)
    np.testing.assert_allclose(y, expected, rtol=1e-13)
    np.testing.assert_allclose(ops.softmax_backward(dy, y, axis), gradient, rtol=1e-11, atol=1e-15)
    assert y.flags.c_contiguous


@pytest.mark.parametrize("shape", [(), (1,), (0, 3), (2, 0), (1, 2, 3, 4, 5)])
@pytest.mark.parametrize("function", [ops.relu, ops.relu6, ops.leaky_relu, ops.sigmoid, ops.tanh])
def test_any_shape(function, shape):
    y = function(np.zeros(shape, np.float32))
    assert (y.shape, y.dtype) == (shape, np.float32)


# ---- memory layouts ----

LAYOUTS = {
    "channels-last": lambda a: np.moveaxis(np.ascontiguousarray(np.moveaxis(a, 1, -1)), -1, 1),
    "transposed": lambda a: np.ascontiguousarray(a.T).T,
    "swapped": lambda a: np.ascontiguousarray(a.swapaxes(0, 2)).swapaxes(0, 2),
}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("name", ["relu", "relu6", "leaky_relu", "sigmoid", "tanh"])
def test_dense_layouts_are_kept(name, layout, rng):
    forward, backward, saved, _ = FUNCTIONS[name]
    x, dy = rng.standard_normal((2, 3, 4, 5, 6))
    y, laid = forward(x), forward(layout(x))
    np.testing.assert_array_equal(laid, y)
    assert laid.strides == layout(x).strides
    values = {"x": x, "y": y}[saved]
    dx = backward(dy, layout(values))                       # of two layouts: the saved one's
    np.testing.assert_array_equal(dx, backward(dy, values))
    assert dx.strides == layout(x).strides


def test_arrays_with_gaps_are_copied(rng):
    x = rng.standard_normal((4, 6))[:, ::2]
    np.testing.assert_array_equal(ops.relu(x), np.maximum(x, 0))
    assert ops.relu(x).flags.c_contiguous


# ---- accuracy, in units in the last place of the exact result ----

def ulps(actual, exact):
    """`exact` has at least twice the precision; what is subnormal may be 0."""
    unit = np.spacing(np.abs(exact).astype(actual.dtype)).astype(exact.dtype)
    normal = np.abs(exact) > np.finfo(actual.dtype).smallest_normal
    return (np.abs(actual.astype(exact.dtype) - exact) / unit)[normal].max()


@pytest.mark.parametrize("backend", ["cython", "numba"])
@pytest.mark.parametrize("scale", [1e-6, 0.5, 8.0, 90.0])
def test_float32_is_within_three_units(scale, backend, rng, need_backend):
    need_backend(backend)
    x = (rng.uniform(-1, 1, 100_003) * scale).astype(np.float32)
    exact = x.astype(np.float64)
    assert ulps(ops.tanh(x, backend=backend), np.tanh(exact)) < 3
    assert ulps(ops.sigmoid(x, backend=backend), 1 / (1 + np.exp(-exact))) < 3


def test_float64_is_within_three_units(rng, need_backend):
    need_backend("cython")
    if np.finfo(np.longdouble).nmant <= 52:
        pytest.skip("no type of more precision than float64")
    for scale in (1e-6, 0.5, 8.0, 700.0):
        x = rng.uniform(-1, 1, 30_001) * scale
        exact = x.astype(np.longdouble)
        assert ulps(ops.tanh(x, backend="cython"), np.tanh(exact)) < 3
        assert ulps(ops.sigmoid(x, backend="cython"), 1 / (1 + np.exp(-exact))) < 3
