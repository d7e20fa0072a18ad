"""Mean and variance that a convolution takes of its output, and batch norm then needs not."""

import numpy as np
import pytest

import fastdl as fd
from fastdl._kernels import _dispatch
from fastdl.ops._arrays import empty_maps

# N, C, image, OC, window, stride, padding, groups: a product of matrices, in a grid of one row and
# of several; strips of several images, of rows, of a part of a row; Winograd's tiles at an edge.
CASES = [(2, 5, 7, 9, 3, 1, 1, 1), (1, 300, 30, 530, 1, 1, 0, 1), (4, 8, 12, 70, 1, 1, 0, 1),
         (3, 7, 1, 3, 1, 1, 0, 1), (16, 3, 20, 17, 7, 2, 3, 1), (1, 4, 40, 16, 3, 1, 1, 1),
         (5, 32, 9, 33, 3, 1, 1, 1), (2, 6, 5, 6, 3, 1, 1, 6), (2, 6, 5, 4, 3, 2, 1, 2)]


def channels_last(x):
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)


@pytest.mark.parametrize("backend", ["reference", "cython", "numba"])
@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize(("dtype", "eps"), [(np.float32, 2e-6), (np.float64, 1e-14)])
@pytest.mark.parametrize("layout", [channels_last, np.ascontiguousarray])
@pytest.mark.parametrize("offset", [0, 100])
def test_moments_of_a_convolution(backend, case, dtype, eps, layout, offset, need_backend):
    need_backend(backend)
    N, C, size, OC, K, stride, padding, groups = case
    rng = np.random.default_rng(0)
    x = layout(rng.standard_normal((N, C, size, size)).astype(dtype))
    w = (rng.standard_normal((OC, C // groups, K, K)) / np.sqrt(C // groups * K * K)).astype(dtype)
    b = (rng.standard_normal(OC) + offset).astype(dtype)
    out = (size + 2 * padding - K) // stride + 1
    y, moments = empty_maps((N, OC, out, out), x), np.full((2, OC), np.nan, dtype)
    _dispatch.kernel("conv2d", x, backend)(x, w, b, None, y, (stride,) * 2, (padding,) * 2, (1, 1),
                                           groups, False, "auto", moments)
    exact = y.astype(np.longdouble)
    np.testing.assert_allclose(moments[0], exact.mean((0, 2, 3)), rtol=eps, atol=eps)
    # The mean is rounded to the dtype. Where it is large, that is part of the variance's error.
    np.testing.assert_allclose(moments[1], exact.var((0, 2, 3)), rtol=10 * eps,
                               atol=(eps * (1 + offset)) ** 2)


@pytest.mark.parametrize("backend", ["reference", "cython", "numba"])
@pytest.mark.parametrize("layout", [channels_last, np.ascontiguousarray])
def test_batch_norm_by_given_moments(backend, layout, need_backend):
    """Given other moments than its own, it normalises by these."""
    need_backend(backend)
    rng = np.random.default_rng(1)
    x = layout(rng.standard_normal((3, 5, 4, 6)))
    moments = np.stack([rng.standard_normal(5), rng.uniform(1, 2, 5)])
    weight, bias, running_mean, running_var = rng.standard_normal((4, 5))
    expected_running = (0.9 * running_mean + 0.1 * moments[0],
                        0.9 * running_var + 0.1 * moments[1] * 72 / 71)
    y, mean, rstd = empty_maps(x.shape, x), np.empty(5), np.empty(5)
    flat = (a.reshape(3, 5, 24) if layout is np.ascontiguousarray
            else a.transpose(0, 2, 3, 1).reshape(3, 24, 5).transpose(0, 2, 1) for a in (x, y))
    x_flat, y_flat = flat
    _dispatch.kernel("batch_norm", x, backend)(x_flat, weight, bias, None, running_mean,
                                               running_var, y_flat, mean, rstd, 0.1, 1e-5, None,
                                               moments)
    scale = weight / np.sqrt(moments[1] + 1e-5)
    expected = ((x.transpose(0, 2, 3, 1) - moments[0]) * scale + bias).transpose(0, 3, 1, 2)
    np.testing.assert_allclose(y, expected, rtol=1e-13, atol=1e-13)
    np.testing.assert_allclose(mean, moments[0])
    np.testing.assert_allclose(rstd, 1 / np.sqrt(moments[1] + 1e-5))
    np.testing.assert_allclose((running_mean, running_var), expected_running)


def test_a_plan_takes_them_on_the_way(need_backend):
    need_backend("cython")
    net = fd.Sequential(fd.layers.Conv2d(3, 8, 3), fd.layers.BatchNorm2d(8),
                        fd.layers.Conv2d(8, 8, 3, groups=8), fd.layers.BatchNorm2d(8),
                        fd.layers.Flatten(), fd.layers.Linear(8 * 36, 2))
    trainer = fd.Trainer(net)
    profile = trainer.profile(np.zeros((2, 3, 10, 10), np.float32), np.zeros(2, int))
    notes = [timed.step.notes for timed in profile if timed.step.name == "conv2d"]
    assert ["moments" in note for note in notes] == [True, False]
    net[1].eval()                       # which then normalises by running statistics
    profile = trainer.profile(np.zeros((2, 3, 10, 10), np.float32), np.zeros(2, int))
    assert not any("moments" in timed.step.notes for timed in profile)
