"""Dropout."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from .. import ops
from ..ops._arrays import fraction
from ..random import draw_seed
from .layer import Layer


class Dropout(Layer):
    """In training, set elements to 0 with probability `p` and divide the others by ``1 - p``.

    Each call draws a seed from `fastdl.random`; the mask follows from it (Srivastava et al., 2014).

    Parameters
    ----------
    p : probability of an element to be dropped, from 0 to 1

    >>> Dropout(0.5).eval().forward(np.ones(3))
    array([1., 1., 1.])
    """

    def __init__(self, p: float = 0.5) -> None:
        self.p = fraction("Dropout", "p", p, below_one=False)

    def apply(self, inputs: tuple[np.ndarray, ...], params: Mapping[str, np.ndarray],
              training: bool) -> tuple[np.ndarray, Any]:
        (x,) = inputs
        if not training or self.p == 0:
            return x, None
        seed = draw_seed()
        return ops.dropout(x, self.p, seed=seed), seed

    def grad(self, dy: np.ndarray, saved: Any) -> Any:
        return (dy if saved is None else ops.dropout_backward(dy, self.p, seed=saved),), {}

    def extra_repr(self) -> str:
        return f"p={self.p}"
