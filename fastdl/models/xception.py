"""Xception: inception modules taken to the extreme.

Chollet, 2016 (arXiv 1610.02357), figure 5. New was the reading of an inception module as something
between a convolution and a depthwise one: with one branch for each channel it becomes a separable
convolution, and a network of nothing else, with residual connections, is more accurate than
Inception v3 at the same size.

22,855,952 parameters (table 3), 16.7 GFLOP for an image of 299 × 299.
"""

from typing import Any

from ..graph import Node
from ..layers import BatchNorm2d, GlobalAvgPool2d, Linear, MaxPool2d, flatten, relu
from ..module import Module, Sequential
from ._parts import BasicConv2d, ConvNorm, conv
from ._registry import register


class SeparableConv(Module):
    """A 3×3 filter for each channel, a 1×1 convolution, batch norm.

    Parameters
    ----------
    in_channels, channels : that come in and go out
    """

    def __init__(self, in_channels: int, channels: int) -> None:
        self.depthwise = conv(in_channels, in_channels, 3, groups=in_channels)
        self.pointwise = conv(in_channels, channels, 1)
        self.bn = BatchNorm2d(channels)

    def connect(self, x: Node) -> Node:
        return self.bn(self.pointwise(self.depthwise(x)))


class Block(Module):
    """Separable convolutions, each behind a ReLU, and a residual connection.

    Parameters
    ----------
    in_channels : that come in
    widths : channels behind each convolution
    halve : end in a pool, and have the shortcut halve the maps, too
    first_relu : before the first convolution
    """

    def __init__(self, in_channels: int, widths: tuple[int, ...], halve: bool = True,
                 first_relu: bool = True) -> None:
        befores = (in_channels, *widths)
        self.convs = [SeparableConv(before, after)
                      for before, after in zip(befores, widths, strict=False)]
        self.pool = MaxPool2d(3, stride=2, padding=1) if halve else None
        self.shortcut = (ConvNorm(in_channels, widths[-1], 1, 2, activation=None) if halve
                         else None)
        self.first_relu = first_relu

    def connect(self, x: Node) -> Node:
        y = x
        for i, part in enumerate(self.convs):
            y = part(relu(y) if i or self.first_relu else y)
        if self.pool and self.shortcut:
            return self.pool(y) + self.shortcut(x)
        return y + x


class Xception(Module):
    """Entry, middle and exit flow, a mean over each map, a dense layer.

    Parameters
    ----------
    num_classes, in_channels : the task
    image_size : 7 × 7 at least
    middle : blocks of the middle flow
    """

    def __init__(self, num_classes: int = 1000, in_channels: int = 3, image_size: int = 299, *,
                 middle: int = 8) -> None:
        self.conv1 = BasicConv2d(in_channels, 32, 3, 2, 0)
        self.conv2 = BasicConv2d(32, 64, 3, padding=0)
        self.entry = Sequential(Block(64, (128, 128), first_relu=False), Block(128, (256, 256)),
                                Block(256, (728, 728)))
        self.middle = Sequential(*(Block(728, (728,) * 3, halve=False) for _ in range(middle)))
        self.exit = Block(728, (728, 1024))
        self.conv3 = SeparableConv(1024, 1536)
        self.conv4 = SeparableConv(1536, 2048)
        self.avgpool = GlobalAvgPool2d()
        self.fc = Linear(2048, num_classes)

    def connect(self, x: Node) -> Node:
        x = self.exit(self.middle(self.entry(self.conv2(self.conv1(x)))))
        x = relu(self.conv4(relu(self.conv3(x))))
        return self.fc(flatten(self.avgpool(x)))


@register
def xception(num_classes: int = 1000, **options: Any) -> Xception:
    """Build `Xception`.

    >>> sum(w.size for w in xception().params.values())
    22855952
    """
    return Xception(num_classes, **options)
