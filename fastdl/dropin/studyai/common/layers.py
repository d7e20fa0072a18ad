"""The layers."""

from collections import OrderedDict
from typing import Any

import numpy as np

from ...engine.activation import Relu, Sigmoid
from ...engine.batchnorm import BatchNormalization
from ...engine.convolution import Convolution
from ...engine.dense import Affine
from ...engine.dropout import Dropout
from ...engine.pooling import Pooling as _Pooling
from ...engine.softmax_loss import SoftmaxLoss
from . import functions

__all__ = [
    "Affine", "BatchNormalization", "Convolution", "Dropout", "OrderedDict", "Pooling", "Relu",
    "Sigmoid", "SoftmaxWithLoss", "functions", "np",
]


class SoftmaxWithLoss(SoftmaxLoss):
    """Softmax and cross-entropy; keeps ``loss``, ``y`` and the targets ``d``."""

    _targets = "d"

    def forward(self, x: Any, d: Any) -> Any:
        """The loss of scores `x` (N, C) and targets, indices or one-hot."""
        return self._forward(functions.softmax(x), d)


class Pooling(_Pooling):
    __doc__ = _Pooling.__doc__

    def __init__(self, pool_h: int, pool_w: int, stride: int = 1, pad: int = 0) -> None:
        super().__init__(pool_h, pool_w, stride, pad)
