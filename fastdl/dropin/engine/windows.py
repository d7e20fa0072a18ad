"""Receptive fields as rows of a matrix, and back, in float64 as the course has them."""

from typing import Any

import numpy as np

from ... import ops
from .arrays import of_dtype, window_dtype


def im2col(input_data: Any, filter_h: int, filter_w: int, stride: int = 1, pad: int = 0) -> Any:
    """(N, C, H, W) as (N * OH * OW, C * filter_h * filter_w).

    >>> x = np.arange(9).reshape(1, 1, 3, 3)
    >>> im2col(x, 2, 2)[0]
    array([0., 1., 3., 4.])
    """
    x = np.asarray(input_data)
    dtype = window_dtype(x) or np.dtype(np.float64)
    return ops.im2col(of_dtype(x, dtype), (filter_h, filter_w), stride, pad)


def col2im(col: Any, input_shape: tuple[int, int, int, int], filter_h: int, filter_w: int,
           stride: int = 1, pad: int = 0) -> Any:
    """The rows of `im2col` added up where they came from."""
    N, C, H, W = input_shape
    col = np.asarray(col)
    dtype = window_dtype(col) or np.dtype(np.float64)
    OH = (H + 2 * pad - filter_h) // stride + 1
    OW = (W + 2 * pad - filter_w) // stride + 1
    col = of_dtype(col, dtype).reshape(N * OH * OW, C * filter_h * filter_w)
    return ops.col2im(col, input_shape, (filter_h, filter_w), stride, pad)
