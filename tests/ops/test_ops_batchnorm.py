"""Batch normalisation against hand-made values, PyTorch and differences."""

import numpy as np
import pytest
from gradients import assert_gradient, torch_gradients

from fastdl import ops

SHAPES = [(5, 3), (4, 3, 6), (2, 3, 4, 5)]


def parameters(rng, C=3):
    return rng.standard_normal(C), rng.standard_normal(C)


def test_by_hand():
    x = np.array([[1.0, 0], [3, 0], [5, 0], [7, 4]])           # means 4, 1; variances 5, 3
    running_mean, running_var = np.zeros(2), np.ones(2)
    y, mean, rstd = ops.batch_norm(x, np.array([1.0, 2]), np.array([0.0, 10]), running_mean,
                                   running_var, momentum=0.5, eps=1.0, return_stats=True)
    np.testing.assert_allclose(mean, [4, 1])
    np.testing.assert_allclose(rstd, [1 / np.sqrt(6), 1 / 2])
    np.testing.assert_allclose(y[:, 0], np.array([-3, -1, 1, 3]) / np.sqrt(6))
    np.testing.assert_allclose(y[:, 1], [9, 9, 9, 13])
    np.testing.assert_allclose(running_mean, [2, 0.5])
    np.testing.assert_allclose(running_var, [(1 + 20 / 3) / 2, (1 + 4) / 2])        # unbiased


def test_evaluation_by_hand():
    y, mean, rstd = ops.batch_norm(np.array([[3.0]]), np.array([2.0]), np.array([1.0]),
                                   np.array([1.0]), np.array([3.0]), training=False, eps=1.0,
                                   return_stats=True)
    assert (y.item(), mean.item(), rstd.item()) == (3, 1, 0.5)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("training", [True, False])
def test_as_pytorch(training, shape, rng, torch):
    x, dy = rng.standard_normal((2, *shape))
    weight, bias = parameters(rng)
    running_mean, running_var = rng.standard_normal(3), rng.uniform(0.5, 2, 3)
    theirs = [torch.tensor(a) for a in (running_mean, running_var)]
    y, mean, rstd = ops.batch_norm(x, weight, bias, running_mean, running_var, training,
                                   return_stats=True)
    expected, gradients = torch_gradients(
        torch, lambda x, w, b: torch.nn.functional.batch_norm(x, *theirs, w, b, training),
        (x, weight, bias), dy)
    np.testing.assert_allclose(y, expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(running_mean, theirs[0], rtol=1e-14)
    np.testing.assert_allclose(running_var, theirs[1], rtol=1e-14)
    ours = ops.batch_norm_backward(dy, x, weight, mean, rstd, training)
    for a, b in zip(ours, gradients, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_gradients(shape, rng):
    x, dy = rng.standard_normal((2, *shape))
    weight, bias = parameters(rng)
    _, mean, rstd = ops.batch_norm(x, weight, bias, return_stats=True)
    dx, dw, db = ops.batch_norm_backward(dy, x, weight, mean, rstd)
    assert_gradient(dx, lambda x: ops.batch_norm(x, weight, bias), x, dy)
    assert_gradient(dw, lambda weight: ops.batch_norm(x, weight, bias), weight, dy)
    assert_gradient(db, lambda bias: ops.batch_norm(x, weight, bias), bias, dy)


def test_gradients_in_evaluation(rng):
    x, dy = rng.standard_normal((2, 4, 3, 2))
    weight, bias = parameters(rng)
    mean, var = rng.standard_normal(3), rng.uniform(0.5, 2, 3)

    def forward(x, weight=weight):
        return ops.batch_norm(x, weight, bias, mean, var, training=False)

    dx, dw, db = ops.batch_norm_backward(dy, x, weight, mean, 1 / np.sqrt(var + 1e-5),
                                         training=False)
    assert_gradient(dx, forward, x, dy)
    assert_gradient(dw, lambda weight: forward(x, weight), weight, dy)
    np.testing.assert_allclose(db, dy.sum((0, 2)))


def test_without_running_statistics(rng):
    x = rng.standard_normal((50, 2)) * 3 + 7
    y = ops.batch_norm(x, np.ones(2), np.zeros(2), eps=0.0)
    np.testing.assert_allclose(y.mean(0), 0, atol=1e-14)
    np.testing.assert_allclose(y.std(0), 1, rtol=1e-14)


# ---- with a residual and a ReLU in the same pass ----

def channels_last(a):
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(a, 1, -1)), -1, 1) if a.ndim > 2 else a


@pytest.mark.parametrize("layout", [np.asarray, channels_last], ids=["NCHW", "channels-last"])
@pytest.mark.parametrize("shape", [*SHAPES, (6, 3, 5, 7)], ids=str)
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("activation", ["relu", "relu6"])
def test_fused_as_pytorch(activation, training, shape, layout, rng, torch):
    x, residual, dy = (layout(a) for a in rng.standard_normal((3, *shape)))
    weight, bias = parameters(rng)
    weight[:2] = 8, -5                                          # many values reach 6
    running = rng.standard_normal(3), rng.uniform(0.5, 2, 3)
    theirs = [torch.tensor(a) for a in running]

    def fused(x, weight, bias, residual):
        y = torch.nn.functional.batch_norm(x, *theirs, weight, bias, training)
        return getattr(torch.nn.functional, activation)(y + residual)

    expected, gradients = torch_gradients(torch, fused, (x, weight, bias, residual), dy)
    y, mean, rstd = ops.batch_norm(x, weight, bias, *running, training, residual=residual,
                                   return_stats=True, **{activation: True})
    dx, dw, db, dresidual = ops.batch_norm_backward(
        dy, x, weight, mean, rstd, training, y=y, relu6=activation == "relu6",
        return_dresidual=True)
    np.testing.assert_allclose(y, expected, rtol=1e-12, atol=1e-12)
    for a, b in zip((dx, dw, db, dresidual), gradients, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-12)
    assert y.strides == dx.strides == dresidual.strides == x.strides


def test_fused_gradients(rng):
    x, residual, dy = rng.standard_normal((3, 4, 3, 6))
    weight, bias = parameters(rng)

    def forward(x=x, weight=weight, bias=bias, residual=residual):
        return ops.batch_norm(x, weight, bias, residual=residual, relu=True)

    y, mean, rstd = ops.batch_norm(x, weight, bias, residual=residual, relu=True,
                                   return_stats=True)
    assert 0.2 < (y > 0).mean() < 0.8
    dx, dw, db, dresidual = ops.batch_norm_backward(dy, x, weight, mean, rstd, y=y,
                                                    return_dresidual=True)
    for name, gradient in {"x": dx, "weight": dw, "bias": db, "residual": dresidual}.items():
        value = {"x": x, "weight": weight, "bias": bias, "residual": residual}[name]
        assert_gradient(gradient, lambda a, name=name: forward(**{name: a}), value, dy)


def test_gradient_of_the_residual_by_hand():
    dy, y = np.array([[1.0], [2], [3], [4]]), np.array([[0.0], [5], [0], [6]])
    x, one = np.array([[0.0], [1], [2], [3]]), np.ones(1)
    dx, dw, db, dresidual = ops.batch_norm_backward(dy, x, one, one, one, training=False, y=y,
                                                    return_dresidual=True)
    np.testing.assert_array_equal(dresidual, [[0], [2], [0], [4]])
    np.testing.assert_array_equal(dx, dresidual)
    assert (dw.item(), db.item()) == (0 * 2 + 2 * 4, 2 + 4)     # x - mean is 0 and 2 there
    *_, plain = ops.batch_norm_backward(dy, x, one, one, one, return_dresidual=True)
    np.testing.assert_array_equal(plain, dy)


@np.errstate(invalid="ignore")
def test_relu6_by_hand():
    x, one = np.array([[-1.0], [0], [3], [6], [9], [np.inf], [np.nan]]), np.ones(1)
    zero, dy = np.zeros(1), np.full((7, 1), 2.0)
    y = ops.batch_norm(x, one, zero, zero, one, training=False, eps=0.0, relu6=True)
    np.testing.assert_array_equal(y, [[0], [0], [3], [6], [6], [6], [np.nan]])
    *_, passed = ops.batch_norm_backward(dy, x, one, zero, one, training=False, y=y, relu6=True,
                                         return_dresidual=True)
    np.testing.assert_array_equal(passed, [[0], [0], [2], [0], [0], [0], [2]])


@np.errstate(invalid="ignore", over="ignore")
def test_relu_alone_has_no_limit():
    x, one = np.array([[3.0], [1e30], [np.inf]]), np.ones(1)
    zero, dy = np.zeros(1), np.full((3, 1), 2.0)
    y = ops.batch_norm(x, one, zero, zero, one, training=False, eps=0.0, relu=True)
    np.testing.assert_array_equal(y, x)
    *_, passed = ops.batch_norm_backward(dy, x, one, zero, one, training=False, y=y,
                                         return_dresidual=True)
    np.testing.assert_array_equal(passed, dy)


# ---- the statistics are as accurate as those of two passes ----

FAR = {"near": (0.0, 1.0), "mean 1e3": (1e3, 1.0), "mean -3e4": (-3e4, 1.0),
       "small": (1e-3, 1e-6)}


@pytest.mark.parametrize("backend", ["cython", "numba", "reference"])
@pytest.mark.parametrize("layout", [np.asarray, channels_last], ids=["NCHW", "channels-last"])
@pytest.mark.parametrize("shape", [(50_000, 3), (40, 5, 24, 25), (3, 2, 300, 301)], ids=str)
@pytest.mark.parametrize(("mean", "std"), FAR.values(), ids=FAR)
def test_statistics_of_float32_against_float64(mean, std, shape, layout, backend, rng,
                                               need_backend):
    need_backend(backend)
    x = mean + std * rng.standard_normal(shape)
    x = layout(x.astype(np.float32))
    C, axes = shape[1], (0, *range(2, len(shape)))
    one, zero = np.ones(C, np.float32), np.zeros(C, np.float32)
    _, got_mean, got_rstd = ops.batch_norm(x, one, zero, eps=0.0, return_stats=True,
                                           backend=backend)
    exact = x.astype(np.float64)
    np.testing.assert_allclose(got_mean, exact.mean(axes), rtol=2e-6, atol=2e-6 * std)
    np.testing.assert_allclose(got_rstd, 1 / exact.std(axes), rtol=2e-6)


@pytest.mark.parametrize("backend", ["cython", "numba"])
def test_a_first_value_unlike_the_others_spoils_no_variance(backend, rng, need_backend):
    """The guess of the mean must come from more than the start of the data."""
    need_backend(backend)
    x = (1e4 + rng.standard_normal((64, 2, 40, 40))).astype(np.float32)
    x[0] = 0
    one, zero = np.ones(2, np.float32), np.zeros(2, np.float32)
    _, mean, rstd = ops.batch_norm(x, one, zero, eps=0.0, return_stats=True, backend=backend)
    exact = x.astype(np.float64)
    np.testing.assert_allclose(mean, exact.mean((0, 2, 3)), rtol=2e-6)
    np.testing.assert_allclose(rstd, 1 / exact.std((0, 2, 3)), rtol=1e-5)


@pytest.mark.parametrize("backend", ["cython", "numba", "reference"])
def test_constant_channels_have_no_variance(backend, need_backend):
    need_backend(backend)
    x = np.full((9, 3, 7, 5), 0.1, np.float32)
    one, zero = np.ones(3, np.float32), np.zeros(3, np.float32)
    y, mean, rstd = ops.batch_norm(x, one, zero, return_stats=True, backend=backend)
    np.testing.assert_allclose(mean, 0.1, rtol=1e-6)
    np.testing.assert_allclose(rstd, 1 / np.sqrt(1e-5), rtol=1e-6)
    assert np.abs(y).max() < 1e-4
