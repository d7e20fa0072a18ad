"""Convolution and a 2 x 2 max-pool in one kernel, against the reference's two, and back.

Plans alone call these kernels; maps are channels-last.
"""

from importlib import import_module

import numpy as np
import pytest
from comparison import assert_same
from layouts import channels_last

from fastdl._kernels.conv import reference
from fastdl._kernels.pool import reference as pools

CASES = {       # x, w, (stride, padding, dilation), algorithm
    "one channel": ((5, 1, 14, 14), (30, 1, 5, 5), (1, 0, 1), "auto"),
    "few channels": ((3, 3, 9, 10), (5, 3, 3, 3), (1, 1, 1), "auto"),
    "odd outputs": ((4, 6, 11, 9), (18, 6, 3, 3), (1, 1, 1), "auto"),
    "one output": ((2, 5, 4, 4), (7, 5, 3, 3), (1, 0, 1), "direct"),
    "stride and dilation": ((3, 6, 17, 19), (20, 6, 3, 2), (2, 2, 2), "auto"),
    "many images": ((37, 16, 8, 8), (33, 16, 3, 3), (1, 1, 1), "direct"),
    "large images": ((3, 8, 66, 62), (32, 8, 3, 3), (1, 1, 1), "direct"),
    "Winograd": ((9, 16, 13, 18), (24, 16, 3, 3), (1, 1, 1), "winograd"),
    "Winograd, 5x5": ((5, 17, 12, 12), (33, 17, 5, 5), (1, 2, 1), "winograd"),
    "Winograd, several cells": ((3, 16, 40, 38), (32, 16, 3, 3), (1, 0, 1), "winograd"),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("backend", ["cython", "numba"])
def test_both_directions(name, dtype, rng, backend, need_backend):
    need_backend(backend)
    kernels = import_module(f"fastdl._kernels.conv._{backend}")
    x_shape, w_shape, numbers, algorithm = CASES[name]
    window = [(number, number) for number in numbers]
    x, w, b = (rng.standard_normal(shape).astype(dtype)
               for shape in (x_shape, w_shape, w_shape[:1]))
    OH, OW = ((n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in
              zip(x.shape[2:], w.shape[2:], *window, strict=True))
    whole = np.empty((len(x), len(w), OH, OW), dtype)
    pooled = np.empty((len(x), len(w), OH // 2, OW // 2), dtype)
    argmax = np.empty(pooled.shape, np.uint8)
    reference.conv2d(x, w, b, None, whole, *window, 1, True, "direct")
    pools.max_pool2d(whole, pooled, argmax, (2, 2), (2, 2), (0, 0))

    y, places = channels_last(np.empty_like(pooled)), channels_last(np.empty_like(argmax))
    kernels.conv2d_max_pool2d(channels_last(x), w, b, y, places, *window, True, algorithm)
    assert_same(y, pooled, dtype, w[0].size)
    # Where rounding decides between two cells, either is right: go on from the reference's.
    assert (places == argmax).mean() > 0.99
    without = channels_last(np.empty_like(pooled))
    kernels.conv2d_max_pool2d(channels_last(x), w, b, without, None, *window, True, algorithm)
    np.testing.assert_array_equal(without, y)

    dy, gate = (rng.standard_normal(shape).astype(dtype) for shape in (pooled.shape, x.shape))
    unpooled, dx, dw, db = map(np.empty_like, (whole, x, w, b))
    pools.max_pool2d_backward(dy, argmax, None, unpooled, (2, 2), (2, 2), (0, 0))
    reference.conv2d_backward_weight(unpooled, x, dw, db, *window, 1, "direct")
    own_dw, own_db, dy = np.empty_like(w), np.empty_like(b), channels_last(dy)
    places = channels_last(argmax)
    kernels.conv2d_backward_weight(dy, channels_last(x), own_dw, own_db, *window, 1, algorithm,
                                   places)
    assert_same(own_dw, dw, dtype, dy[:, 0].size)
    assert_same(own_db, db, dtype, dy[:, 0].size)
    if x.shape[1] > 4:
        reference.conv2d_backward_input(unpooled, w, None, gate, dx, *window, 1, "direct")
        own_dx = channels_last(np.empty_like(x))
        kernels.conv2d_backward_input(dy, w, None, channels_last(gate), own_dx, *window, 1,
                                      algorithm, places)
        assert_same(own_dx, dx, dtype, w[:, 0].size)
