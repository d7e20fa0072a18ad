"""Feature maps of another size: interpolation and adaptive pooling, one dimension after another.

Along a dimension each new value is a weighted mean of old ones: a product with a matrix, which is
small. The gradient is the product with its transpose.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import ArgumentError, ShapeError
from ._arrays import Array, Shaped, empty_maps, expect_shape, maps
from .pool import (
    avg_pool2d,
    avg_pool2d_backward,
    global_avg_pool2d,
    global_avg_pool2d_backward,
)

Sizes = int | Sequence[int | None]

_LINEAR = {"linear": 3, "bilinear": 4, "trilinear": 5}          # ranks of x


# ---- products with a matrix along each spatial dimension ----

def _along(x: Array, axis: int, matrix: Array) -> Array:
    return np.moveaxis(np.moveaxis(x, axis, -1) @ matrix.T, -1, axis)


def through(x: Array, matrices: Sequence[Array | None], y: Array) -> None:
    """Fill `y` with `x` times a matrix along each spatial dimension; None leaves one as it is."""
    result = x
    for axis, matrix in enumerate(matrices, 2):
        if matrix is not None:
            result = _along(result, axis, matrix.astype(x.dtype))
    y[...] = result


def _through(x: Array, matrices: Sequence[Array | None]) -> Array:
    sizes = [n if matrix is None else len(matrix)
             for n, matrix in zip(x.shape[2:], matrices, strict=True)]
    y = empty_maps((*x.shape[:2], *sizes), x)
    through(x, matrices, y)
    return y


def transposed(matrices: Sequence[Array | None]) -> list[Array | None]:
    """The matrices of the way back."""
    return [None if matrix is None else matrix.T for matrix in matrices]


# ---- interpolation ----

def _nearest(n: int, m: int, scale: float) -> Array:
    source = np.minimum((np.arange(m) / scale).astype(int), n - 1)
    return (source[:, None] == np.arange(n)).astype(float)


def _linear(n: int, m: int, scale: float, align_corners: bool) -> Array:
    if align_corners:
        place = np.arange(m) * ((n - 1) / (m - 1) if m > 1 else 0.0)
    else:
        place = np.maximum((np.arange(m) + 0.5) / scale - 0.5, 0)
    low = np.minimum(place.astype(int), n - 1)
    share = place - low
    high = np.minimum(low + 1, n - 1)
    matrix = np.zeros((m, n))
    np.add.at(matrix, (np.arange(m), low), 1 - share)
    np.add.at(matrix, (np.arange(m), high), share)
    return matrix


def _interpolation(operation: str, x_shape: tuple[int, ...], size: Any, scale_factor: Any,
                   mode: str, align_corners: bool | None) -> list[Array | None]:
    spatial = x_shape[2:]
    if len(x_shape) not in (3, 4, 5) or 0 in spatial:
        raise ShapeError(f"{operation}: x must be (N, C, L), (N, C, H, W) or (N, C, D, H, W), not "
                         f"empty, got {x_shape}")
    if mode != "nearest" and _LINEAR.get(mode) != len(x_shape):
        linear = next(name for name, rank in _LINEAR.items() if rank == len(x_shape))
        raise ArgumentError(f"{operation}: mode must be 'nearest' or, of {len(x_shape)} "
                            f"dimensions, {linear!r}, got {mode!r}")
    if (size is None) == (scale_factor is None):
        raise ArgumentError(f"{operation}: give size or scale_factor, and not both")
    if mode == "nearest" and align_corners:
        raise ArgumentError(f"{operation}: align_corners is for linear modes")
    given = np.broadcast_to(scale_factor if size is None else size, len(spatial))
    if size is None:
        scales = [float(value) for value in given]
        sizes = [int(n * scale) for n, scale in zip(spatial, scales, strict=True)]
    else:
        sizes = [int(value) for value in given]
        scales = [m / n for n, m in zip(spatial, sizes, strict=True)]
    if min(sizes) < 1:
        raise ArgumentError(f"{operation}: the output would be {tuple(sizes)}")
    return [None if m == n else
            _nearest(n, m, scale) if mode == "nearest" else
            _linear(n, m, scale, bool(align_corners))
            for n, m, scale in zip(spatial, sizes, scales, strict=True)]


def interpolate(x: Any, size: Sizes | None = None,
                scale_factor: float | Sequence[float] | None = None, mode: str = "nearest",
                align_corners: bool | None = None) -> Array:
    """Feature maps of another size.

    Parameters
    ----------
    x : (N, C, L), (N, C, H, W) or (N, C, D, H, W)
    size : of the result, one number or one for each spatial dimension
    scale_factor : instead of size, what the sizes are multiplied by
    mode : "nearest", or "linear", "bilinear", "trilinear" as x has dimensions
    align_corners : whether the centres of the corner pixels, or the corners themselves (the
        default), stay where they are

    Returns
    -------
    of x's memory layout

    Raises
    ------
    ShapeError, ArgumentError, DTypeError

    >>> interpolate(np.array([[[0.0, 4.0]]]), scale_factor=2)
    array([[[0., 0., 4., 4.]]])
    >>> interpolate(np.array([[[0.0, 4.0]]]), scale_factor=2, mode="linear")
    array([[[0., 1., 3., 4.]]])
    """
    x = maps("interpolate", "x", x)
    return _through(x, _interpolation("interpolate", x.shape, size, scale_factor, mode,
                                      align_corners))


def interpolate_backward(dy: Any, x_shape: tuple[int, ...], size: Sizes | None = None,
                         scale_factor: float | Sequence[float] | None = None,
                         mode: str = "nearest", align_corners: bool | None = None) -> Array:
    """Gradient of `interpolate`."""
    name = "interpolate_backward"
    dy = maps(name, "dy", dy)
    matrices = _interpolation(name, tuple(x_shape), size, scale_factor, mode, align_corners)
    shape = tuple(n if matrix is None else len(matrix)
                  for n, matrix in zip(x_shape[2:], matrices, strict=True))
    expect_shape(name, "dy", dy, (*x_shape[:2], *shape), "the shape of the output")
    return _through(dy, transposed(matrices))


# ---- adaptive pooling ----

def adaptive_size(operation: str, x: Shaped, output_size: Any) -> tuple[int, ...]:
    """The sizes of the result; None keeps the input's."""
    rank = x.ndim - 2
    if rank not in (1, 2, 3) or 0 in x.shape[2:]:
        raise ShapeError(f"{operation}: x must be (N, C, L), (N, C, H, W) or (N, C, D, H, W), not "
                         f"empty, got {x.shape}")
    given = (output_size,) * rank if np.ndim(output_size) == 0 else tuple(output_size)
    sizes = tuple(n if m is None else m for n, m in zip(x.shape[2:], given, strict=False))
    if len(given) != rank or not all(isinstance(m, int | np.integer) and m > 0 for m in sizes):
        raise ArgumentError(f"{operation}: output_size must be an integer of at least 1, or one "
                            f"for each of {rank} dimensions, got {output_size!r}")
    return sizes


def plain_window(spatial: tuple[int, ...], sizes: tuple[int, ...]) -> tuple[int, ...] | None:
    """The window of an ordinary average pooling that does the same, if there is one."""
    fits = all(n % m == 0 for n, m in zip(spatial, sizes, strict=True))
    return tuple(n // m for n, m in zip(spatial, sizes, strict=True)) if fits else None


def _ends(n: int, m: int) -> tuple[Array, Array]:
    """Of m stretches that cover 0 to n; they overlap where m does not divide n."""
    return np.arange(m) * n // m, -(-np.arange(1, m + 1) * n // m)


def _means(n: int, m: int) -> Array | None:
    """The matrix of means over them."""
    if n == m:
        return None
    first, last = _ends(n, m)
    place = np.arange(n)
    inside = (first[:, None] <= place) & (place < last[:, None])
    return inside / (last - first)[:, None]


def stretches(spatial: tuple[int, ...], sizes: tuple[int, ...]) -> list[Array | None]:
    """The matrices of adaptive pooling."""
    return [_means(n, m) for n, m in zip(spatial, sizes, strict=True)]


def adaptive_avg_pool(x: Any, output_size: Sizes, *, backend: str | None = None) -> Array:
    """Means of as many stretches of each dimension as the output is to have.

    Where the sizes divide, that is ordinary pooling, and its kernels run.

    Parameters
    ----------
    x : (N, C, L), (N, C, H, W) or (N, C, D, H, W)
    output_size : one number, or one for each spatial dimension; None keeps that of x

    Returns
    -------
    of x's memory layout

    Raises
    ------
    ShapeError, ArgumentError, DTypeError

    >>> adaptive_avg_pool(np.array([[[1.0, 2.0, 3.0]]]), 2)
    array([[[1.5, 2.5]]])
    """
    x = maps("adaptive_avg_pool", "x", x)
    sizes = adaptive_size("adaptive_avg_pool", x, output_size)
    if x.ndim == 4 and sizes == (1, 1):
        return global_avg_pool2d(x, backend=backend)
    if x.ndim == 4 and (window := plain_window(x.shape[2:], sizes)):
        return avg_pool2d(x, window, backend=backend)
    return _through(x, stretches(x.shape[2:], sizes))


def adaptive_avg_pool_backward(dy: Any, x_shape: tuple[int, ...], output_size: Sizes, *,
                               backend: str | None = None) -> Array:
    """Gradient of `adaptive_avg_pool`."""
    name = "adaptive_avg_pool_backward"
    dy = maps(name, "dy", dy)
    x_shape = tuple(x_shape)
    sizes = adaptive_size(name, np.broadcast_to(dy.dtype.type(0), x_shape), output_size)
    expect_shape(name, "dy", dy, (*x_shape[:2], *sizes), "the shape of the output")
    if len(sizes) == 2 and sizes == (1, 1):
        return global_avg_pool2d_backward(dy, x_shape, backend=backend)   # type: ignore[arg-type]
    if len(sizes) == 2 and (window := plain_window(x_shape[2:], sizes)):
        return avg_pool2d_backward(dy, x_shape, window, backend=backend)  # type: ignore[arg-type]
    return _through(dy, transposed(stretches(x_shape[2:], sizes)))


def adaptive_max_pool(x: Any, output_size: Sizes) -> tuple[Array, Array]:
    """Largest of as many stretches of each dimension as the output is to have.

    Parameters
    ----------
    x : (N, C, L), (N, C, H, W) or (N, C, D, H, W)
    output_size : one number, or one for each spatial dimension; None keeps that of x

    Returns
    -------
    y, argmax
        `y` has x's memory layout; `argmax` (int64) tells where each value was in the flattened
        map. Of equal values the first wins; NaN beats numbers.

    Raises
    ------
    ShapeError, ArgumentError, DTypeError

    >>> adaptive_max_pool(np.array([[[1.0, 5.0, 3.0]]]), 2)
    (array([[[5., 5.]]]), array([[[1, 1]]]))
    """
    x = maps("adaptive_max_pool", "x", x)
    sizes = adaptive_size("adaptive_max_pool", x, output_size)
    y = empty_maps((*x.shape[:2], *sizes), x)
    argmax = np.empty(y.shape, np.int64)
    ends = [_ends(n, m) for n, m in zip(x.shape[2:], sizes, strict=True)]
    place = np.arange(math.prod(x.shape[2:])).reshape(x.shape[2:])
    for cell in np.ndindex(*sizes):
        window = tuple(slice(first[i], last[i])
                       for i, (first, last) in zip(cell, ends, strict=True))
        values = x[(..., *window)].reshape(*x.shape[:2], -1)
        which = values.argmax(axis=2)
        y[(..., *cell)] = np.take_along_axis(values, which[..., None], axis=2)[..., 0]
        argmax[(..., *cell)] = place[window].ravel()[which]
    return y, argmax


def adaptive_max_pool_backward(dy: Any, argmax: Any, x_shape: tuple[int, ...]) -> Array:
    """Gradient of `adaptive_max_pool`: each value's goes to where it was."""
    dy, x_shape = maps("adaptive_max_pool_backward", "dy", dy), tuple(x_shape)
    expect_shape("adaptive_max_pool_backward", "argmax", argmax, dy.shape, "the shape of dy")
    dx = np.zeros((math.prod(x_shape[:2]), math.prod(x_shape[2:])), dy.dtype)
    np.add.at(dx, (np.arange(len(dx))[:, None], argmax.reshape(len(dx), -1)),
              dy.reshape(len(dx), -1))
    return dx.reshape(x_shape)
