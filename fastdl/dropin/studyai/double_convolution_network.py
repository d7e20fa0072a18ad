"""A network with two convolutions."""

from collections import OrderedDict
from typing import Any

import numpy as np

from ..engine.conv_networks import ConvParam as _ConvParam
from ..engine.conv_networks import ShallowConvNetwork as _ShallowConvNetwork
from .common import layers

__all__ = ["DoubleConvNet", "OrderedDict", "layers", "np"]


class DoubleConvNet(_ShallowConvNetwork):
    """conv - relu - conv - relu - pool - affine - relu - affine - softmax.

    Parameters
    ----------
    input_dim : (C, H, W)
        Of square images.
    conv_param_1, conv_param_2 : dict
        filter_num, filter_size, pad, stride.
    hidden_size, output_size : int
    weight_init_std : float

    Attributes
    ----------
    layers : OrderedDict
        Conv1, Relu1, Conv2, Relu2, Pool1, Affine1, Relu3, Affine2.
    """

    def __init__(self, input_dim: tuple[int, int, int] = (1, 28, 28),
                 conv_param_1: _ConvParam = {          # noqa: B006
                     "filter_num": 10, "filter_size": 7, "pad": 1, "stride": 1},
                 conv_param_2: _ConvParam = {          # noqa: B006
                     "filter_num": 20, "filter_size": 3, "pad": 1, "stride": 1},
                 hidden_size: int = 50, output_size: int = 10,
                 weight_init_std: float = 0.01) -> None:
        super().__init__(layers.SoftmaxWithLoss(), layers.Pooling, input_dim,
                         [conv_param_1, conv_param_2], hidden_size, output_size, weight_init_std)

    def predict(self, x: Any) -> Any:       # type: ignore[override]
        """Scores (N, output_size)."""
        return super().predict(x)

    def loss(self, x: Any, d: Any) -> Any:
        """The loss of a batch."""
        return self.last_layer.forward(self.predict(x), d)
