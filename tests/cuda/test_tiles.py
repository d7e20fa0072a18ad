"""The fast kernels at sizes around those of their tiles, whatever the dispatch would choose."""

import numpy as np
import pytest
from comparison import assert_same
from conftest import SIMULATED

import fastdl as fd

pytestmark = pytest.mark.usefixtures("tiles")


def normal(rng, *shape):
    return rng.standard_normal(shape).astype(np.float32)


# How a factor is brought depends on how it lies and whether it is aligned, not on the other factor:
# where each pair is a kernel to compile, two of the four do.
PRODUCTS = [(a, b, *sizes) for a in (False, True) for b in (False, True)
            for sizes in ((16, 16, 8), (17, 20, 9), (1, 3, 20))] if SIMULATED else [
    (False, False, 16, 16, 8), (False, False, 128, 132, 40), (True, True, 16, 16, 8),
    (True, True, 128, 132, 40), (False, True, 1, 3, 21), (False, True, 130, 65, 35),
    (True, False, 17, 21, 9), (True, False, 130, 65, 35)]
IMAGES = [
    ((2, 4, 5, 5), (4, 4, 3, 3), {"padding": 1}),
    ((1, 5, 6, 4), (6, 5, 3, 1), {"stride": (2, 1), "padding": (1, 0)}),
    ((2, 8, 3, 4), (8, 4, 1, 2), {"groups": 2, "dilation": (1, 2), "stride": 2}),
    ((1, 20, 2, 2), (4, 20, 2, 2), {"padding": 1}),
    *([] if SIMULATED else [((3, 20, 8, 10), (136, 20, 3, 3), {"padding": 1}),
                            ((3, 17, 9, 9), (67, 17, 3, 3), {"padding": 1, "stride": 2})])]


@pytest.mark.parametrize(("trans_a", "trans_b", "M", "N", "K"), PRODUCTS)
def test_products(rng, trans_a, trans_b, M, N, K):
    a, b = normal(rng, *((K, M) if trans_a else (M, K))), normal(rng, *((N, K) if trans_b
                                                                       else (K, N)))
    bias = normal(rng, N)
    y = fd.ops.gemm(*map(fd.cuda.to_device, (a, b)), trans_a=trans_a, trans_b=trans_b,
                    bias=fd.cuda.to_device(bias), relu=True)
    exact = (a.T if trans_a else a).astype(float) @ (b.T if trans_b else b) + bias
    assert_same(y.numpy(), np.maximum(exact, 0).astype(np.float32), "float32", K + 1)


def test_a_sum_in_parts(rng):
    """One tile for a long sum: several blocks share it."""
    a, b, c, bias = (normal(rng, *shape) for shape in ((3, 300), (300, 5), (3, 5), (5,)))
    y = fd.ops.gemm(*map(fd.cuda.to_device, (a, b)), alpha=0.5, beta=2.0,
                    c=fd.cuda.to_device(c), bias=fd.cuda.to_device(bias))
    exact = 0.5 * (a.astype(float) @ b) + 2 * c + bias
    assert_same(y.numpy(), exact.astype(np.float32), "float32", 302)


@pytest.mark.parametrize(("x", "w", "options"), IMAGES, ids=[
    "same", "odd", "groups", "deep", "several", "several odd"][:len(IMAGES)])
def test_convolutions(rng, x, w, options):
    x, w, b = normal(rng, *x), normal(rng, *w), normal(rng, w[0])
    y = fd.ops.conv2d(x.astype(float), w.astype(float), b.astype(float), **options,
                      backend="reference")
    dy, residual = normal(rng, *y.shape), normal(rng, *y.shape)
    there = [fd.cuda.to_device(a) for a in (x, w, b, dy, residual)]
    actual = fd.ops.conv2d(*there[:3], **options, residual=there[4], relu=True)
    terms = w[0].size + 2
    assert_same(actual.numpy(), np.maximum(y + residual, 0).astype(np.float32), "float32", terms)
    gradients = fd.ops.conv2d_backward(there[3], *there[:2], **options)
    exact = fd.ops.conv2d_backward(dy.astype(float), x.astype(float), w.astype(float), **options,
                                   backend="reference")
    terms = max(w.size // w.shape[1], dy[:, 0].size)
    for one, other in zip(gradients, exact, strict=True):
        assert_same(one.numpy(), other.astype(np.float32), "float32", terms)
