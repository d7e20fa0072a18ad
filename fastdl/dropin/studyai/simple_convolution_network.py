"""A network with one convolution."""

from collections import OrderedDict
from typing import Any

import numpy as np

from ..engine.conv_networks import ConvParam as _ConvParam
from ..engine.conv_networks import ShallowConvNetwork as _ShallowConvNetwork
from .common import layers

__all__ = ["OrderedDict", "SimpleConvNet", "layers", "np"]


class SimpleConvNet(_ShallowConvNetwork):
    """conv - relu - pool - affine - relu - affine - softmax.

    Parameters
    ----------
    input_dim : (C, H, W)
        Of square images.
    conv_param : dict
        filter_num, filter_size, pad, stride.
    hidden_size, output_size : int
    weight_init_std : float

    Attributes
    ----------
    layers : OrderedDict
        Conv1, Relu1, Pool1, Affine1, Relu2, Affine2.
    """

    def __init__(self, input_dim: tuple[int, int, int] = (1, 28, 28),
                 conv_param: _ConvParam = {            # noqa: B006
                     "filter_num": 30, "filter_size": 5, "pad": 0, "stride": 1},
                 hidden_size: int = 100, output_size: int = 10,
                 weight_init_std: float = 0.01) -> None:
        super().__init__(layers.SoftmaxWithLoss(), layers.Pooling, input_dim, [conv_param],
                         hidden_size, output_size, weight_init_std)

    def predict(self, x: Any) -> Any:       # type: ignore[override]
        """Scores (N, output_size)."""
        return super().predict(x)

    def loss(self, x: Any, d: Any) -> Any:
        """The loss of a batch."""
        return self.last_layer.forward(self.predict(x), d)
