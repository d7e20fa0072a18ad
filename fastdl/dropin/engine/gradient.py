"""Numerical gradients: the central difference of every element, changed in place."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

STEP = 1e-4


def _differences(f: Callable[[Any], Any], x: np.ndarray, places: Iterable[Any]) -> np.ndarray:
    """``(f(x + h) - f(x - h)) / 2h`` for each of these elements of `x`, zero elsewhere."""
    grad = np.zeros_like(x)
    for place in places:
        before = x[place]
        x[place] = before + STEP
        above = f(x)
        x[place] = before - STEP
        below = f(x)
        grad[place] = (above - below) / (2 * STEP)
        x[place] = before
    return grad


def over_all(f: Callable[[Any], Any], x: np.ndarray) -> np.ndarray:
    """For an array of any shape, element by element in its order."""
    return _differences(f, x, np.ndindex(x.shape))


def over_first_axis(f: Callable[[Any], Any], x: np.ndarray) -> np.ndarray:
    """For a vector; of anything else it takes ``x[0]``, ``x[1]``, …, as often as x has elements."""
    return _differences(f, x, range(x.size))


def over_rows(f: Callable[[Any], Any], X: np.ndarray) -> np.ndarray:
    """For a vector, or for a matrix whose rows are each an argument of `f`."""
    if X.ndim == 1:
        return over_first_axis(f, X)
    grad = np.zeros_like(X)
    for i, row in enumerate(X):
        grad[i] = over_first_axis(f, row)
    return grad
