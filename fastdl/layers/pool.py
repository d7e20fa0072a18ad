"""Pooling layers."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from .. import ops
from ..ops._arrays import Pair, pair
from .layer import Layer


class _Pool2d(Layer):
    """What the layers that slide a window share."""

    def __init__(self, kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0,
                 ceil_mode: bool = False) -> None:
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.ceil_mode = ceil_mode

    @property
    def window(self) -> tuple[Pair, Pair, Pair, bool]:
        """What the operation takes behind x."""
        return self.kernel_size, self.stride, self.padding, self.ceil_mode

    def extra_repr(self) -> str:
        return (f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"
                + (", ceil_mode=True" if self.ceil_mode else ""))


class MaxPool2d(_Pool2d):
    """Largest value of each window, (N, C, H, W) to (N, C, OH, OW); see `fastdl.ops.max_pool2d`.

    Parameters
    ----------
    kernel_size, padding : int, or (height, width)
    stride : the same; the kernel's size unless given
    ceil_mode : also use windows that reach past the end

    >>> MaxPool2d(2).forward(np.arange(4.0).reshape(1, 1, 2, 2))
    array([[[[3.]]]])
    """

    def apply(self, inputs: tuple[np.ndarray, ...], params: Mapping[str, np.ndarray],
              training: bool) -> tuple[np.ndarray, Any]:
        (x,) = inputs
        y, argmax = ops.max_pool2d(x, *self.window, return_indices=True)
        return y, (argmax, x.shape)

    def grad(self, dy: np.ndarray, saved: Any) -> Any:
        argmax, x_shape = saved
        return (ops.max_pool2d_backward(dy, argmax, x_shape, *self.window),), {}


class AvgPool2d(_Pool2d):
    """Mean of each window, (N, C, H, W) to (N, C, OH, OW); see `fastdl.ops.avg_pool2d`.

    Parameters
    ----------
    kernel_size, stride, padding, ceil_mode : as in `MaxPool2d`
    count_include_pad : zeros of the padding count as cells
    """

    def __init__(self, kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0,
                 ceil_mode: bool = False, count_include_pad: bool = True) -> None:
        super().__init__(kernel_size, stride, padding, ceil_mode)
        self.count_include_pad = count_include_pad

    def apply(self, inputs: tuple[np.ndarray, ...], params: Mapping[str, np.ndarray],
              training: bool) -> tuple[np.ndarray, Any]:
        (x,) = inputs
        return ops.avg_pool2d(x, *self.window, self.count_include_pad), x.shape

    def grad(self, dy: np.ndarray, saved: Any) -> Any:
        return (ops.avg_pool2d_backward(dy, saved, *self.window, self.count_include_pad),), {}


class GlobalAvgPool2d(Layer):
    """Mean of each feature map, (N, C, H, W) to (N, C, 1, 1) (Lin et al., 2014)."""

    def apply(self, inputs: tuple[np.ndarray, ...], params: Mapping[str, np.ndarray],
              training: bool) -> tuple[np.ndarray, Any]:
        (x,) = inputs
        return ops.global_avg_pool2d(x), x.shape

    def grad(self, dy: np.ndarray, saved: Any) -> Any:
        return (ops.global_avg_pool2d_backward(dy, saved),), {}


class GlobalMaxPool2d(Layer):
    """Largest value of each feature map, (N, C, H, W) to (N, C, 1, 1)."""

    def apply(self, inputs: tuple[np.ndarray, ...], params: Mapping[str, np.ndarray],
              training: bool) -> tuple[np.ndarray, Any]:
        (x,) = inputs
        y, argmax = ops.global_max_pool2d(x, return_indices=True)
        return y, (argmax, x.shape)

    def grad(self, dy: np.ndarray, saved: Any) -> Any:
        argmax, x_shape = saved
        return (ops.global_max_pool2d_backward(dy, argmax, x_shape),), {}


class AdaptiveAvgPool2d(Layer):
    """Means of windows, (N, C, H, W) to (N, C, OH, OW) for any size; PyTorch's.

    Parameters
    ----------
    output_size : int, or (height, width)
    """

    def __init__(self, output_size: Pair) -> None:
        self.output_size = output_size

    def apply(self, inputs: tuple[np.ndarray, ...], params: Mapping[str, np.ndarray],
              training: bool) -> tuple[np.ndarray, Any]:
        (x,) = inputs
        rows, columns = (_means(n, m, x.dtype) for n, m in zip(
            x.shape[2:], pair("AdaptiveAvgPool2d", "output_size", self.output_size, 1),
            strict=True))
        return np.ascontiguousarray(rows @ x @ columns.T), (rows, columns)

    def grad(self, dy: np.ndarray, saved: Any) -> Any:
        rows, columns = saved
        return (np.ascontiguousarray(rows.T @ dy @ columns),), {}


def _means(n: int, m: int, dtype: np.dtype) -> np.ndarray:
    """The matrix that takes m means of n numbers."""
    means = np.zeros((m, n), dtype)
    for i in range(m):
        first, end = i * n // m, -(-(i + 1) * n // m)
        means[i, first:end] = 1 / (end - first)
    return means
