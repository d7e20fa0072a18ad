"""Dropout, and its gradient."""

from typing import Any

import numpy as np

from ..errors import ArgumentError
from ._arrays import Array, fraction, kernel, real


def dropout(x: Any, p: float = 0.5, *, seed: int, backend: str | None = None) -> Array:
    """Set elements to 0 with probability `p` and divide the others by ``1 - p``.

    Which elements is a function of `seed` (0 … 2**64 - 1) and their position alone, on every
    backend and any number of threads (Srivastava et al., 2014; generator: Philox4x32-10).

    >>> dropout(np.ones(4), 0.5, seed=0)
    array([0., 2., 2., 2.])
    """
    return _drop("dropout", "x", x, p, seed, backend)


def dropout_backward(dy: Any, p: float = 0.5, *, seed: int, backend: str | None = None) -> Array:
    """Gradient of `dropout`: the same elements of `dy` are dropped."""
    return _drop("dropout_backward", "dy", dy, p, seed, backend)


def _drop(operation: str, name: str, x: Any, p: float, seed: int, backend: str | None) -> Array:
    x = real(operation, name, x)
    p = fraction(operation, "p", p, below_one=False)
    if not isinstance(seed, int | np.integer) or not 0 <= seed < 2**64:
        raise ArgumentError(f"{operation}: seed must be an integer in [0, 2**64), got {seed!r}")
    if p == 1:
        return np.zeros(x.shape, x.dtype)
    y = np.empty(x.shape, x.dtype)
    kernel("dropout", x, backend)(x, y, p, int(seed))
    return y
