"""Wide ResNet: fewer layers, more channels.

Zagoruyko & Komodakis, 2016 (arXiv 1605.07146), table 1 and figure 1 (d). New was the finding that
width does more than depth: 16 layers, ten times as wide, are as accurate as a thousand thin ones,
and many times faster to train. Dropout may stand between a block's convolutions. The wide networks
for ImageNet are in `resnet`.

| network (tables 3 and 4, images of 32 × 32) | parameters | GFLOP |
| --- | --- | --- |
| wrn_16_8 | 10,961,370 (11.0 M) | 3.1 |
| wrn_28_10 | 36,479,194 (36.5 M) | 10.5 |
| wrn_40_4 | 8,949,210 (8.9 M) | 2.6 |
"""

from typing import Any

from ..graph import Node
from ..layers import BatchNorm2d, Dropout, relu
from ..module import Module
from ._parts import conv
from ._registry import register
from .resnet_cifar import SmallResNet, blocks_of


class WideBlock(Module):
    """Batch norm, ReLU and a 3×3 convolution, twice, with dropout between them.

    Parameters
    ----------
    in_channels, channels : that come in and go out
    stride : of the first convolution
    dropout : probability
    """

    def __init__(self, in_channels: int, channels: int, stride: int = 1,
                 dropout: float = 0.0) -> None:
        self.bn1 = BatchNorm2d(in_channels)
        self.conv1 = conv(in_channels, channels, 3, stride)
        self.bn2 = BatchNorm2d(channels)
        self.dropout = Dropout(dropout) if dropout else None
        self.conv2 = conv(channels, channels, 3)
        same = stride == 1 and in_channels == channels
        self.shortcut = None if same else conv(in_channels, channels, 1, stride)

    def connect(self, x: Node) -> Node:
        y = relu(self.bn1(x))
        shortcut = self.shortcut(y) if self.shortcut else x
        y = relu(self.bn2(self.conv1(y)))
        return self.conv2(self.dropout(y) if self.dropout else y) + shortcut


def wide_resnet(depth: int, times: int, num_classes: int = 10, *, dropout: float = 0.0,
                **options: Any) -> SmallResNet:
    """Build the `SmallResNet` of 6 n + 4 layers, so many times as wide as usual.

    >>> sum(w.size for w in wide_resnet(16, 1).params.values())
    175066
    """
    return SmallResNet(
        lambda before, after, stride, i: WideBlock(before, after, stride, dropout),
        blocks_of(depth, 2, 4), [width * times for width in (16, 32, 64)], num_classes,
        preactivated=True, **options)


@register
def wrn_16_8(num_classes: int = 10, **options: Any) -> SmallResNet:
    """Build the Wide ResNet of 16 layers, 8 times as wide."""
    return wide_resnet(16, 8, num_classes, **options)


@register
def wrn_28_10(num_classes: int = 10, **options: Any) -> SmallResNet:
    """Build the Wide ResNet of 28 layers, 10 times as wide."""
    return wide_resnet(28, 10, num_classes, **options)


@register
def wrn_40_4(num_classes: int = 10, **options: Any) -> SmallResNet:
    """Build the Wide ResNet of 40 layers, 4 times as wide."""
    return wide_resnet(40, 4, num_classes, **options)
