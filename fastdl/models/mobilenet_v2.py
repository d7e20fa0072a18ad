"""MobileNetV2: depthwise convolutions between thin residual connections.

Sandler et al., 2018 (arXiv 1801.04381). New were inverted residuals, whose blocks are wide inside
and thin outside, and linear bottlenecks: no ReLU after the last convolution of a block, where it
would lose too much of few channels. Depthwise convolutions, one filter for each channel, make the
wide inside cheap. ReLU stops at 6, which fits numbers of few bits.
"""

from ..graph import Node
from ..layers import BatchNorm2d, Conv2d, Dropout, GlobalAvgPool2d, Layer, Linear, ReLU6, flatten
from ..module import Module, Sequential
from ._registry import register

# Expansion, channels, blocks, stride of the first block.
STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1),
          (6, 160, 3, 2), (6, 320, 1, 1))


def _conv(in_channels: int, channels: int, kernel_size: int, stride: int = 1,
          groups: int = 1) -> Conv2d:
    """A convolution before batch norm, which has a bias of its own."""
    return Conv2d(in_channels, channels, kernel_size, stride, padding=kernel_size // 2,
                  groups=groups, bias=False, weight_init="he")


def _activated(conv: Conv2d) -> Sequential:
    return Sequential(conv, BatchNorm2d(conv.out_channels), ReLU6())


class InvertedResidual(Module):
    """1×1 to more channels, depthwise 3×3, 1×1 to fewer; the input is added where it fits.

    Parameters
    ----------
    in_channels, channels : that come in and go out
    stride : of the depthwise convolution
    expansion : how many times more channels are inside; with 1 there is no first convolution
    """

    def __init__(self, in_channels: int, channels: int, stride: int, expansion: int) -> None:
        inside = in_channels * expansion
        parts: list[Module | Layer] = []
        if expansion != 1:
            parts.append(_activated(_conv(in_channels, inside, 1)))
        self.conv = Sequential(
            *parts, _activated(_conv(inside, inside, 3, stride, groups=inside)),
            _conv(inside, channels, 1), BatchNorm2d(channels))
        self.residual = stride == 1 and in_channels == channels

    def connect(self, x: Node) -> Node:
        return x + self.conv(x) if self.residual else self.conv(x)


class MobileNetV2(Module):
    """Seventeen inverted residuals between two convolutions; a mean over each map, a dense layer.

    Names and sizes are torchvision's.

    Parameters
    ----------
    num_classes, in_channels : the task
    dropout : probability
    """

    def __init__(self, num_classes: int = 1000, in_channels: int = 3,
                 dropout: float = 0.2) -> None:
        parts: list[Module] = [_activated(_conv(in_channels, 32, 3, stride=2))]
        before = 32
        for expansion, channels, blocks, stride in STAGES:
            for i in range(blocks):
                parts.append(InvertedResidual(before, channels, 1 if i else stride, expansion))
                before = channels
        self.features = Sequential(*parts, _activated(_conv(before, 1280, 1)))
        self.avgpool = GlobalAvgPool2d()
        self.classifier = Sequential(Dropout(dropout), Linear(1280, num_classes))

    def connect(self, x: Node) -> Node:
        return self.classifier(flatten(self.avgpool(self.features(x))))


@register
def mobilenet_v2(num_classes: int = 1000, in_channels: int = 3,
                 image_size: int = 224) -> MobileNetV2:
    """Build `MobileNetV2`: 3,504,872 parameters for 1000 classes.

    Parameters
    ----------
    num_classes : scores that come out
    in_channels, image_size : of the square images that go in; any size will do

    >>> sum(w.size for w in mobilenet_v2().params.values())
    3504872
    """
    return MobileNetV2(num_classes, in_channels)
