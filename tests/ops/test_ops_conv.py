"""Convolution against hand-made values, PyTorch, differences, and its own algebra."""

import numpy as np
import pytest
from gradients import assert_gradient, torch_gradients
from hypothesis import given, settings
from hypothesis import strategies as st

from fastdl import ops

OPTIONS = [
    {},
    {"stride": 2, "padding": 1},
    {"stride": (2, 1), "padding": (0, 2), "dilation": (1, 2)},
    {"padding": 1, "groups": 2},
    {"padding": 2, "dilation": 2, "groups": 4},
]




def channels_last(maps):
    return np.ascontiguousarray(maps.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)


each_option = pytest.mark.parametrize("options", OPTIONS, ids=str)
each_algorithm = pytest.mark.parametrize("algorithm", ["auto", "direct", "im2col"])
each_layout = pytest.mark.parametrize("layout", [np.ascontiguousarray, channels_last])


def arrays_for(rng, groups=1, **_):
    return (rng.standard_normal((2, 4, 7, 6)), rng.standard_normal((8, 4 // groups, 3, 2)),
            rng.standard_normal(8))


def test_by_hand():
    x = np.array([[[[1.0, 2, 3], [4, 5, 6], [7, 8, 9]]]])
    w = np.array([[[[1.0, 0], [0, -1]]]])
    np.testing.assert_array_equal(ops.conv2d(x, w)[0, 0], [[-4, -4], [-4, -4]])
    np.testing.assert_array_equal(ops.conv2d(x, w, np.array([10.0]), stride=2, padding=1)[0, 0],
                                  [[9, 7], [3, 6]])
    np.testing.assert_array_equal(ops.conv2d(x, w, dilation=2)[0, 0], [[-8]])


def test_filters_are_not_flipped():
    x, w = np.array([[[[1.0, 10, 100]]]]), np.array([[[[1.0, 2, 3]]]])
    assert ops.conv2d(x, w).item() == 321


def test_groups_do_not_mix():
    x = np.stack([np.full((2, 2), 1.0), np.full((2, 2), 10.0)])[None]
    y = ops.conv2d(x, np.ones((2, 1, 2, 2)), groups=2)
    np.testing.assert_array_equal(y.ravel(), [4, 40])


@each_option
@each_algorithm
@each_layout
def test_as_pytorch(options, algorithm, layout, rng, torch):
    x, w, b = arrays_for(rng, **options)
    y = ops.conv2d(layout(x), w, b, **options, algorithm=algorithm)
    dy = rng.standard_normal(y.shape)
    expected, gradients = torch_gradients(
        torch, lambda *t: torch.nn.functional.conv2d(*t, **options), (x, w, b), dy)
    np.testing.assert_allclose(y, expected, rtol=1e-12, atol=1e-12)
    got = ops.conv2d_backward(dy, layout(x), w, **options, algorithm=algorithm)
    for ours, theirs in zip(got, gradients, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12)
    assert y.strides == layout(y).strides
    assert got[0].strides == layout(x).strides


@each_option
@each_algorithm
@each_layout
def test_residual_and_relu_as_pytorch(options, algorithm, layout, rng, torch):
    x, w, b = arrays_for(rng, **options)
    expected = torch.nn.functional.conv2d(*map(torch.tensor, (x, w, b)), **options)
    residual = rng.standard_normal(expected.shape)
    expected = torch.relu(expected + torch.tensor(residual))
    got = ops.conv2d(layout(x), w, b, **options, residual=residual, relu=True, algorithm=algorithm)
    assert (got == 0).any()
    np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-12)
    assert got.strides == layout(got).strides


@each_algorithm
@pytest.mark.parametrize("C", [1, 4])
def test_channels_last_if_asked_for(C, algorithm, rng):
    """Also where x has one channel, and lies both ways."""
    x, w, b = rng.standard_normal((2, C, 7, 6)), rng.standard_normal((8, C, 3, 2)), np.ones(8)
    residual = rng.standard_normal((2, 8, 5, 5))
    expected = ops.conv2d(x, w, b, residual=residual)
    y = ops.conv2d(x, w, b, residual=residual, channels_last=True, algorithm=algorithm)
    np.testing.assert_allclose(y, expected, rtol=1e-12, atol=1e-12)
    assert y.strides == channels_last(y).strides
    x = ops.to_channels_last(x)
    for ours, theirs in zip(ops.conv2d_backward(y, x, w, algorithm=algorithm),
                            ops.conv2d_backward(expected, x, w), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12)


@each_option
@each_algorithm
def test_gradients(options, algorithm, rng):
    x, w, b = arrays_for(rng, **options)
    options = {**options, "algorithm": algorithm}
    dy = rng.standard_normal(ops.conv2d(x, w, b, **options).shape)
    dx, dw, db = ops.conv2d_backward(dy, x, w, **options)
    assert_gradient(dx, lambda x: ops.conv2d(x, w, b, **options), x, dy)
    assert_gradient(dw, lambda w: ops.conv2d(x, w, b, **options), w, dy)
    assert_gradient(db, lambda b: ops.conv2d(x, w, b, **options), b, dy)


def test_gradients_that_are_not_wanted_are_not_there(rng):
    x, w, _ = arrays_for(rng)
    dy = ops.conv2d(x, w)
    dx, dw, db = ops.conv2d_backward(dy, x, w, bias=False, need_dx=False)
    assert dx is None
    assert db is None
    np.testing.assert_array_equal(dw, ops.conv2d_backward(dy, x, w)[1])


@given(size=st.integers(1, 12), kernel=st.integers(1, 5), stride=st.integers(1, 4),
       padding=st.integers(0, 4), dilation=st.integers(1, 3))
def test_output_size_is_the_number_of_windows_that_fit(size, kernel, stride, padding, dilation):
    """Counted one by one, which is what the formula in the docstring sums up."""
    reach = (kernel - 1) * dilation
    starts = range(-padding, size + padding - reach, stride)
    x, w = np.ones((1, 1, size, 12)), np.ones((1, 1, kernel, 1))
    options = {"stride": (stride, 1), "padding": (padding, 0), "dilation": (dilation, 1)}
    if len(starts) == 0:
        with pytest.raises(ValueError, match="larger than the input"):
            ops.conv2d(x, w, **options)
    else:
        y = ops.conv2d(x, w, **options)
        assert y.shape == (1, 1, len(starts), 12)
        taps = [sum(0 <= start + k * dilation < size for k in range(kernel)) for start in starts]
        np.testing.assert_array_equal(y[0, 0, :, 0], taps)


@given(seed=st.integers(0, 2**32), options=st.sampled_from(OPTIONS),
       factor=st.floats(-4, 4, allow_subnormal=False))
@settings(max_examples=30)
def test_linear_in_each_argument(seed, options, factor):
    rng = np.random.default_rng(seed)
    x, w, _ = arrays_for(rng, **options)
    other_x, other_w, _ = arrays_for(rng, **options)
    y = ops.conv2d(x, w, **options)
    np.testing.assert_allclose(ops.conv2d(x + factor * other_x, w, **options),
                               y + factor * ops.conv2d(other_x, w, **options), atol=1e-11)
    np.testing.assert_allclose(ops.conv2d(x, w + factor * other_w, **options),
                               y + factor * ops.conv2d(x, other_w, **options), atol=1e-11)
