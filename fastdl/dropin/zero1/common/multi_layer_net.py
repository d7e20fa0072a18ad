"""A fully connected network."""

import os
import sys
from collections import OrderedDict
from typing import Any

from ...engine.networks import MultiLayer as _MultiLayer
from ...engine.networks import accuracy as _accuracy
from . import layers as _layers
from .gradient import numerical_gradient
from .layers import *  # noqa: F403

__all__ = [*_layers.__all__, "MultiLayerNet", "OrderedDict", "numerical_gradient", "os", "sys"]


class MultiLayerNet(_MultiLayer):
    """Dense layers with an activation each.

    Parameters
    ----------
    input_size, output_size : int
    hidden_size_list : list of int
    activation : "relu" or "sigmoid"
    weight_init_std : float or str
        Deviation of the initial weights; "relu" or "he" for He's, "sigmoid" or "xavier" for
        Glorot's.
    weight_decay_lambda : float
        Of an L2 penalty on all weights.
    """

    def __init__(self, input_size: int, hidden_size_list: list[int], output_size: int,
                 activation: str = "relu", weight_init_std: Any = "relu",
                 weight_decay_lambda: float = 0) -> None:
        super().__init__(_layers.SoftmaxWithLoss(), input_size, hidden_size_list, output_size,
                         activation, weight_init_std, weight_decay_lambda)

    def predict(self, x: Any) -> Any:
        """Scores (N, output_size)."""
        return self._predict(x, False)

    def loss(self, x: Any, t: Any) -> Any:
        """The loss of a batch."""
        return self._loss(self.predict(x), t)

    def accuracy(self, x: Any, t: Any) -> Any:
        """The part that is classified as `t` says."""
        return _accuracy(self.predict(x), t)

    def numerical_gradient(self, x: Any, t: Any) -> dict[str, Any]:
        """Gradients of all parameters, by differences."""
        return {f"{name}{i}": numerical_gradient(lambda _: self.loss(x, t),
                                                 self.params[f"{name}{i}"])
                for i in self._numbers for name in "Wb"}

    def gradient(self, x: Any, t: Any) -> dict[str, Any]:
        """Gradients of all parameters, by backpropagation."""
        self.loss(x, t)
        return self._gradients()
