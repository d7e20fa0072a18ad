"""Where branches meet: sums and products of arrays of one shape, concatenation.

Products and concatenations are left to NumPy.
"""

from collections.abc import Sequence
from functools import reduce
from typing import Any

import numpy as np

from ..errors import ArgumentError, ShapeError
from ._arrays import Array, common, empty_maps, is_channels_last, kernel, maps_like


def _alike(operation: str, arrays: Sequence[Any]) -> list[Array]:
    """The arrays, ready for a kernel, of the first one's shape and layout."""
    if not arrays:
        raise ArgumentError(f"{operation}: no arrays given")
    names = [f"x{i}" for i in range(len(arrays))]
    first, *others = common(operation, dict.fromkeys(names, is_channels_last),
                            **dict(zip(names, arrays, strict=True)))
    shapes = [a.shape for a in (first, *others)]
    if len(set(shapes)) != 1:
        raise ShapeError(f"{operation}: shapes differ: {', '.join(map(str, shapes))}")
    return [first, *(maps_like(operation, name, a, first, "x0")
                     for name, a in zip(names[1:], others, strict=True))]


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


def concat(arrays: Sequence[Any], axis: int = 1) -> Array:
    """Join arrays along `axis` (channels unless told); their other sizes must agree.

    >>> concat([np.zeros((1, 1)), np.ones((1, 2))])
    array([[0., 1., 1.]])
    """
    if not arrays:
        raise ArgumentError("concat: no arrays given")
    ready = common("concat", **{f"x{i}": a for i, a in enumerate(arrays)})
    try:
        return np.concatenate(ready, axis)
    except ValueError:
        raise ShapeError(f"concat: along axis {axis}, shapes do not fit: "
                         f"{', '.join(str(a.shape) for a in ready)}") from None
