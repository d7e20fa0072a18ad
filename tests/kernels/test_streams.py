"""Results so large that they are stored past the caches: the same as when made in parts."""

import numpy as np
import pytest
from layouts import channels_last

from fastdl import ops

N = 4                           # images of some 14 MB: one is below the threshold, four are above


def planar(a):
    return a


def normal(*shape):
    return np.random.default_rng(1).standard_normal(shape, np.float32)


def expect_as_in_parts(function, *arrays):
    """`function` gives for all images what it gives for each."""
    whole = function(*arrays)
    for i in range(N):
        part = function(*(a[i:i + 1] for a in arrays))
        np.testing.assert_array_equal(whole.reshape(N, *part.shape)[i], part)


@pytest.mark.parametrize("layout", [planar, channels_last])
@pytest.mark.parametrize("shape", [(N, 32, 336, 336), (N, 17, 455, 475)])
def test_maps(shape, layout):
    x, C = layout(normal(*shape)), shape[1]
    dy, w, b = layout(x[:, :, ::-1]), normal(C), normal(C)
    mean, var = np.full(C, 0.1, np.float32), np.full(C, 2, np.float32)
    np.testing.assert_array_equal(ops.relu(x), np.maximum(x, 0))
    np.testing.assert_array_equal(ops.relu_backward(dy, x), np.where(x > 0, dy, 0))
    np.testing.assert_array_equal(ops.concat([x, dy]), np.concatenate([x, dy], 1))
    expect_as_in_parts(lambda x: ops.batch_norm(x, w, b, mean, var, training=False), x)


@pytest.mark.parametrize("layout", [planar, channels_last])
@pytest.mark.parametrize("kernel", [2, 3])
@pytest.mark.parametrize("shape", [(N, 32, 336, 336), (N, 17, 455, 475)])
def test_pooling(shape, kernel, layout):
    x = layout(normal(*shape))
    y, argmax = ops.max_pool2d(x, kernel, 2, return_indices=True)
    expect_as_in_parts(lambda dy, at: ops.max_pool2d_backward(
        dy, at, (len(dy), *shape[1:]), kernel, 2), y, argmax)
    expect_as_in_parts(lambda dy: ops.avg_pool2d_backward(
        dy, (len(dy), *shape[1:]), kernel, 2), y)


@pytest.mark.parametrize("transpose", [True, False])
@pytest.mark.parametrize("shape", [(N, 16, 160, 160), (N, 13, 170, 171)])
def test_im2col(shape, transpose):
    expect_as_in_parts(lambda x: ops.im2col(x, 3, padding=1, transpose=transpose)[None],
                       normal(*shape))
