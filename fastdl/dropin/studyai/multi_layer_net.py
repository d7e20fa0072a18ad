"""A fully connected network with weight decay, dropout and batch normalisation."""

import os
import sys
from collections import OrderedDict
from typing import Any

import numpy as np

from ..engine.networks import MultiLayer as _MultiLayer
from ..engine.networks import accuracy as _accuracy
from .common import layers

__all__ = ["MultiLayerNet", "OrderedDict", "layers", "np", "os", "sys"]


class MultiLayerNet(_MultiLayer):
    """Dense layers with an activation each, and batch norm and dropout where they are asked for.

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
    use_dropout, dropout_ratio
        Dropout behind each activation, and how much it drops.
    use_batchnorm : bool
        Batch normalisation before each activation.
    """

    def __init__(self, input_size: int, hidden_size_list: list[int], output_size: int,
                 activation: str = "relu", weight_init_std: Any = "relu",
                 weight_decay_lambda: float = 0, use_dropout: bool = False,
                 dropout_ratio: float = 0.5, use_batchnorm: bool = False) -> None:
        super().__init__(layers.SoftmaxWithLoss(), input_size, hidden_size_list, output_size,
                         activation, weight_init_std, weight_decay_lambda, use_dropout,
                         dropout_ratio, use_batchnorm)

    def predict(self, x: Any, train_flg: bool = False) -> Any:
        """Scores (N, output_size)."""
        return self._predict(x, train_flg)

    def loss(self, x: Any, d: Any, train_flg: bool = False) -> Any:
        """The loss of a batch."""
        return self._loss(self.predict(x, train_flg), d)

    def accuracy(self, X: Any, D: Any) -> Any:
        """The part that is classified as `D` says."""
        return _accuracy(self.predict(X, train_flg=False), D)

    def gradient(self, x: Any, d: Any) -> dict[str, Any]:
        """Gradients of all parameters, by backpropagation."""
        self.loss(x, d, train_flg=True)
        return self._gradients()
