"""im2col and col2im: PyTorch's unfold, and that one is the adjoint of the other.

The printed matrices are in tests/test_exercises.py.
"""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fastdl import ops

WINDOW = {"kernel_size": (3, 2), "stride": (2, 1), "padding": (1, 2), "dilation": (1, 2)}


def test_layouts_hold_the_same_values(rng):
    x = rng.standard_normal((2, 3, 6, 5))
    rows_of_pixels = ops.im2col(x, **WINDOW)
    rows_of_taps = ops.im2col(x, **WINDOW, transpose=False)
    N, taps, pixels = rows_of_taps.shape
    np.testing.assert_array_equal(
        rows_of_pixels.reshape(N, pixels, taps), rows_of_taps.transpose(0, 2, 1))


def test_as_unfold(rng, torch):
    x = rng.standard_normal((2, 3, 6, 5))
    expected = torch.nn.functional.unfold(torch.tensor(x), **WINDOW)
    col = ops.im2col(x, **WINDOW, transpose=False)
    np.testing.assert_array_equal(col, expected.numpy())
    folded = torch.nn.functional.fold(expected, (6, 5), **WINDOW)
    np.testing.assert_allclose(ops.col2im(col, x.shape, **WINDOW, transpose=False),
                               folded.numpy(), rtol=1e-14)


@pytest.mark.parametrize("transpose", [True, False])
@given(sizes=st.tuples(*[st.integers(1, 7)] * 2), kernel=st.tuples(*[st.integers(1, 4)] * 2),
       stride=st.tuples(*[st.integers(1, 3)] * 2), padding=st.tuples(*[st.integers(0, 3)] * 2),
       dilation=st.tuples(*[st.integers(1, 2)] * 2), N=st.integers(0, 2), C=st.integers(1, 3))
@settings(max_examples=60)
def test_adjoint(transpose, sizes, kernel, stride, padding, dilation, N, C):
    """<im2col(x), c> == <x, col2im(c)>: with integers, exactly."""
    assume(all(n + 2 * p > d * (k - 1)
               for n, p, d, k in zip(sizes, padding, dilation, kernel, strict=True)))
    window = {"kernel_size": kernel, "stride": stride, "padding": padding, "dilation": dilation,
              "transpose": transpose}
    rng = np.random.default_rng(0)
    x = rng.integers(-9, 9, (N, C, *sizes)).astype(float)
    col = ops.im2col(x, **window)
    c = rng.integers(-9, 9, col.shape).astype(float)
    assert np.vdot(col, c) == np.vdot(x, ops.col2im(c, x.shape, **window))
