"""Dropout: what it does to values. Which of them it drops is in tests/kernels/test_philox.py."""

import numpy as np
import pytest
from gradients import assert_gradient

from fastdl import ops


def test_kept_values_are_scaled(rng):
    x = rng.uniform(1, 2, 1000)
    y = ops.dropout(x, 0.2, seed=3)
    kept = y != 0
    np.testing.assert_allclose(y[kept], x[kept] / 0.8, rtol=1e-15)
    assert 0 < kept.sum() < 1000


def test_same_seed_same_elements_whatever_the_shape_and_dtype():
    y = ops.dropout(np.ones(24), 0.5, seed=7)
    images = np.ones((2, 3, 4), np.float32)
    np.testing.assert_array_equal(ops.dropout(images, 0.5, seed=7).ravel(), y)
    assert (ops.dropout(np.ones(24), 0.5, seed=8) != y).any()


@pytest.mark.parametrize("p", [0.0, 1.0])
def test_none_and_all(p):
    np.testing.assert_array_equal(ops.dropout(np.ones(9), p, seed=0), np.full(9, 1 - p))


def test_gradient(rng):
    x, dy = rng.standard_normal((2, 6, 5))
    assert_gradient(ops.dropout_backward(dy, 0.4, seed=5),
                    lambda x: ops.dropout(x, 0.4, seed=5), x, dy)
