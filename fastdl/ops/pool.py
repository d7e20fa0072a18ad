"""Max and average pooling over windows, and over whole feature maps."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from ..errors import ArgumentError, DTypeError, ShapeError
from ._arrays import (
    Array,
    Pair,
    channels_to_end,
    channels_to_front,
    empty_maps,
    expect_shape,
    is_channels_last,
    kernel,
    maps,
    maps_like,
    on_device,
    pair,
    window_output,
)

Shape: TypeAlias = tuple[int, int, int, int]

_NO_DILATION = (1, 1)


def checked_window(operation: str, size: Sequence[int], kernel_size: Pair, stride: Pair | None,
            padding: Pair, ceil_mode: bool):
    """Kernel, stride and padding as pairs, and (OH, OW), for maps of `size`."""
    kernel_size = pair(operation, "kernel_size", kernel_size, 1)
    stride = kernel_size if stride is None else pair(operation, "stride", stride, 1)
    padding = pair(operation, "padding", padding, 0)
    if any(p > k // 2 for p, k in zip(padding, kernel_size, strict=True)):
        raise ArgumentError(f"{operation}: padding {padding} must be at most half of the kernel "
                            f"{kernel_size}")
    output = window_output(operation, size, kernel_size, stride, padding, _NO_DILATION, ceil_mode)
    return (kernel_size, stride, padding), output


def expect_cells(operation: str, name: str, shape: tuple[int, ...]) -> None:
    """Raise unless this is the shape of feature maps with something to pool."""
    if len(shape) != 4:
        raise ShapeError(f"{operation}: {name} must have 4 dimensions, got {shape}")
    if 0 in shape[2:]:
        raise ShapeError(f"{operation}: {name} {shape} has no cells to pool")


def _opened(operation: str, name: str, x: Any) -> Array:
    x = maps(operation, name, x)
    expect_cells(operation, name, x.shape)
    return x


def argmax_dtype(cells: int) -> type:
    """Of an index into a window of so many cells."""
    return np.uint8 if cells <= 256 else np.int32


def _checked_argmax(operation: str, argmax: Any, dy: Array, dtype: type) -> Array:
    if on_device(argmax) is not on_device(dy):
        raise DTypeError(f"{operation}: argmax and dy must both lie on the device, or both on the "
                         "host")
    argmax = argmax if on_device(argmax) else np.asarray(argmax)
    expect_shape(operation, "argmax", argmax, dy.shape, "the shape of dy")
    if argmax.dtype != dtype:
        raise DTypeError(f"{operation}: argmax must be {np.dtype(dtype)} (from the forward "
                         f"pass), got {argmax.dtype}")
    if is_channels_last(dy):
        return channels_to_front(np.require(channels_to_end(argmax), requirements=["C", "A"]))
    return argmax if on_device(argmax) else np.require(argmax, requirements=["C", "A"])


def _x_shape(operation: str, x_shape: Any, dy: Array) -> Shape:
    N, C, H, W = x_shape if len(x_shape) == 4 else (-1, -1, -1, -1)
    if dy.shape[:2] != (N, C) or min(H, W) < 1:
        raise ShapeError(f"{operation}: x_shape {tuple(x_shape)} does not fit dy {dy.shape}")
    return int(N), int(C), int(H), int(W)


def max_pool2d(x: Any, kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0,
               ceil_mode: bool = False, return_indices: bool = False, *,
               backend: str | None = None) -> Any:
    """Largest value of each window.

    Parameters
    ----------
    x : (N, C, H, W)
    stride : the kernel's size unless given
    padding : at most half of the kernel; never wins
    ceil_mode : also use windows that reach past the end
    return_indices : also return the argmax, ``kh * KW + kw`` inside each window: uint8, or int32
        when the window has more than 256 cells. Of equal values the first wins; NaN beats numbers.

    Returns
    -------
    y (N, C, OH, OW), or (y, argmax)

    >>> x = np.array([[[[1.0, 2.0], [4.0, 3.0]]]])
    >>> y, argmax = max_pool2d(x, 2, return_indices=True)
    >>> float(y[0, 0, 0, 0]), int(argmax[0, 0, 0, 0])
    (4.0, 2)
    """
    x = _opened("max_pool2d", "x", x)
    window, output = checked_window("max_pool2d", x.shape[2:], kernel_size, stride, padding,
                                    ceil_mode)
    y = empty_maps((*x.shape[:2], *output), x)
    argmax = None
    if return_indices:
        argmax = empty_maps(y.shape, x, argmax_dtype(window[0][0] * window[0][1]))
    kernel("max_pool2d", x, backend)(x, y, argmax, *window)
    return (y, argmax) if return_indices else y


def max_pool2d_backward(dy: Any, argmax: Any, x_shape: Shape,
                        kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0,
                        ceil_mode: bool = False, *, y: Any = None,
                        backend: str | None = None) -> Array:
    """Gradient of `max_pool2d`: each window's goes to the cell that `argmax` names.

    With `y`, the output, only the gradients of outputs above 0 do: then a ReLU right before or
    after the pooling needs no backward pass of its own.
    """
    name = "max_pool2d_backward"
    dy = maps(name, "dy", dy, ndim=4)
    x_shape = _x_shape(name, x_shape, dy)
    window, output = checked_window(name, x_shape[2:], kernel_size, stride, padding, ceil_mode)
    expect_shape(name, "dy", dy, (*x_shape[:2], *output), "the shape of the output")
    argmax = _checked_argmax(name, argmax, dy, argmax_dtype(window[0][0] * window[0][1]))
    if y is not None:
        y = maps_like(name, "y", y, dy, "dy")
        expect_shape(name, "y", y, dy.shape, "the shape of dy")
    dx = empty_maps(x_shape, dy)
    kernel(name, dy, backend)(dy, argmax, y, dx, *window)
    return dx


def avg_pool2d(x: Any, kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0,
               ceil_mode: bool = False, count_include_pad: bool = True, *,
               backend: str | None = None) -> Array:
    """Mean of each window.

    Parameters are those of `max_pool2d`; with `count_include_pad` the zeros of the padding count
    as cells. Cells past the padding (ceil_mode) never do.

    >>> avg_pool2d(np.array([[[[1.0, 2.0], [4.0, 3.0]]]]), 2)
    array([[[[2.5]]]])
    """
    x = _opened("avg_pool2d", "x", x)
    window, output = checked_window("avg_pool2d", x.shape[2:], kernel_size, stride, padding,
                                    ceil_mode)
    y = empty_maps((*x.shape[:2], *output), x)
    kernel("avg_pool2d", x, backend)(x, y, *window, bool(count_include_pad))
    return y


def avg_pool2d_backward(dy: Any, x_shape: Shape, kernel_size: Pair,
                        stride: Pair | None = None, padding: Pair = 0, ceil_mode: bool = False,
                        count_include_pad: bool = True, *, backend: str | None = None) -> Array:
    """Gradient of `avg_pool2d`: each window's is spread evenly over its cells."""
    name = "avg_pool2d_backward"
    dy = maps(name, "dy", dy, ndim=4)
    x_shape = _x_shape(name, x_shape, dy)
    window, output = checked_window(name, x_shape[2:], kernel_size, stride, padding, ceil_mode)
    expect_shape(name, "dy", dy, (*x_shape[:2], *output), "the shape of the output")
    dx = empty_maps(x_shape, dy)
    kernel(name, dy, backend)(dy, dx, *window, bool(count_include_pad))
    return dx


def global_avg_pool2d(x: Any, *, backend: str | None = None) -> Array:
    """Mean of each feature map, (N, C, H, W) to (N, C, 1, 1) (Lin et al., 2014).

    >>> global_avg_pool2d(np.array([[[[1.0, 2.0], [4.0, 3.0]]]]))
    array([[[[2.5]]]])
    """
    x = _opened("global_avg_pool2d", "x", x)
    y = empty_maps((*x.shape[:2], 1, 1), x)
    kernel("global_avg_pool2d", x, backend)(x, y)
    return y


def global_avg_pool2d_backward(dy: Any, x_shape: Shape, *,
                               backend: str | None = None) -> Array:
    """Gradient of `global_avg_pool2d`."""
    name = "global_avg_pool2d_backward"
    dy, x_shape = _global_gradient(name, dy, x_shape)
    dx = empty_maps(x_shape, dy)
    kernel(name, dy, backend)(dy, dx)
    return dx


def global_max_pool2d(x: Any, return_indices: bool = False, *, backend: str | None = None) -> Any:
    """Largest value of each feature map, (N, C, H, W) to (N, C, 1, 1).

    With `return_indices` also its index into H * W, int32.

    >>> float(global_max_pool2d(np.array([[[[1.0, 2.0], [4.0, 3.0]]]]))[0, 0, 0, 0])
    4.0
    """
    x = _opened("global_max_pool2d", "x", x)
    y = empty_maps((*x.shape[:2], 1, 1), x)
    argmax = empty_maps(y.shape, x, np.int32) if return_indices else None
    kernel("global_max_pool2d", x, backend)(x, y, argmax)
    return (y, argmax) if return_indices else y


def global_max_pool2d_backward(dy: Any, argmax: Any, x_shape: Shape, *,
                               backend: str | None = None) -> Array:
    """Gradient of `global_max_pool2d`."""
    name = "global_max_pool2d_backward"
    dy, x_shape = _global_gradient(name, dy, x_shape)
    argmax = _checked_argmax(name, argmax, dy, np.int32)
    dx = empty_maps(x_shape, dy)
    kernel(name, dy, backend)(dy, argmax, dx)
    return dx


def _global_gradient(operation: str, dy: Any, x_shape: Any) -> tuple[Array, Shape]:
    dy = maps(operation, "dy", dy, ndim=4)
    x_shape = _x_shape(operation, x_shape, dy)
    expect_shape(operation, "dy", dy, (*x_shape[:2], 1, 1), "one value for each feature map")
    return dy, x_shape
