"""The comparison itself must tell right from wrong, or no parity test means anything."""

import numpy as np
import pytest
from comparison import assert_same

ONE = np.float32([1.0, 2.0])


@pytest.mark.parametrize("other", [
    [np.nan, 2.0], [np.inf, 2.0], [1.00001, 2.0], [0.0, 2.0], [1.0], [[1.0, 2.0]]])
def test_different_results_are_told_apart(other):
    with pytest.raises(AssertionError):
        assert_same(np.float32(other), ONE, "float32")
    with pytest.raises(AssertionError):
        assert_same(ONE, np.float32(other), "float32")


def test_dtype_and_sign_of_infinity_count():
    with pytest.raises(AssertionError):
        assert_same(ONE.astype("f8"), ONE, "float32")
    with pytest.raises(AssertionError):
        assert_same(np.float32([np.inf]), np.float32([-np.inf]), "float32")


def test_integers_must_be_equal():
    with pytest.raises(AssertionError):
        assert_same(np.array([1_000_000]), np.array([1_000_001]), "float32", terms=1e6)


def test_rounding_errors_are_allowed():
    assert_same(np.nextafter(ONE, np.float32(9)), ONE, "float32")
    assert_same(np.float32([np.nan, 1e-40]), np.float32([np.nan, 0]), "float32")
