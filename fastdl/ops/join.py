"""Where branches meet: sums and products of arrays of one shape, concatenation.

Products are left to NumPy. Along any axis, and in either layout, arrays to join are matrices: rows
of what lies in memory from that axis on. They lie side by side in the rows of the result.
"""

import math
from collections.abc import Sequence
from functools import reduce
from typing import Any

import numpy as np

from ..errors import ArgumentError, ShapeError
from ._arrays import Array, common, empty_maps, is_channels_last, kernel, maps, maps_like


def _ready(operation: str, arrays: Sequence[Any]) -> list[Array]:
    """The arrays, of one dtype, each in one of the layouts that kernels take."""
    if not arrays:
        raise ArgumentError(f"{operation}: no arrays given")
    names = [f"x{i}" for i in range(len(arrays))]
    return common(operation, dict.fromkeys(names, is_channels_last),
                  **dict(zip(names, arrays, strict=True)))


def _laid_out_alike(operation: str, arrays: Sequence[Array]) -> list[Array]:
    """The arrays in the layout of the first."""
    return [maps_like(operation, f"x{i}", x, arrays[0], "x0") for i, x in enumerate(arrays)]


def _alike(operation: str, arrays: Sequence[Any]) -> list[Array]:
    """The arrays, ready for a kernel, of the first one's shape and layout."""
    ready = _ready(operation, arrays)
    shapes = [a.shape for a in ready]
    if len(set(shapes)) != 1:
        raise ShapeError(f"{operation}: shapes differ: {', '.join(map(str, shapes))}")
    return _laid_out_alike(operation, ready)


def add(*arrays: Any, backend: str | None = None) -> Array:
    """Sum of arrays of one shape, in the memory layout of the first.

    >>> add(np.ones(2), np.ones(2), np.ones(2))
    array([3., 3.])
    """
    total, *others = _alike("add", arrays)
    if not others:
        return total
    y = empty_maps(total.shape, total)
    for other in others:
        kernel("add", total, backend)(*_in_memory_order(total, other, y))
        total = y
    return y


def _in_memory_order(*arrays: Array) -> tuple[Array, ...]:
    """Channels-last arrays (N, C, ...) as (N, ..., C); others as they are."""
    if not is_channels_last(arrays[0]):
        return arrays
    return tuple(np.moveaxis(a, 1, -1) for a in arrays)


def multiply(*arrays: Any) -> Array:
    """Elementwise product of arrays of one shape."""
    return reduce(np.multiply, _alike("multiply", arrays))


def rows_before(shape: Sequence[int], axis: int, channels_last: bool) -> int:
    """How many rows an array has as a matrix: of what lies in memory before `axis`."""
    order = [0, *range(2, len(shape)), 1] if channels_last else list(range(len(shape)))
    return math.prod(shape[i] for i in order[:order.index(axis)])


def _as_matrix(x: Array, axis: int, channels_last: bool) -> Array:
    """A view with rows of what lies in memory from `axis` on."""
    rows = rows_before(x.shape, axis, channels_last)
    return (np.moveaxis(x, 1, -1) if channels_last else x).reshape(rows, x.size // max(1, rows))


def checked_axis(operation: str, axis: int, *shapes: tuple[int, ...]) -> int:
    """`axis` from 0 on, if it is one along which alone the shapes differ."""
    ndim = len(shapes[0])
    if -ndim <= axis < ndim and all(len(shape) == ndim for shape in shapes):
        positive = axis % ndim
        if len({shape[:positive] + shape[positive + 1:] for shape in shapes}) == 1:
            return positive
    raise ShapeError(f"{operation}: along axis {axis}, shapes do not fit: "
                     f"{', '.join(map(str, shapes))}")


def _with_size(x: Array, axis: int, size: int) -> Array:
    """An empty array like `x`, but for its size along `axis`."""
    return empty_maps((*x.shape[:axis], size, *x.shape[axis + 1:]), x)


def concat(arrays: Sequence[Any], axis: int = 1, *, backend: str | None = None) -> Array:
    """Join arrays along `axis`, in the memory layout of the first.

    Parameters
    ----------
    arrays : of one shape, but for their sizes along `axis`
    axis : channels unless told

    Raises
    ------
    ShapeError, DTypeError, ArgumentError

    >>> concat([np.zeros((1, 1)), np.ones((1, 2))])
    array([[0., 1., 1.]])
    """
    xs = _ready("concat", arrays)
    axis = checked_axis("concat", axis, *(x.shape for x in xs))
    xs, last = _laid_out_alike("concat", xs), is_channels_last(xs[0])
    y = _with_size(xs[0], axis, sum(x.shape[axis] for x in xs))
    whole, start = _as_matrix(y, axis, last), 0
    for x in xs:
        part = _as_matrix(x, axis, last)
        end = start + part.shape[1]
        kernel("copy_matrix", y, backend)(part, whole[:, start:end])
        start = end
    return y


def split(x: Any, sizes: Sequence[int], axis: int = 1, *,
          backend: str | None = None) -> list[Array]:
    """Take an array apart along `axis`: what `concat` joined, and its gradient.

    Parameters
    ----------
    x : of any shape
    sizes : of the parts along `axis`; they add up to x's
    axis : channels unless told

    Returns
    -------
    arrays of x's memory layout

    Raises
    ------
    ShapeError, DTypeError

    >>> split(np.array([[0.0, 1.0, 2.0]]), [1, 2])
    [array([[0.]]), array([[1., 2.]])]
    """
    x = maps("split", "x", x)
    axis = checked_axis("split", axis, x.shape)
    if any(size < 0 for size in sizes) or sum(sizes) != x.shape[axis]:
        raise ShapeError(f"split: sizes along axis {axis} must add up to those of x {x.shape}, "
                         f"got {list(sizes)}")
    last, start, ys = is_channels_last(x), 0, []
    whole = _as_matrix(x, axis, last)
    for size in sizes:
        ys.append(y := _with_size(x, axis, size))
        part = _as_matrix(y, axis, last)
        end = start + part.shape[1]
        kernel("copy_matrix", x, backend)(whole[:, start:end], part)
        start = end
    return ys
