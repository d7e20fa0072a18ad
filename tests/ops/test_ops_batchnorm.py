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
