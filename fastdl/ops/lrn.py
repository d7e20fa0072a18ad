"""Local response normalisation and its gradient."""

import math
from typing import Any

import numpy as np

from ..errors import ArgumentError, ShapeError
from ._arrays import Array, empty, expect_shape, kernel, real, real_like


def _checked(operation: str, x: Any, size: int) -> tuple[Array, tuple[int, int, int]]:
    """`x`, and the shape (N, C, L) in which its kernel sees it."""
    x = real(operation, "x", x)
    if x.ndim < 3:
        raise ShapeError(f"{operation}: x must be (N, C, ...), got {x.shape}")
    if not isinstance(size, int | np.integer) or size < 1:
        raise ArgumentError(f"{operation}: size must be an integer of at least 1, got {size!r}")
    return x, (x.shape[0], x.shape[1], math.prod(x.shape[2:]))


def local_response_norm(x: Any, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0,
                        *, return_base: bool = False, backend: str | None = None) -> Any:
    """Divide each value by ``base ** beta``, its neighbours' strength (Krizhevsky et al., 2012).

    ``base = k + alpha / size * sum(x ** 2)`` over `size` neighbouring channels at its place. (The
    paper's alpha is not divided by size.)

    Parameters
    ----------
    x : (N, C, ...)
    size : how many channels, ``size // 2`` of them before
    return_base : also return ``base``, which `local_response_norm_backward` needs

    Returns
    -------
    y of x's shape, or (y, base)

    Raises
    ------
    ShapeError, DTypeError, ArgumentError

    >>> local_response_norm(np.array([[[1.0], [2.0]]]), 3, alpha=3.0, beta=1.0, k=0.0).ravel()
    array([0.2, 0.4])
    """
    x, seen = _checked("local_response_norm", x, size)
    y = empty(x.shape, x.dtype)
    base = empty(x.shape, x.dtype) if return_base else None
    kernel("local_response_norm", x, backend)(
        x.reshape(seen), y.reshape(seen), None if base is None else base.reshape(seen), size,
        float(alpha), float(beta), float(k))
    return y if base is None else (y, base)


def local_response_norm_backward(dy: Any, x: Any, base: Any, size: int, alpha: float = 1e-4,
                                 beta: float = 0.75, *, backend: str | None = None) -> Array:
    """Gradient of `local_response_norm` from its input and what it returned as ``base``."""
    name = "local_response_norm_backward"
    x, seen = _checked(name, x, size)
    others = []
    for what, array in (("dy", dy), ("base", base)):
        array = real_like(name, what, array, x, "x")
        expect_shape(name, what, array, x.shape, "the shape of x")
        others.append(array.reshape(seen))
    dx = empty(x.shape, x.dtype)
    kernel(name, x, backend)(others[0], x.reshape(seen), others[1], dx.reshape(seen), size,
                             float(alpha), float(beta))
    return dx
