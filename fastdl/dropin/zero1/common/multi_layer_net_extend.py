"""A fully connected network with weight decay, dropout and batch normalisation."""

import os
import sys
from collections import OrderedDict
from typing import Any

from ...engine.networks import MultiLayer as _MultiLayer
from ...engine.networks import accuracy as _accuracy
from . import layers as _layers
from .gradient import numerical_gradient
from .layers import *  # noqa: F403

__all__ = [*_layers.__all__, "MultiLayerNetExtend", "OrderedDict", "numerical_gradient", "os",
           "sys"]


class MultiLayerNetExtend(_MultiLayer):
    """Dense layers with an activation each, and batch norm and dropout where they are asked for.

    Parameters
    ----------
    input_size, hidden_size_list, output_size, activation, weight_init_std, weight_decay_lambda
        As of `MultiLayerNet`.
    use_dropout, dropout_ration
        Dropout behind each activation, and how much it drops.
    use_batchnorm : bool
        Batch normalisation before each activation.
    """

    def __init__(self, input_size: int, hidden_size_list: list[int], output_size: int,
                 activation: str = "relu", weight_init_std: Any = "relu",
                 weight_decay_lambda: float = 0, use_dropout: bool = False,
                 dropout_ration: float = 0.5, use_batchnorm: bool = False) -> None:
        super().__init__(_layers.SoftmaxWithLoss(), input_size, hidden_size_list, output_size,
                         activation, weight_init_std, weight_decay_lambda, use_dropout,
                         dropout_ration, use_batchnorm)

    def predict(self, x: Any, train_flg: bool = False) -> Any:
        """Scores (N, output_size)."""
        return self._predict(x, train_flg)

    def loss(self, x: Any, t: Any, train_flg: bool = False) -> Any:
        """The loss of a batch."""
        return self._loss(self.predict(x, train_flg), t)

    def accuracy(self, x: Any, t: Any) -> Any:
        """The part that is classified as `t` says."""
        return _accuracy(self.predict(x, train_flg=False), t)

    def numerical_gradient(self, x: Any, t: Any) -> dict[str, Any]:
        """Gradients of all parameters, by differences."""
        names = [f"{name}{i}" for i in self._numbers for name in ("W", "b", "gamma", "beta")]
        return {name: numerical_gradient(lambda _: self.loss(x, t, train_flg=True),
                                         self.params[name])
                for name in names if name in self.params}

    def gradient(self, x: Any, t: Any) -> dict[str, Any]:
        """Gradients of all parameters, by backpropagation."""
        self.loss(x, t, train_flg=True)
        return self._gradients()
