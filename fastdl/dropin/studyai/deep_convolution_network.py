"""A network with six convolutions."""

from collections import OrderedDict

import numpy as np

from ..engine.conv_networks import ConvParam as _ConvParam
from ..engine.conv_networks import DeepConvNetwork as _DeepConvNetwork
from .common import layers

__all__ = ["DeepConvNet", "OrderedDict", "layers", "np"]


def _conv_param(filter_num: int, pad: int = 1) -> _ConvParam:
    return {"filter_num": filter_num, "filter_size": 3, "pad": pad, "stride": 1}


class DeepConvNet(_DeepConvNetwork):
    """Three times two convolutions and a pooling, then two dense layers with dropout.

    Parameters
    ----------
    input_dim : (C, H, W)
        Of square images.
    conv_param_1, ..., conv_param_6 : dict
        filter_num, filter_size, pad, stride.
    hidden_size, output_size : int

    Attributes
    ----------
    layers : list
    """

    def __init__(self, input_dim: tuple[int, int, int] = (1, 28, 28),
                 conv_param_1: _ConvParam = _conv_param(16),            # noqa: B008
                 conv_param_2: _ConvParam = _conv_param(16),            # noqa: B008
                 conv_param_3: _ConvParam = _conv_param(32),            # noqa: B008
                 conv_param_4: _ConvParam = _conv_param(32, pad=2),     # noqa: B008
                 conv_param_5: _ConvParam = _conv_param(64),            # noqa: B008
                 conv_param_6: _ConvParam = _conv_param(64),            # noqa: B008
                 hidden_size: int = 50, output_size: int = 10) -> None:
        super().__init__(layers.SoftmaxWithLoss(), layers.Pooling, input_dim,
                         [conv_param_1, conv_param_2, conv_param_3, conv_param_4, conv_param_5,
                          conv_param_6], hidden_size, output_size)
