"""The dense layer."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from .. import initializers, ops
from .layer import positive
from .weighted import WeightedLayer


class Linear(WeightedLayer):
    """Dense layer, ``y = x @ weight.T + bias``.

    Parameters
    ----------
    in_features, out_features : int
    bias : bool
    weight_init : name, number (standard deviation) or function; PyTorch's default unless given

    Attributes
    ----------
    weight : (out_features, in_features)
    bias : (out_features,)

    >>> layer = Linear(3, 2)
    >>> layer.forward(np.zeros((5, 3), np.float32)).shape
    (5, 2)
    """

    def __init__(self, in_features: int, out_features: int, bias: bool = True, *,
                 weight_init: str | float | initializers.Initializer = "fan_in_uniform") -> None:
        positive("Linear", in_features=in_features, out_features=out_features)
        self.in_features, self.out_features = in_features, out_features
        self.add_weights((out_features, in_features), bias, weight_init)

    def apply(self, inputs: tuple[np.ndarray, ...], params: Mapping[str, np.ndarray],
              training: bool) -> tuple[np.ndarray, Any]:
        (x,) = inputs
        return ops.linear(x, params["weight"], params.get("bias")), (x, params)

    def gradients(self, dy: np.ndarray, x: np.ndarray, weight: np.ndarray, *, bias: bool,
                  need_dx: bool) -> Any:
        return ops.linear_backward(dy, x, weight, bias=bias, need_dx=need_dx)

    def extra_repr(self) -> str:
        bias = "" if "bias" in self.params else ", bias=False"
        return f"{self.in_features}, {self.out_features}{bias}"
