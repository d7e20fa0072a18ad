"""Layers that change shapes only."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..errors import ShapeError
from .layer import Layer


class Flatten(Layer):
    """Everything but the batch in one dimension: (N, ...) to (N, features).

    >>> Flatten().forward(np.zeros((2, 3, 4, 4))).shape
    (2, 48)
    """

    def apply(self, inputs: tuple[np.ndarray, ...], params: Mapping[str, np.ndarray],
              training: bool) -> tuple[np.ndarray, Any]:
        x = np.asarray(inputs[0])
        if x.ndim < 1:
            raise ShapeError("Flatten: x has no batch dimension")
        return x.reshape(len(x), math.prod(x.shape[1:])), x.shape

    def grad(self, dy: np.ndarray, saved: Any) -> Any:
        return (dy.reshape(saved),), {}


def flatten(x: Any) -> Any:
    """`Flatten` of a node or an array."""
    return Flatten()(x)
