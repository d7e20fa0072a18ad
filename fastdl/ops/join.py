"""Where branches meet: sums, products, concatenation.

Products of arrays of one shape, and of maps with a factor for each, have kernels; those that
broadcast in another way are left to NumPy. Along any axis, and in either layout, arrays to join are
matrices: rows of what lies in memory from that axis on. They lie side by side in the rows of the
result.
"""

import math
from collections.abc import Sequence
from functools import reduce
from typing import Any

import numpy as np

from ..errors import ArgumentError, ShapeError
from ._arrays import (
    Array,
    Shaped,
    channels_to_end,
    common,
    empty,
    empty_maps,
    expect_shape,
    is_channels_last,
    kernel,
    maps,
    maps_like,
)


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
    return tuple(map(channels_to_end, arrays))


def factors_of_maps(x: Shaped, s: Shaped) -> bool:
    """Whether `s` has one number for each feature map of `x`, (N, C, 1, ...)."""
    return (x.ndim == s.ndim > 2 and s.shape[:2] == x.shape[:2] and set(s.shape[2:]) == {1}
            and x.shape != s.shape)


def product_shape(*shapes: tuple[int, ...]) -> tuple[int, ...]:
    """Shape of a product by NumPy's rules of broadcasting."""
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        raise ShapeError(f"multiply: shapes do not fit: {', '.join(map(str, shapes))}") from None


def _flat_maps(x: Array) -> Array:
    """(N, C, L), a view."""
    return x.reshape(*x.shape[:2], math.prod(x.shape[2:]))


def _product(a: Array, b: Array, backend: str | None) -> Array:
    if a.shape == b.shape:
        y = empty_maps(a.shape, a)
        b = maps_like("multiply", "b", b, a, "a")
        kernel("multiply", a, backend)(*_in_memory_order(a, b, y))
        return y
    if factors_of_maps(b, a):
        a, b = b, a
    if factors_of_maps(a, b):
        y = empty_maps(a.shape, a)
        kernel("scale_maps", a, backend)(_flat_maps(a), b.reshape(b.shape[:2]), _flat_maps(y))
        return y
    product_shape(a.shape, b.shape)
    return np.asarray(a * b)


def multiply(*arrays: Any, backend: str | None = None) -> Array:
    """Product of arrays, element by element, by NumPy's rules of broadcasting.

    Parameters
    ----------
    arrays : such as maps (N, C, H, W) and a factor for each, (N, C, 1, 1)

    Raises
    ------
    ShapeError, DTypeError, ArgumentError

    >>> multiply(np.ones((1, 2, 1, 2)), np.array([3.0, 4.0]).reshape(1, 2, 1, 1)).ravel()
    array([3., 3., 4., 4.])
    """
    return reduce(lambda a, b: _product(a, b, backend), _ready("multiply", arrays))


def summed_to(dy: Array, shape: tuple[int, ...]) -> Array:
    """`dy` summed over what an array of `shape` was broadcast along."""
    before = dy.ndim - len(shape)
    along = [*range(before), *(before + i for i, n in enumerate(shape)
                               if n == 1 and dy.shape[before + i] != 1)]
    return np.asarray(dy.sum(axis=tuple(along), keepdims=True)).reshape(shape) if along else dy


def multiply_backward(dy: Any, a: Any, b: Any, *,
                      backend: str | None = None) -> tuple[Array, Array]:
    """Gradients of ``multiply(a, b)``: the other factor times `dy`, summed where it was broadcast.

    Parameters
    ----------
    dy : gradient of the product
    a, b : the factors

    Returns
    -------
    da, db : of the shapes of a and b

    >>> multiply_backward(np.ones(2), np.array([1.0, 2.0]), np.array([3.0]))
    (array([3., 3.]), array([3.]))
    """
    name = "multiply_backward"
    a, b = _ready(name, (a, b))
    expect_shape(name, "dy", np.asarray(dy), product_shape(a.shape, b.shape),
                 "the shape of the product")
    if factors_of_maps(b, a):
        db, da = multiply_backward(dy, b, a, backend=backend)
        return da, db
    dy = maps_like(name, "dy", dy, a, "a") if a.shape == np.shape(dy) else np.asarray(dy, a.dtype)
    if factors_of_maps(a, b):
        da, db = empty_maps(a.shape, a), empty(b.shape[:2], b.dtype, b)
        kernel("scale_maps_backward", a, backend)(
            _flat_maps(dy), _flat_maps(a), b.reshape(b.shape[:2]), _flat_maps(da), db)
        return da, db.reshape(b.shape)
    return (summed_to(_product(dy, b, backend), a.shape),
            summed_to(_product(dy, a, backend), b.shape))


def rows_before(shape: Sequence[int], axis: int, channels_last: bool) -> int:
    """How many rows an array has as a matrix: of what lies in memory before `axis`."""
    order = [0, *range(2, len(shape)), 1] if channels_last else list(range(len(shape)))
    return math.prod(shape[i] for i in order[:order.index(axis)])


def _as_matrix(x: Array, axis: int, channels_last: bool) -> Array:
    """A view with rows of what lies in memory from `axis` on."""
    rows = rows_before(x.shape, axis, channels_last)
    return (channels_to_end(x) if channels_last else x).reshape(rows, x.size // max(1, rows))


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
