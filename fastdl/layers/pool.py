"""Pooling layers."""

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from .. import ops
from ..errors import ShapeError
from ..ops._arrays import Pair
from ..ops.resize import Sizes
from .layer import Layer


class _Pool(Layer):
    """What the layers that slide a window share; `rank` is how many dimensions it has."""

    rank: ClassVar[int]

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


class _MaxPool(_Pool):
    def apply(self, inputs: tuple[np.ndarray, ...], params: Mapping[str, np.ndarray],
              training: bool) -> tuple[np.ndarray, Any]:
        (x,) = inputs
        pool = getattr(ops, f"max_pool{self.rank}d")
        y, argmax = pool(x, *self.window, return_indices=True)
        return y, (argmax, x.shape)

    def grad(self, dy: np.ndarray, saved: Any) -> Any:
        argmax, x_shape = saved
        backward = getattr(ops, f"max_pool{self.rank}d_backward")
        return (backward(dy, argmax, x_shape, *self.window),), {}


class MaxPool2d(_MaxPool):
    """Largest value of each window, (N, C, H, W) to (N, C, OH, OW); see `fastdl.ops.max_pool2d`.

    Parameters
    ----------
    kernel_size, padding : int, or (height, width)
    stride : the same; the kernel's size unless given
    ceil_mode : also use windows that reach past the end

    >>> MaxPool2d(2).forward(np.arange(4.0).reshape(1, 1, 2, 2))
    array([[[[3.]]]])
    """

    rank = 2


class MaxPool1d(_MaxPool):
    """Largest value of each window, (N, C, L) to (N, C, OL); parameters are `MaxPool2d`'s."""

    rank = 1


class MaxPool3d(_MaxPool):
    """Largest value of each window of volumes (N, C, D, H, W); parameters are `MaxPool2d`'s."""

    rank = 3


class _AvgPool(_Pool):
    def __init__(self, kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0,
                 ceil_mode: bool = False, count_include_pad: bool = True) -> None:
        super().__init__(kernel_size, stride, padding, ceil_mode)
        self.count_include_pad = count_include_pad

    def apply(self, inputs: tuple[np.ndarray, ...], params: Mapping[str, np.ndarray],
              training: bool) -> tuple[np.ndarray, Any]:
        (x,) = inputs
        pool = getattr(ops, f"avg_pool{self.rank}d")
        return pool(x, *self.window, self.count_include_pad), x.shape

    def grad(self, dy: np.ndarray, saved: Any) -> Any:
        backward = getattr(ops, f"avg_pool{self.rank}d_backward")
        return (backward(dy, saved, *self.window, self.count_include_pad),), {}


class AvgPool2d(_AvgPool):
    """Mean of each window, (N, C, H, W) to (N, C, OH, OW); see `fastdl.ops.avg_pool2d`.

    Parameters
    ----------
    kernel_size, stride, padding, ceil_mode : as in `MaxPool2d`
    count_include_pad : zeros of the padding count as cells
    """

    rank = 2


class AvgPool1d(_AvgPool):
    """Mean of each window, (N, C, L) to (N, C, OL); parameters are `AvgPool2d`'s."""

    rank = 1


class AvgPool3d(_AvgPool):
    """Mean of each window of volumes (N, C, D, H, W); parameters are `AvgPool2d`'s."""

    rank = 3


class _AdaptivePool(Layer):
    rank: ClassVar[int]

    def __init__(self, output_size: Sizes) -> None:
        self.output_size = output_size

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class _AdaptiveAvgPool(_AdaptivePool):
    def apply(self, inputs: tuple[np.ndarray, ...], params: Mapping[str, np.ndarray],
              training: bool) -> tuple[np.ndarray, Any]:
        (x,) = inputs
        _expect_rank(self, x)
        return ops.adaptive_avg_pool(x, self.output_size), x.shape

    def grad(self, dy: np.ndarray, saved: Any) -> Any:
        return (ops.adaptive_avg_pool_backward(dy, saved, self.output_size),), {}


class AdaptiveAvgPool2d(_AdaptiveAvgPool):
    """Means of as many stretches as the output is to have, (N, C, H, W) to (N, C, OH, OW).

    Parameters
    ----------
    output_size : int, or (height, width); None keeps that of x

    >>> AdaptiveAvgPool2d((1, 2)).forward(np.arange(3.0).reshape(1, 1, 1, 3))
    array([[[[0.5, 1.5]]]])
    """

    rank = 2


class AdaptiveAvgPool1d(_AdaptiveAvgPool):
    """Means of as many stretches as the output is to have, (N, C, L) to (N, C, OL)."""

    rank = 1


class AdaptiveAvgPool3d(_AdaptiveAvgPool):
    """Means of as many stretches as the output is to have, of volumes (N, C, D, H, W)."""

    rank = 3


class _AdaptiveMaxPool(_AdaptivePool):
    def apply(self, inputs: tuple[np.ndarray, ...], params: Mapping[str, np.ndarray],
              training: bool) -> tuple[np.ndarray, Any]:
        (x,) = inputs
        _expect_rank(self, x)
        y, argmax = ops.adaptive_max_pool(x, self.output_size)
        return y, (argmax, x.shape)

    def grad(self, dy: np.ndarray, saved: Any) -> Any:
        return (ops.adaptive_max_pool_backward(dy, *saved),), {}


class AdaptiveMaxPool2d(_AdaptiveMaxPool):
    """Largest of as many stretches each as the output is to have, (N, C, H, W) to (N, C, OH, OW).

    Parameters
    ----------
    output_size : int, or (height, width); None keeps that of x

    >>> AdaptiveMaxPool2d((1, 2)).forward(np.arange(3.0).reshape(1, 1, 1, 3))
    array([[[[1., 2.]]]])
    """

    rank = 2


class AdaptiveMaxPool1d(_AdaptiveMaxPool):
    """Largest of as many stretches each as the output is to have, (N, C, L) to (N, C, OL)."""

    rank = 1


class AdaptiveMaxPool3d(_AdaptiveMaxPool):
    """Largest of as many stretches each as the output is to have, of volumes (N, C, D, H, W)."""

    rank = 3


def _expect_rank(layer: Any, x: np.ndarray) -> None:
    if x.ndim != layer.rank + 2:
        raise ShapeError(f"{type(layer).__name__}: x must have {layer.rank + 2} dimensions, got "
                         f"{x.shape}")


class _GlobalPool(Layer):
    """What the layers share that pool whole maps, which are seen as rows of all positions."""

    rank: ClassVar[int]

    def rows(self, x: np.ndarray) -> np.ndarray:
        """(N, C, 1, L)."""
        _expect_rank(self, x)
        return x.reshape(*x.shape[:2], 1, math.prod(x.shape[2:]))

    def single(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of the output, of one position."""
        return (*shape[:2], *(1,) * self.rank)


class _GlobalAvgPool(_GlobalPool):
    def apply(self, inputs: tuple[np.ndarray, ...], params: Mapping[str, np.ndarray],
              training: bool) -> tuple[np.ndarray, Any]:
        x = np.asarray(inputs[0])
        return ops.global_avg_pool2d(self.rows(x)).reshape(self.single(x.shape)), x.shape

    def grad(self, dy: np.ndarray, saved: Any) -> Any:
        N, C, *sizes = saved
        dx = ops.global_avg_pool2d_backward(dy.reshape(N, C, 1, 1), (N, C, 1, math.prod(sizes)))
        return (dx.reshape(saved),), {}


class GlobalAvgPool2d(_GlobalAvgPool):
    """Mean of each feature map, (N, C, H, W) to (N, C, 1, 1) (Lin et al., 2014)."""

    rank = 2


class GlobalAvgPool1d(_GlobalAvgPool):
    """Mean of each row, (N, C, L) to (N, C, 1)."""

    rank = 1


class GlobalAvgPool3d(_GlobalAvgPool):
    """Mean of each volume, (N, C, D, H, W) to (N, C, 1, 1, 1)."""

    rank = 3


class _GlobalMaxPool(_GlobalPool):
    def apply(self, inputs: tuple[np.ndarray, ...], params: Mapping[str, np.ndarray],
              training: bool) -> tuple[np.ndarray, Any]:
        x = np.asarray(inputs[0])
        y, argmax = ops.global_max_pool2d(self.rows(x), return_indices=True)
        return y.reshape(self.single(x.shape)), (argmax, x.shape)

    def grad(self, dy: np.ndarray, saved: Any) -> Any:
        argmax, shape = saved
        N, C, *sizes = shape
        dx = ops.global_max_pool2d_backward(dy.reshape(N, C, 1, 1), argmax,
                                            (N, C, 1, math.prod(sizes)))
        return (dx.reshape(shape),), {}


class GlobalMaxPool2d(_GlobalMaxPool):
    """Largest value of each feature map, (N, C, H, W) to (N, C, 1, 1)."""

    rank = 2


class GlobalMaxPool1d(_GlobalMaxPool):
    """Largest value of each row, (N, C, L) to (N, C, 1)."""

    rank = 1


class GlobalMaxPool3d(_GlobalMaxPool):
    """Largest value of each volume, (N, C, D, H, W) to (N, C, 1, 1, 1)."""

    rank = 3
