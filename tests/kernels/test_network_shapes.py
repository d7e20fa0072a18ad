"""Convolutions as networks have them (the shapes that are benchmarked), against float64 NumPy.

Channels, filters, window and stride are the networks'; images are two, and maps are cut down.
"""

import math

import numpy as np
import pytest

from fastdl import ops
from fastdl.benchmark.shapes import convolutions

MAP = 15                        # odd, so that strides and tiles do not come out even


def small(shape):
    size = max(min(shape.H, MAP), shape.K)
    return shape._replace(N=2, H=size, W=size)


SHAPES = sorted({small(shape) for shape in convolutions()})


@pytest.fixture(params=["NCHW", "channels-last"])
def lay_out(request):
    if request.param == "NCHW":
        return np.ascontiguousarray
    return lambda maps: np.moveaxis(np.ascontiguousarray(np.moveaxis(maps, 1, -1)), -1, 1)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_convolution(shape, lay_out, rng, need_backend):
    need_backend("cython")
    x, w, dy = (rng.standard_normal(size, np.float32) for size in (shape.x, shape.w, shape.y))
    b = rng.standard_normal(shape.OC, np.float32) if shape.bias else None

    exact = {"backend": "reference"}
    wide_x, wide_w, wide_dy = (array.astype(np.float64) for array in (x, w, dy))
    wide_b = None if b is None else b.astype(np.float64)
    expected = (ops.conv2d(wide_x, wide_w, wide_b, *shape.window, **exact),
                *ops.conv2d_backward(wide_dy, wide_x, wide_w, *shape.window, bias=shape.bias,
                                     **exact))
    x, dy = lay_out(x), lay_out(dy)
    for algorithm in ("direct", "auto"):
        got = (ops.conv2d(x, w, b, *shape.window, algorithm=algorithm, backend="cython"),
               *ops.conv2d_backward(dy, x, w, *shape.window, bias=shape.bias,
                                    algorithm=algorithm, backend="cython"))
        channels, filters, pixels = math.prod(shape.w[1:]), shape.OC * shape.K**2, shape.y[2] ** 2
        for name, value, wanted, terms in zip(("y", "dx", "dw", "db"), got, expected,
                                              (channels, filters, 2 * pixels, 2 * pixels),
                                              strict=True):
            if wanted is not None:
                # Rounding errors of sums of random terms grow with the square root of their number.
                allowed = 8 * np.finfo(np.float32).eps * math.sqrt(terms) * abs(wanted).max()
                np.testing.assert_allclose(value, wanted, rtol=0, atol=allowed,
                                           err_msg=f"{name}, {algorithm}")
