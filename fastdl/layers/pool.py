"""Pooling layers."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from .. import ops
from ..ops._arrays import Pair
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
    def __init__(self, output_size): self.output_size = output_size
    def apply(self, inputs, params, training):
        (x,) = inputs; n=self.output_size; H,W=x.shape[2:]
        M=[[1.0*(( i*S)//n<=j<-(-((i+1)*S)//n))/(-(-((i+1)*S)//n)-(i*S)//n) for j in range(S)] for S in (H,) for i in range(n)]
        A=np.array(M,x.dtype); B=np.array([[1.0*(( i*W)//n<=j<-(-((i+1)*W)//n))/(-(-((i+1)*W)//n)-(i*W)//n) for j in range(W)] for i in range(n)],x.dtype)
        return np.ascontiguousarray(A@x@B.T), (A,B)
    def grad(self, dy, saved):
        A,B=saved
        return (np.ascontiguousarray(A.T@dy@B),), {}
