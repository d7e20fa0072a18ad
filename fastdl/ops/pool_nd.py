"""Pooling of one and three dimensions, by the kernels of two.

One dimension is a row of height 1. Three are pooled slice by slice, then along the depth: a maximum
of maxima, a mean of means. Of equal values the first wins both ways.
"""

from typing import Any

import numpy as np  # noqa: F401  (of the examples)

from ..errors import ShapeError
from ._arrays import (
    Array,
    Pair,
    channels_to_end,
    channels_to_front,
    expect_shape,
    integers,
    is_channels_last,
    maps,
    window_output,
)
from .pool import avg_pool2d, avg_pool2d_backward, max_pool2d, max_pool2d_backward

_Window = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], bool]


def _window(operation: str, rank: int, kernel_size: Pair, stride: Pair | None, padding: Pair,
            ceil_mode: bool) -> _Window:
    kernel = integers(operation, "kernel_size", kernel_size, 1, rank)
    step = kernel if stride is None else integers(operation, "stride", stride, 1, rank)
    return kernel, step, integers(operation, "padding", padding, 0, rank), ceil_mode


# In two dimensions: for rows of height 1, for slices, and for depths (D, H W).

def _of_row(window: _Window) -> dict[str, Any]:
    (kernel,), (stride,), (padding,), ceil_mode = window
    return {"kernel_size": (1, kernel), "stride": (1, stride), "padding": (0, padding),
            "ceil_mode": ceil_mode}


def _of_slices(window: _Window) -> dict[str, Any]:
    kernel, stride, padding, ceil_mode = window
    return {"kernel_size": kernel[1:], "stride": stride[1:], "padding": padding[1:],
            "ceil_mode": ceil_mode}


def _of_depth(window: _Window) -> dict[str, Any]:
    kernel, stride, padding, ceil_mode = window
    return {"kernel_size": (kernel[0], 1), "stride": (stride[0], 1), "padding": (padding[0], 0),
            "ceil_mode": ceil_mode}


def _opened(operation: str, name: str, x: Any, rank: int) -> Array:
    x = maps(operation, name, x)
    if x.ndim != rank + 2 or 0 in x.shape[2:]:
        raise ShapeError(f"{operation}: {name} must have {rank + 2} dimensions and cells to pool, "
                         f"got {x.shape}")
    return x


# ---- volumes as maps of slices, or of depths (N, C, D, H W): views of either layout ----

def _slices(x: Array, last: bool) -> Array:
    N, C, D, H, W = x.shape
    if last:
        return channels_to_front(channels_to_end(x).reshape(N * D, H, W, C))
    return x.reshape(N, C * D, H, W)


def _volume(slices: Array, shape: tuple[int, ...], last: bool) -> Array:
    N, C, *size = shape
    if last:
        return channels_to_front(channels_to_end(slices).reshape(N, *size, C))
    return slices.reshape(shape)


def _depths(x: Array) -> Array:
    N, C, D, H, W = x.shape
    return x.reshape(N, C, D, H * W)


def _pooled_shapes(name: str, x_shape: tuple[int, ...],
                   window: _Window) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Shapes (N, C, D, H, W) of the pooled slices, and of the result."""
    kernel, stride, padding, ceil_mode = window
    N, C, D, *size = x_shape
    output = window_output(name, (D, *size), kernel, stride, padding, (1, 1, 1), ceil_mode)
    return (N, C, D, *output[1:]), (N, C, *output)


# ---- one dimension ----

def max_pool1d(x: Any, kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0,
               ceil_mode: bool = False, return_indices: bool = False, *,
               backend: str | None = None) -> Any:
    """Largest value of each window of rows (N, C, L); parameters are those of `max_pool2d`.

    >>> max_pool1d(np.array([[[1.0, 3.0, 2.0, 0.0]]]), 2)
    array([[[3., 2.]]])
    """
    x = _opened("max_pool1d", "x", x, 1)
    window = _of_row(_window("max_pool1d", 1, kernel_size, stride, padding, ceil_mode))
    y, argmax = max_pool2d(x[:, :, None], **window, return_indices=True, backend=backend)
    return (y[:, :, 0], argmax[:, :, 0]) if return_indices else y[:, :, 0]


def max_pool1d_backward(dy: Any, argmax: Any, x_shape: tuple[int, ...], kernel_size: Pair,
                        stride: Pair | None = None, padding: Pair = 0, ceil_mode: bool = False, *,
                        backend: str | None = None) -> Array:
    """Gradient of `max_pool1d`: each window's goes to the cell that `argmax` names."""
    name = "max_pool1d_backward"
    dy = maps(name, "dy", dy, ndim=3)
    window = _of_row(_window(name, 1, kernel_size, stride, padding, ceil_mode))
    N, C, L = x_shape
    return max_pool2d_backward(dy[:, :, None], argmax[:, :, None], (N, C, 1, L), **window,
                               backend=backend)[:, :, 0]


def avg_pool1d(x: Any, kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0,
               ceil_mode: bool = False, count_include_pad: bool = True, *,
               backend: str | None = None) -> Array:
    """Mean of each window of rows (N, C, L); parameters are those of `avg_pool2d`.

    >>> avg_pool1d(np.array([[[1.0, 3.0, 2.0, 0.0]]]), 2)
    array([[[2., 1.]]])
    """
    x = _opened("avg_pool1d", "x", x, 1)
    means: dict[str, Any] = {"count_include_pad": count_include_pad, "backend": backend}
    window = _of_row(_window("avg_pool1d", 1, kernel_size, stride, padding, ceil_mode))
    return avg_pool2d(x[:, :, None], **window, **means)[:, :, 0]


def avg_pool1d_backward(dy: Any, x_shape: tuple[int, ...], kernel_size: Pair,
                        stride: Pair | None = None, padding: Pair = 0, ceil_mode: bool = False,
                        count_include_pad: bool = True, *, backend: str | None = None) -> Array:
    """Gradient of `avg_pool1d`: each window's is spread evenly over its cells."""
    name = "avg_pool1d_backward"
    dy = maps(name, "dy", dy, ndim=3)
    means: dict[str, Any] = {"count_include_pad": count_include_pad, "backend": backend}
    window = _of_row(_window(name, 1, kernel_size, stride, padding, ceil_mode))
    N, C, L = x_shape
    return avg_pool2d_backward(dy[:, :, None], (N, C, 1, L), **window, **means)[:, :, 0]


# ---- three dimensions ----

def max_pool3d(x: Any, kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0,
               ceil_mode: bool = False, return_indices: bool = False, *,
               backend: str | None = None) -> Any:
    """Largest value of each window of volumes (N, C, D, H, W).

    Parameters are those of `max_pool2d`, with three numbers in place of two. With `return_indices`
    also the argmax inside the slices, and that along the depth.

    >>> max_pool3d(np.arange(8.0).reshape(1, 1, 2, 2, 2), 2).ravel()
    array([7.])
    """
    name = "max_pool3d"
    x = _opened(name, "x", x, 3)
    window, last = _window(name, 3, kernel_size, stride, padding, ceil_mode), is_channels_last(x)
    middle, output = _pooled_shapes(name, x.shape, window)
    y, inside = max_pool2d(_slices(x, last), **_of_slices(window), return_indices=True,
                           backend=backend)
    y = _volume(y, middle, last)
    y, along = max_pool2d(_depths(y), **_of_depth(window), return_indices=True, backend=backend)
    return (y.reshape(output), (inside, along)) if return_indices else y.reshape(output)


def max_pool3d_backward(dy: Any, argmax: Any, x_shape: tuple[int, ...], kernel_size: Pair,
                        stride: Pair | None = None, padding: Pair = 0, ceil_mode: bool = False, *,
                        backend: str | None = None) -> Array:
    """Gradient of `max_pool3d`: each window's goes to the cell that `argmax` names.

    `argmax` is the pair that `max_pool3d` returned.
    """
    name = "max_pool3d_backward"
    window = _window(name, 3, kernel_size, stride, padding, ceil_mode)
    middle, output = _pooled_shapes(name, tuple(x_shape), window)
    dy = maps(name, "dy", dy)
    expect_shape(name, "dy", dy, output, "the shape of the output")
    inside, along = argmax
    last = inside.shape[0] != x_shape[0] or is_channels_last(dy)
    dy = max_pool2d_backward(_depths(dy), along, _depths_shape(middle), **_of_depth(window),
                             backend=backend).reshape(middle)
    N, C, D, H, W = x_shape
    sliced = (N * D, C, H, W) if last else (N, C * D, H, W)
    dx = max_pool2d_backward(_slices(dy, last), inside, sliced, **_of_slices(window),
                             backend=backend)
    return _volume(dx, tuple(x_shape), last)


def avg_pool3d(x: Any, kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0,
               ceil_mode: bool = False, count_include_pad: bool = True, *,
               backend: str | None = None) -> Array:
    """Mean of each window of volumes (N, C, D, H, W).

    Parameters are those of `avg_pool2d`, with three numbers in place of two.

    >>> avg_pool3d(np.arange(8.0).reshape(1, 1, 2, 2, 2), 2).ravel()
    array([3.5])
    """
    name = "avg_pool3d"
    x = _opened(name, "x", x, 3)
    means: dict[str, Any] = {"count_include_pad": count_include_pad, "backend": backend}
    window, last = _window(name, 3, kernel_size, stride, padding, ceil_mode), is_channels_last(x)
    middle, output = _pooled_shapes(name, x.shape, window)
    y = avg_pool2d(_slices(x, last), **_of_slices(window), **means)
    y = avg_pool2d(_depths(_volume(y, middle, last)), **_of_depth(window), **means)
    return y.reshape(output)


def avg_pool3d_backward(dy: Any, x_shape: tuple[int, ...], kernel_size: Pair,
                        stride: Pair | None = None, padding: Pair = 0, ceil_mode: bool = False,
                        count_include_pad: bool = True, *, backend: str | None = None) -> Array:
    """Gradient of `avg_pool3d`: each window's is spread evenly over its cells."""
    name = "avg_pool3d_backward"
    means: dict[str, Any] = {"count_include_pad": count_include_pad, "backend": backend}
    window = _window(name, 3, kernel_size, stride, padding, ceil_mode)
    middle, output = _pooled_shapes(name, tuple(x_shape), window)
    dy = maps(name, "dy", dy)
    expect_shape(name, "dy", dy, output, "the shape of the output")
    last = is_channels_last(dy)
    dy = avg_pool2d_backward(_depths(dy), _depths_shape(middle), **_of_depth(window),
                             **means).reshape(middle)
    N, C, D, H, W = x_shape
    sliced = (N * D, C, H, W) if last else (N, C * D, H, W)
    dx = avg_pool2d_backward(_slices(dy, last), sliced, **_of_slices(window), **means)
    return _volume(dx, tuple(x_shape), last)


def _depths_shape(shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    N, C, D, H, W = shape
    return N, C, D, H * W
