"""Feature maps from one memory layout to the other."""

from typing import Any

import numpy as np  # noqa: F401  (of the examples)

from ..errors import ShapeError
from ._arrays import Array, channels_to_front, empty, is_channels_last, kernel, maps


def _maps(operation: str, x: Any) -> Array:
    x = maps(operation, "x", x)
    if x.ndim not in (3, 4):
        raise ShapeError(f"{operation}: x must be (N, C, L) or (N, C, H, W), got {x.shape}")
    return x


def to_channels_last(x: Any, *, backend: str | None = None) -> Array:
    """`x` (N, C, H, W) or (N, C, L) with its channels last in memory.

    The shape stays; (N, H, W, C) is the order in memory. Maps that lie so are returned as they are,
    and so are those of one channel, which lie both ways.

    >>> to_channels_last(np.zeros((1, 2, 3, 3))).transpose(0, 2, 3, 1).flags.c_contiguous
    True
    """
    x = _maps("to_channels_last", x)
    if is_channels_last(x) or x.shape[1] == 1:
        return x
    y = channels_to_front(empty((x.shape[0], *x.shape[2:], x.shape[1]), x.dtype))
    kernel("copy_maps", x, backend)(x, y)
    return y


def to_planes(x: Any, *, backend: str | None = None) -> Array:
    """`x` (N, C, H, W) or (N, C, L) with its maps one after another in memory, as its shape says.

    Maps that lie so are returned as they are.

    >>> to_planes(to_channels_last(np.zeros((1, 2, 3, 3)))).flags.c_contiguous
    True
    """
    x = _maps("to_planes", x)
    if not is_channels_last(x):
        return x
    y = empty(x.shape, x.dtype)
    kernel("copy_maps", x, backend)(x, y)
    return y
