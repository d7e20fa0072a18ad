"""Products in TF32: how numbers are rounded, which lane has which, and that nobody gets it unasked.

On a GPU they are the tensor core's; the simulator has one that follows the instruction's layout.
"""

import numpy as np
import pytest
from conftest import SIMULATED

import fastdl as fd
from fastdl.cuda._driver import driver

pytestmark = pytest.mark.usefixtures("device")


@pytest.fixture
def tf32(device, tiles):
    """Allowed, and for products of every size."""
    device.allow_tf32(True)
    yield
    device.allow_tf32(False)


def rounded(x):
    """To 10 bits behind the point; by arithmetic, not by bits.

    Of two as near the one further from 0; on devices of compute capability 9.0 and later the even.
    """
    mantissa, exponent = np.frexp(x.astype(np.float64))
    magnitude = np.abs(mantissa) * 2**11
    magnitude = np.rint(magnitude) if driver().capability >= (9, 0) else np.floor(magnitude + 0.5)
    return np.ldexp(np.copysign(magnitude, mantissa), exponent - 11)


def normal(rng, *shape):
    return rng.standard_normal(shape).astype(np.float32)


def assert_sums(actual, exact, terms):
    """Products of TF32 numbers are exact in float32; only their sums are rounded."""
    size = np.abs(exact).max()
    np.testing.assert_allclose(actual.numpy(), exact, rtol=0, atol=terms * 2e-7 * size)


def test_rounding(device, rng):
    from fastdl.cuda._tensor_core import to_tf32

    if not SIMULATED:
        pytest.skip("rounded by the GPU's own instruction")
    tie = np.float32(1 + 2**-11)
    values = [*(normal(rng, 200) * np.exp2(rng.integers(-80, 80, 200))).astype(np.float32), tie,
              -tie, np.nextafter(tie, np.float32(0)), np.float32(0), np.float32(-1.5)]
    for x in values:
        assert to_tf32(x) == rounded(x)
    assert to_tf32(tie) == np.float32(1 + 2**-10)
    assert to_tf32(np.float32(np.inf)) == np.inf
    assert np.isnan(to_tf32(np.uint32(0x7FFFFFFF).view(np.float32)))
    assert to_tf32(np.finfo(np.float32).max) == np.inf


@pytest.mark.parametrize(("trans_a", "trans_b", "M", "N", "K"), [
    (False, False, 64, 64, 24), (True, True, 65, 12, 19)] if SIMULATED else [
    (False, False, 130, 200, 36), (True, True, 129, 66, 41)])
def test_products(rng, tf32, trans_a, trans_b, M, N, K):
    a = normal(rng, *((K, M) if trans_a else (M, K)))
    b = normal(rng, *((N, K) if trans_b else (K, N)))
    y = fd.ops.gemm(*map(fd.cuda.to_device, (a, b)), trans_a=trans_a, trans_b=trans_b)
    a, b = rounded(a), rounded(b)
    assert_sums(y, (a.T if trans_a else a) @ (b.T if trans_b else b), K)


def test_convolution_and_gradients(rng, tf32):
    x, w = normal(rng, 2, 4, 5, 5), normal(rng, 6, 4, 3, 3)
    options = {"padding": 1, "stride": 2}
    y = fd.ops.conv2d(*map(fd.cuda.to_device, (x, w)), **options)
    exact = fd.ops.conv2d(rounded(x), rounded(w), **options, backend="reference")
    assert_sums(y, exact, w[0].size)
    dy = normal(rng, *y.shape)
    dx, dw, _ = fd.ops.conv2d_backward(*map(fd.cuda.to_device, (dy, x, w)), **options)
    exact = fd.ops.conv2d_backward(rounded(dy), rounded(x), rounded(w), **options,
                                   backend="reference")
    assert_sums(dx, exact[0], w.size // 4)
    assert_sums(dw, exact[1], dy[:, 0].size)


def test_only_where_allowed(device, rng, monkeypatch):
    from fastdl._kernels.gemm import _cuda

    monkeypatch.setattr(_cuda, "PLAIN_BELOW", 0)
    assert not device.tf32_allowed()
    close = device.to_device(np.full((1, 1), 1 + 3 * 2**-12, np.float32))
    one = device.to_device(np.ones((1, 1), np.float32))
    call = [lambda: results.append(fd.ops.gemm(close, one))]
    results, replay = [], device.Replay()
    for allow in (False, False, True, True, False, False):      # run, then captured
        device.allow_tf32(allow)
        replay.run(call)
        expected = 1 + 2**-10 if allow else 1 + 3 * 2**-12
        assert results[-1].item() == np.float32(expected)
