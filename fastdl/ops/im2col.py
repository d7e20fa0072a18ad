"""im2col and col2im: the receptive fields of a convolution as a matrix, and back."""

from typing import Any

from ..errors import ShapeError
from ._arrays import Array, Pair, empty, expect_shape, kernel, pair, real, window_output


def _window(operation: str, size: tuple[int, int], kernel_size: Pair, stride: Pair, padding: Pair,
            dilation: Pair):
    window = (pair(operation, "kernel_size", kernel_size, 1), pair(operation, "stride", stride, 1),
              pair(operation, "padding", padding, 0), pair(operation, "dilation", dilation, 1))
    return *window, window_output(operation, size, *window)


def _col_shape(x_shape, kernel_size, output, transpose):
    N, C = x_shape[:2]
    taps, pixels = C * kernel_size[0] * kernel_size[1], output[0] * output[1]
    return (N * pixels, taps) if transpose else (N, taps, pixels)


def im2col(x: Any, kernel_size: Pair, stride: Pair = 1, padding: Pair = 0, dilation: Pair = 1, *,
           transpose: bool = True, backend: str | None = None) -> Array:
    """Lay out the receptive fields of `x` as a matrix.

    Parameters
    ----------
    x : (N, C, H, W)
    transpose : True gives one row per output pixel, (N * OH * OW, C * KH * KW), as the course
        has it; False one row per tap, (N, C * KH * KW, OH * OW), as PyTorch's ``unfold``

    >>> import numpy as np
    >>> x = np.arange(9.0).reshape(1, 1, 3, 3)
    >>> im2col(x, 2)
    array([[0., 1., 3., 4.],
           [1., 2., 4., 5.],
           [3., 4., 6., 7.],
           [4., 5., 7., 8.]])
    """
    x = real("im2col", "x", x, ndim=4)
    kh_kw, *rest, output = _window("im2col", x.shape[2:], kernel_size, stride, padding, dilation)
    col = empty(_col_shape(x.shape, kh_kw, output, transpose), x.dtype, x)
    kernel("im2col", x, backend)(x, col, kh_kw, *rest, output, bool(transpose))
    return col


def col2im(col: Any, x_shape: tuple[int, int, int, int], kernel_size: Pair, stride: Pair = 1,
           padding: Pair = 0, dilation: Pair = 1, *, transpose: bool = True,
           backend: str | None = None) -> Array:
    """Adjoint of `im2col`: add every value of `col` to the cell of x it came from.

    >>> import numpy as np
    >>> col2im(np.ones((4, 4)), (1, 1, 3, 3), 2)
    array([[[[1., 2., 1.],
             [2., 4., 2.],
             [1., 2., 1.]]]])
    """
    col = real("col2im", "col", col)
    if len(x_shape) != 4 or min(x_shape) < 0:
        raise ShapeError(f"col2im: x_shape must be (N, C, H, W), got {x_shape}")
    x_shape = (int(x_shape[0]), int(x_shape[1]), int(x_shape[2]), int(x_shape[3]))
    kh_kw, *rest, output = _window("col2im", x_shape[2:], kernel_size, stride, padding, dilation)
    expected = _col_shape(x_shape, kh_kw, output, transpose)
    expect_shape("col2im", "col", col, expected, f"for x {x_shape} and kernel {kh_kw}")
    x = empty(x_shape, col.dtype, col)
    kernel("col2im", col, backend)(col, x, kh_kw, *rest, output, bool(transpose))
    return x
