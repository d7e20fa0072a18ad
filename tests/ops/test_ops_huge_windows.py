"""Strides and dilations far larger than the images: only their first step is ever taken."""

import numpy as np
import pytest

from fastdl import ops

HUGE = [2**20, 2**40, 2**62]
BACKENDS = ["cython", "numba", "reference"]


@pytest.fixture
def x(rng):
    return rng.standard_normal((2, 3, 5, 6)).astype(np.float32)


@pytest.mark.parametrize("stride", HUGE)
@pytest.mark.parametrize("backend", BACKENDS)
def test_convolution(need_backend, rng, x, backend, stride):
    need_backend(backend)
    w = rng.standard_normal((4, 3, 3, 3)).astype(np.float32)
    y = ops.conv2d(x, w, None, stride, 1, backend=backend)
    np.testing.assert_allclose(y, ops.conv2d(x, w, None, 1, 1, backend=backend)[:, :, :1, :1],
                               rtol=1e-4, atol=1e-4)
    dy = rng.standard_normal(y.shape).astype(np.float32)
    padded = np.zeros((2, 4, 5, 6), np.float32)
    padded[:, :, :1, :1] = dy
    got = ops.conv2d_backward(dy, x, w, stride, 1, backend=backend)
    wanted = ops.conv2d_backward(padded, x, w, 1, 1, backend=backend)
    for a, b in zip(got, wanted, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("stride", HUGE)
@pytest.mark.parametrize("backend", BACKENDS)
def test_pooling(need_backend, x, backend, stride):
    need_backend(backend)
    y, argmax = ops.max_pool2d(x, 2, stride, return_indices=True, backend=backend)
    np.testing.assert_array_equal(y[:, :, 0, 0], x[:, :, :2, :2].max(axis=(2, 3)))
    dx = ops.max_pool2d_backward(np.ones_like(y), argmax, x.shape, 2, stride, backend=backend)
    assert dx.sum() == y.size
    mean = ops.avg_pool2d(x, 2, stride, backend=backend)
    np.testing.assert_allclose(mean[:, :, 0, 0], x[:, :, :2, :2].mean(axis=(2, 3)), rtol=1e-5)
    dx = ops.avg_pool2d_backward(np.ones_like(mean), x.shape, 2, stride, backend=backend)
    np.testing.assert_array_equal(dx[:, :, :2, :2], 0.25)
    assert not dx[:, :, 2:].any()


@pytest.mark.parametrize("stride", HUGE)
@pytest.mark.parametrize("backend", BACKENDS)
def test_im2col(need_backend, x, backend, stride):
    need_backend(backend)
    col = ops.im2col(x, 2, stride, backend=backend)
    np.testing.assert_array_equal(col, x[:, :, :2, :2].reshape(2, 12))
    back = ops.col2im(col, x.shape, 2, stride, backend=backend)
    np.testing.assert_array_equal(back[:, :, :2, :2], x[:, :, :2, :2])
    assert not back[:, :, 2:].any()


@pytest.mark.parametrize("dilation", HUGE)
@pytest.mark.parametrize("backend", BACKENDS)
def test_dilation_of_a_window_of_one(need_backend, rng, x, backend, dilation):
    need_backend(backend)
    w = rng.standard_normal((4, 3, 1, 1)).astype(np.float32)
    y = ops.conv2d(x, w, dilation=dilation, backend=backend)
    np.testing.assert_allclose(y, ops.conv2d(x, w, backend="reference"), rtol=1e-4, atol=1e-4)
    for a, b in zip(ops.conv2d_backward(y, x, w, dilation=dilation, backend=backend),
                    ops.conv2d_backward(y, x, w, backend="reference"), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)
