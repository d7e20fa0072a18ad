"""Where branches meet: sums and products of arrays of one shape, concatenation.

NumPy does these at memory bandwidth, so there is no kernel to choose.
"""

from collections.abc import Sequence
from functools import reduce
from typing import Any

import numpy as np

from ..errors import ArgumentError, ShapeError
from ._arrays import Array, common


def _alike(operation: str, arrays: Sequence[Any]) -> list[Array]:
    if not arrays:
        raise ArgumentError(f"{operation}: no arrays given")
    ready = common(operation, **{f"x{i}": a for i, a in enumerate(arrays)})
    if len({a.shape for a in ready}) != 1:
        raise ShapeError(f"{operation}: shapes differ: {', '.join(str(a.shape) for a in ready)}")
    return ready


def add(*arrays: Any) -> Array:
    """Sum of arrays of one shape.

    >>> add(np.ones(2), np.ones(2), np.ones(2))
    array([3., 3.])
    """
    return reduce(np.add, _alike("add", arrays))


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
