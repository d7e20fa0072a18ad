"""Penalties on activities."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..regularizers import L1L2
from .layer import Layer


class ActivityRegularization(Layer):
    """Lets values through unchanged and adds a penalty on them to the loss, as Keras's layer does.

    The penalty is ``(l1 * sum(|x|) + l2 * sum(x ** 2)) / N`` for a batch of N. It acts by its
    gradient, which `grad` adds; the loss that a trainer reports is without it, so that training
    and validation stay comparable. Behind a layer it is Keras's ``activity_regularizer`` of it.

    Parameters
    ----------
    l1, l2 : factors, from 0

    >>> layer = ActivityRegularization(l2=0.5)
    >>> x = np.array([[1.0, -2.0], [0.0, 4.0]])
    >>> layer.forward(x) is x
    True
    >>> layer.backward(np.zeros((2, 2)))
    array([[ 0.5, -1. ],
           [ 0. ,  2. ]])
    >>> layer.penalty(x)
    5.25
    """

    def __init__(self, l1: float = 0.0, l2: float = 0.0) -> None:
        self.regularizer = L1L2(l1, l2)

    def penalty(self, x: np.ndarray) -> float:
        """What a batch adds to the loss."""
        return self.regularizer.penalty(x) / max(len(x), 1)

    def apply(self, inputs: tuple[np.ndarray, ...], params: Mapping[str, np.ndarray],
              training: bool) -> tuple[np.ndarray, Any]:
        (x,) = inputs
        return x, x

    def grad(self, dy: np.ndarray, saved: Any) -> Any:
        dx = self.regularizer.gradient(saved)
        dx /= max(len(saved), 1)
        dx += dy
        return (dx,), {}

    def extra_repr(self) -> str:
        return f"l1={self.regularizer.l1:g}, l2={self.regularizer.l2:g}"
