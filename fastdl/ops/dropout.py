"""Dropout, and its gradient."""

from typing import Any

import numpy as np

from ..errors import ArgumentError
from ._arrays import (
    Array,
    channels_to_end,
    channels_to_front,
    empty_maps,
    fraction,
    is_channels_last,
    kernel,
    maps,
)


def dropout(x: Any, p: float = 0.5, *, seed: int, backend: str | None = None) -> Array:
    """Set elements to 0 with probability `p` and divide the others by ``1 - p``.

    Which elements is a function of `seed` (0 … 2**64 - 1) and their index alone, on every backend,
    any number of threads and in any memory layout (Srivastava et al., 2014; generator:
    Philox4x32-10). Channels-last maps (N, C, ...) give a result that is channels-last.

    >>> dropout(np.ones(4), 0.5, seed=0)
    array([0., 2., 2., 2.])
    """
    return _drop("dropout", "x", x, p, seed, backend)


def dropout_backward(dy: Any, p: float = 0.5, *, seed: int, backend: str | None = None) -> Array:
    """Gradient of `dropout`: the same elements of `dy` are dropped."""
    return _drop("dropout_backward", "dy", dy, p, seed, backend)


def _drop(operation: str, name: str, x: Any, p: float, seed: int, backend: str | None) -> Array:
    x = maps(operation, name, x)
    p = fraction(operation, "p", p, below_one=False)
    if not isinstance(seed, int | np.integer) or not 0 <= seed < 2**64:
        raise ArgumentError(f"{operation}: seed must be an integer in [0, 2**64), got {seed!r}")
    y = empty_maps(x.shape, x)
    if p == 1:
        y[...] = 0
    else:
        kernel("dropout", x, backend)(*_flat(x, y), p, int(seed))
    return y


def _flat(*arrays: Array) -> tuple[Array, ...]:
    """Channels-last maps (N, C, ...) as (N, C, 1, L); others as they are."""
    if not is_channels_last(arrays[0]):
        return arrays
    N, C = arrays[0].shape[:2]
    return tuple(channels_to_front(channels_to_end(a).reshape(N, 1, -1, C)) for a in arrays)
