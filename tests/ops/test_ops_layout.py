"""Copies between memory layouts: the values stay, and memory is as it says."""

import numpy as np
import pytest

from fastdl import ops
from fastdl.errors import ShapeError


@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (2, 3, 7), (0, 3, 2, 2), (3, 17, 5, 7),
                                   (2, 4, 37, 1)])
def test_there_and_back(shape, rng):
    x = rng.standard_normal(shape)
    last = ops.to_channels_last(x)
    np.testing.assert_array_equal(last, x)
    assert np.moveaxis(last, 1, -1).flags.c_contiguous
    planes = ops.to_planes(last)
    np.testing.assert_array_equal(planes, x)
    assert planes.flags.c_contiguous


def test_in_memory_by_hand():
    last = ops.to_channels_last(np.array([[[[1, 2]], [[3, 4]], [[5, 6]]]], np.float32))
    np.testing.assert_array_equal(last.ravel("K"), [1, 3, 5, 2, 4, 6])
    np.testing.assert_array_equal(ops.to_planes(last).ravel("K"), [1, 2, 3, 4, 5, 6])


def test_what_lies_right_is_not_copied(rng):
    x = rng.standard_normal((2, 3, 4, 5))
    last = ops.to_channels_last(x)
    assert ops.to_planes(x) is x
    assert np.shares_memory(ops.to_channels_last(last), last)
    one = rng.standard_normal((2, 1, 4, 5))
    assert ops.to_channels_last(one) is one


def test_other_ranks_are_refused():
    for function in (ops.to_channels_last, ops.to_planes):
        with pytest.raises(ShapeError, match=r"\(N, C, H, W\), got \(2, 3\)"):
            function(np.zeros((2, 3)))
