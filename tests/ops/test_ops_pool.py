"""Pooling against hand-made values, PyTorch and differences."""

import numpy as np
import pytest
from gradients import assert_gradient, torch_gradients
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fastdl import ops

X = np.array([[[[1.0, 2, 3], [4, 5, 6], [9, 8, 7]]]])
WINDOWS = [
    {"kernel_size": 2},
    {"kernel_size": 3, "stride": 2},
    {"kernel_size": 3, "stride": 2, "padding": 1},
    {"kernel_size": (3, 2), "stride": (1, 3), "padding": (1, 0)},
    {"kernel_size": 2, "stride": 3, "ceil_mode": True},
    {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True},
]
each_window = pytest.mark.parametrize("window", WINDOWS, ids=str)


def test_max_by_hand():
    y, argmax = ops.max_pool2d(X, 2, stride=1, return_indices=True)
    np.testing.assert_array_equal(y[0, 0], [[5, 6], [9, 8]])
    np.testing.assert_array_equal(argmax[0, 0], [[3, 3], [2, 2]])
    dx = ops.max_pool2d_backward(np.array([[[[1.0, 10], [100, 1000]]]]), argmax, X.shape, 2, 1)
    np.testing.assert_array_equal(dx[0, 0], [[0, 0, 0], [0, 1, 10], [100, 1000, 0]])


def test_average_by_hand():
    np.testing.assert_array_equal(ops.avg_pool2d(X, 2, stride=1)[0, 0], [[3, 4], [6.5, 6.5]])
    corner = {"kernel_size": 2, "stride": 2, "padding": 1}
    np.testing.assert_array_equal(ops.avg_pool2d(X, **corner)[0, 0], [[.25, 1.25], [3.25, 6.5]])
    np.testing.assert_array_equal(ops.avg_pool2d(X, **corner, count_include_pad=False)[0, 0],
                                  [[1, 2.5], [6.5, 6.5]])
    dx = ops.avg_pool2d_backward(np.full((1, 1, 2, 2), 4.0), X.shape, 2, 1)
    np.testing.assert_array_equal(dx[0, 0], [[1, 2, 1], [2, 4, 2], [1, 2, 1]])


def test_global_pooling_by_hand():
    assert ops.global_avg_pool2d(X).item() == 5
    y, argmax = ops.global_max_pool2d(X, return_indices=True)
    assert (y.item(), argmax.item()) == (9, 6)
    assert (y.shape, argmax.dtype) == ((1, 1, 1, 1), np.int32)
    dy = np.full((1, 1, 1, 1), 18.0)
    np.testing.assert_array_equal(ops.global_avg_pool2d_backward(dy, X.shape), np.full_like(X, 2))
    dx = ops.global_max_pool2d_backward(dy, argmax, X.shape)
    assert (dx[0, 0, 2, 0], dx.sum()) == (18, 18)


def test_of_equal_values_the_first_wins():
    _, argmax = ops.max_pool2d(np.zeros((1, 1, 2, 4)), 2, return_indices=True)
    assert not argmax.any()


@pytest.mark.filterwarnings("ignore:invalid value")
def test_nan_beats_numbers_and_the_first_nan_wins():
    x = np.array([[[[9.0, np.nan], [np.nan, np.inf]]]])
    for pool in (lambda: ops.max_pool2d(x, 2, return_indices=True),
                 lambda: ops.global_max_pool2d(x, return_indices=True)):
        y, argmax = pool()
        assert np.isnan(y.item())
        assert argmax.item() == 1


def test_padding_never_wins():
    x = np.full((1, 1, 2, 2), -np.inf)
    y, argmax = ops.max_pool2d(x, 2, stride=2, padding=1, return_indices=True)
    assert (y == -np.inf).all()
    np.testing.assert_array_equal(argmax[0, 0], [[3, 2], [1, 0]])     # the one cell inside


@pytest.mark.parametrize(("kernel_size", "dtype"), [((16, 16), np.uint8), ((16, 17), np.int32)])
def test_dtype_of_argmax(kernel_size, dtype):
    x = np.zeros((1, 1, 16, 17))
    x[0, 0, 15, 15] = 1
    _, argmax = ops.max_pool2d(x, kernel_size, stride=17, return_indices=True)
    assert (argmax.dtype, argmax.item()) == (dtype, 15 * kernel_size[1] + 15)


@each_window
def test_max_as_pytorch(window, rng, torch):
    x = rng.standard_normal((2, 3, 8, 9))
    y, argmax = ops.max_pool2d(x, **window, return_indices=True)
    dy = rng.standard_normal(y.shape)
    expected, (gradient,) = torch_gradients(
        torch, lambda x: torch.nn.functional.max_pool2d(x, **window), [x], dy)
    np.testing.assert_array_equal(y, expected)
    np.testing.assert_allclose(ops.max_pool2d_backward(dy, argmax, x.shape, **window), gradient,
                               rtol=1e-14, atol=1e-14)


@each_window
@pytest.mark.parametrize("backend", ["cython", "numba", "reference"])
def test_argmax_only_where_it_is_asked_for(window, backend, rng, need_backend):
    need_backend(backend)
    x = rng.standard_normal((2, 3, 8, 9))
    y, _ = ops.max_pool2d(x, **window, return_indices=True)
    np.testing.assert_array_equal(ops.max_pool2d(x, **window, backend=backend), y)
    np.testing.assert_array_equal(ops.global_max_pool2d(x, backend=backend)[..., 0, 0],
                                  x.max(axis=(2, 3)))


@pytest.mark.parametrize("backend", ["cython", "numba", "reference"])
def test_channels_last_stays_channels_last(backend, rng, need_backend):
    need_backend(backend)

    def assert_last(*maps):
        for a in maps:
            assert a.transpose(0, 2, 3, 1).flags.c_contiguous

    x = rng.standard_normal((2, 8, 9, 5)).transpose(0, 3, 1, 2)
    y, argmax = ops.max_pool2d(x, 2, return_indices=True, backend=backend)
    assert_last(y, argmax, ops.max_pool2d_backward(y, argmax, x.shape, 2, backend=backend))
    y = ops.avg_pool2d(x, 2, backend=backend)
    assert_last(y, ops.avg_pool2d_backward(y, x.shape, 2, backend=backend))


@each_window
@pytest.mark.parametrize("count_include_pad", [True, False])
def test_average_as_pytorch(window, count_include_pad, rng, torch):
    options = window | {"count_include_pad": count_include_pad}
    x = rng.standard_normal((2, 3, 8, 9))
    y = ops.avg_pool2d(x, **options)
    dy = rng.standard_normal(y.shape)
    expected, (gradient,) = torch_gradients(
        torch, lambda x: torch.nn.functional.avg_pool2d(x, **options), [x], dy)
    np.testing.assert_allclose(y, expected, rtol=1e-13, atol=1e-14)
    np.testing.assert_allclose(ops.avg_pool2d_backward(dy, x.shape, **options), gradient,
                               rtol=1e-13, atol=1e-14)


@each_window
def test_gradients(window, rng):
    x = rng.permutation(2 * 7 * 6).reshape(1, 2, 7, 6) / 10         # no ties within a step
    y, argmax = ops.max_pool2d(x, **window, return_indices=True)
    dy = rng.standard_normal(y.shape)
    assert_gradient(ops.max_pool2d_backward(dy, argmax, x.shape, **window),
                    lambda x: ops.max_pool2d(x, **window), x, dy)
    assert_gradient(ops.avg_pool2d_backward(dy, x.shape, **window),
                    lambda x: ops.avg_pool2d(x, **window), x, dy)


def test_gradients_of_global_pooling(rng):
    x = rng.permutation(24).reshape(2, 2, 2, 3) / 10
    _, argmax = ops.global_max_pool2d(x, return_indices=True)
    dy = rng.standard_normal((2, 2, 1, 1))
    assert_gradient(ops.global_max_pool2d_backward(dy, argmax, x.shape), ops.global_max_pool2d,
                    x, dy)
    assert_gradient(ops.global_avg_pool2d_backward(dy, x.shape), ops.global_avg_pool2d, x, dy)


@given(size=st.integers(1, 13), kernel=st.integers(1, 5), stride=st.integers(1, 6),
       padding=st.integers(0, 2), ceil_mode=st.booleans())
@settings(max_examples=200)
def test_output_size_is_the_number_of_windows(size, kernel, stride, padding, ceil_mode):
    """Windows that fit; with ceil_mode also one that does not, if it starts before the end."""
    assume(padding <= kernel // 2 and kernel <= size + 2 * padding)
    fit = range(-padding, size + padding - kernel + 1, stride)
    starts = [*fit, fit[-1] + stride]
    reaches_past_the_end = starts[-2] + kernel < size + padding
    if not (ceil_mode and reaches_past_the_end and starts[-1] < size):
        starts.pop()
    window = {"kernel_size": (kernel, 1), "stride": (stride, 1), "padding": (padding, 0),
              "ceil_mode": ceil_mode}
    x = np.arange(1.0, size + 1).reshape(1, 1, size, 1)
    y = ops.max_pool2d(x, **window)
    assert ops.avg_pool2d(x, **window).shape == y.shape
    np.testing.assert_array_equal(y.ravel(), [min(s + kernel, size) for s in starts])
