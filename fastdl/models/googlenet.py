"""GoogLeNet: several sizes of filters side by side, and no large dense layer.

Szegedy et al., 2014 (arXiv 1409.4842), figures 2 and 3, table 1. New was the inception module: 1×1,
3×3 and 5×5 filters and a pool read the same maps, and 1×1 convolutions before the larger ones keep
them cheap. Two auxiliary classifiers in the middle bring the gradient to the lower layers; they are
left out of inference.

13,004,888 parameters with them and 6,624,904 without, 3.0 GFLOP for an image of 224 × 224.
"""

from typing import Any

from ..graph import Node, training_only
from ..layers import (
    AdaptiveAvgPool2d,
    Dropout,
    GlobalAvgPool2d,
    Linear,
    MaxPool2d,
    concat,
    flatten,
    relu,
)
from ..module import Module, Sequential
from ._parts import BasicConv2d
from ._registry import register


class Inception(Module):
    """Four branches side by side.

    torchvision has 3×3 filters where the paper has 5×5, and so it is here: its weights fit.

    Parameters
    ----------
    in_channels : that come in
    ch1x1 : filters of the first branch
    ch3x3red, ch3x3 : of the second, 1×1 and then 3×3
    ch5x5red, ch5x5 : of the third, likewise
    pool_proj : of the fourth, after a pool
    """

    def __init__(self, in_channels: int, ch1x1: int, ch3x3red: int, ch3x3: int, ch5x5red: int,
                 ch5x5: int, pool_proj: int) -> None:
        self.branch1 = BasicConv2d(in_channels, ch1x1, 1)
        self.branch2 = Sequential(BasicConv2d(in_channels, ch3x3red, 1),
                                  BasicConv2d(ch3x3red, ch3x3, 3))
        self.branch3 = Sequential(BasicConv2d(in_channels, ch5x5red, 1),
                                  BasicConv2d(ch5x5red, ch5x5, 3))
        self.branch4 = Sequential(MaxPool2d(3, stride=1, padding=1, ceil_mode=True),
                                  BasicConv2d(in_channels, pool_proj, 1))

    def connect(self, x: Node) -> Node:
        return concat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)])


class InceptionAux(Module):
    """An auxiliary classifier: a pool to maps of 4 × 4, a convolution, two dense layers.

    Parameters
    ----------
    in_channels : that come in
    num_classes : scores that come out
    dropout : probability
    """

    def __init__(self, in_channels: int, num_classes: int, dropout: float) -> None:
        self.avgpool = AdaptiveAvgPool2d(4)
        self.conv = BasicConv2d(in_channels, 128, 1)
        self.fc1 = Linear(2048, 1024, weight_init="he")
        self.fc2 = Linear(1024, num_classes, weight_init=0.01)
        self.dropout = Dropout(dropout)

    def connect(self, x: Node) -> Node:
        x = flatten(self.conv(self.avgpool(x)))
        return self.fc2(self.dropout(relu(self.fc1(x))))


class GoogLeNet(Module):
    """Three convolutions, nine inception modules with pools between them, one dense layer.

    Names and sizes are torchvision's, which has batch norm (the paper came before it).

    Parameters
    ----------
    num_classes, in_channels : the task
    image_size : 31 × 31 at least
    aux_logits : have the auxiliary classifiers, whose scores are outputs in training, behind the
        network's own: those of ``aux2``, then those of ``aux1``
    dropout, dropout_aux : probabilities
    """

    def __init__(self, num_classes: int = 1000, in_channels: int = 3, image_size: int = 224, *,
                 aux_logits: bool = True, dropout: float = 0.2, dropout_aux: float = 0.7) -> None:
        self.conv1 = BasicConv2d(in_channels, 64, 7, stride=2)
        self.maxpool1 = MaxPool2d(3, stride=2, ceil_mode=True)
        self.conv2 = BasicConv2d(64, 64, 1)
        self.conv3 = BasicConv2d(64, 192, 3)
        self.maxpool2 = MaxPool2d(3, stride=2, ceil_mode=True)
        self.inception3a = Inception(192, 64, 96, 128, 16, 32, 32)
        self.inception3b = Inception(256, 128, 128, 192, 32, 96, 64)
        self.maxpool3 = MaxPool2d(3, stride=2, ceil_mode=True)
        self.inception4a = Inception(480, 192, 96, 208, 16, 48, 64)
        self.inception4b = Inception(512, 160, 112, 224, 24, 64, 64)
        self.inception4c = Inception(512, 128, 128, 256, 24, 64, 64)
        self.inception4d = Inception(512, 112, 144, 288, 32, 64, 64)
        self.inception4e = Inception(528, 256, 160, 320, 32, 128, 128)
        self.maxpool4 = MaxPool2d(2, stride=2, ceil_mode=True)
        self.inception5a = Inception(832, 256, 160, 320, 32, 128, 128)
        self.inception5b = Inception(832, 384, 192, 384, 48, 128, 128)
        self.aux1 = InceptionAux(512, num_classes, dropout_aux) if aux_logits else None
        self.aux2 = InceptionAux(528, num_classes, dropout_aux) if aux_logits else None
        self.avgpool = GlobalAvgPool2d()
        self.dropout = Dropout(dropout)
        self.fc = Linear(1024, num_classes)

    def connect(self, x: Node) -> Any:
        for part in (self.conv1, self.maxpool1, self.conv2, self.conv3, self.maxpool2,
                     self.inception3a, self.inception3b, self.maxpool3, self.inception4a):
            x = part(x)
        y = self.inception4d(self.inception4c(self.inception4b(x)))
        z = self.maxpool4(self.inception4e(y))
        z = self.avgpool(self.inception5b(self.inception5a(z)))
        z = self.fc(self.dropout(flatten(z)))
        return training_only(z, self.aux2(y), self.aux1(x)) if self.aux1 and self.aux2 else z


@register
def googlenet(num_classes: int = 1000, **options: Any) -> GoogLeNet:
    """Build `GoogLeNet`.

    >>> sum(w.size for w in googlenet(aux_logits=False).params.values())
    6624904
    """
    return GoogLeNet(num_classes, **options)
