"""The layers, with everything of `functions`, and `im2col` and `col2im`."""

from typing import Any

from ...engine.activation import Relu, Sigmoid
from ...engine.batchnorm import BatchNormalization
from ...engine.convolution import Convolution
from ...engine.dense import Affine
from ...engine.dropout import Dropout
from ...engine.pooling import Pooling as _Pooling
from ...engine.softmax_loss import SoftmaxLoss
from . import functions
from .functions import *  # noqa: F403
from .util import col2im, im2col

__all__ = [
    *functions.__all__, "Affine", "BatchNormalization", "Convolution", "Dropout", "Pooling",
    "Relu", "Sigmoid", "SoftmaxWithLoss", "col2im", "im2col",
]


class SoftmaxWithLoss(SoftmaxLoss):
    """Softmax and cross-entropy; keeps ``loss``, ``y`` and the targets ``t``."""

    _targets = "t"

    def forward(self, x: Any, t: Any) -> Any:
        """The loss of scores `x` (N, C) and targets, indices or one-hot."""
        return self._forward(functions.softmax(x), t)


class Pooling(_Pooling):
    __doc__ = _Pooling.__doc__

    def __init__(self, pool_h: int, pool_w: int, stride: int = 2, pad: int = 0) -> None:
        super().__init__(pool_h, pool_w, stride, pad)
