"""Joins: sums, products and concatenations, by hand."""

import numpy as np
import pytest
from layouts import channels_last

from fastdl import ops

A, B = np.array([[1.0, 2]]), np.array([[10.0, 20]])


def test_add():
    np.testing.assert_array_equal(ops.add(A, B, B), [[21, 42]])


def test_sum_has_the_layout_of_the_first_array():
    planar = np.arange(24.0).reshape(1, 2, 3, 4)
    last = ops.to_channels_last(planar)
    for first, second in [(planar, last), (last, planar), (last, last)]:
        total = ops.add(first, second)
        assert total.strides == first.strides
        np.testing.assert_array_equal(total, 2 * planar)


def test_multiply():
    np.testing.assert_array_equal(ops.multiply(A, B), [[10, 40]])


def test_concat():
    np.testing.assert_array_equal(ops.concat([A, B]), [[1, 2, 10, 20]])
    np.testing.assert_array_equal(ops.concat([A, B], axis=0), [[1, 2], [10, 20]])


def test_split():
    x = np.arange(6.0).reshape(2, 3)
    first, second = ops.split(x, [1, 2])
    np.testing.assert_array_equal(first, [[0], [3]])
    np.testing.assert_array_equal(second, [[1, 2], [4, 5]])
    np.testing.assert_array_equal(ops.split(x, (1, 0, 1), axis=0)[2], [[3, 4, 5]])


@pytest.mark.parametrize("axis", [0, 1, 2, 3, -1, -3])
@pytest.mark.parametrize("layouts", [(np.asarray, np.asarray), (channels_last, channels_last),
                                     (channels_last, np.asarray), (np.asarray, channels_last)])
@pytest.mark.parametrize("channels", [1, 3])
def test_joined_and_split_as_by_numpy(channels, layouts, axis, rng):
    a, b = rng.standard_normal((2, 2, channels, 4, 5))
    expected = np.concatenate([a, b], axis)
    joined = ops.concat([layout(x) for layout, x in zip(layouts, (a, b), strict=True)], axis)
    np.testing.assert_array_equal(joined, expected)
    first = layouts[0](a)
    assert (joined.flags.c_contiguous == first.flags.c_contiguous) or 1 in joined.shape
    for x in (expected, layouts[0](expected), joined[::-1]):
        sizes = [1, x.shape[axis] - 1]
        for got, wanted in zip(ops.split(x, sizes, axis), np.split(x, [1], axis), strict=True):
            np.testing.assert_array_equal(got, wanted)


def test_one_array_is_enough():
    for join in (ops.add, ops.multiply, lambda a: ops.concat([a])):
        np.testing.assert_array_equal(join(A), A)


def test_integers_join_floats():
    assert ops.add(A.astype(np.float32), B.astype(int)).dtype == np.float32
