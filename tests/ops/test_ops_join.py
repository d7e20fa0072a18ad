"""Joins: sums, products and concatenations, by hand."""

import numpy as np

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


def test_one_array_is_enough():
    for join in (ops.add, ops.multiply, lambda a: ops.concat([a])):
        np.testing.assert_array_equal(join(A), A)


def test_integers_join_floats():
    assert ops.add(A.astype(np.float32), B.astype(int)).dtype == np.float32
