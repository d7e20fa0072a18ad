"""MobileNetV2: depthwise convolutions between thin residual connections.

Sandler et al., 2018 (arXiv 1801.04381), figure 3 and table 2. New were inverted residuals, whose
blocks are wide inside and thin outside, and linear bottlenecks: no ReLU after the last convolution
of a block, where it would lose too much of few channels. Depthwise convolutions, one filter for
each channel, make the wide inside cheap. ReLU stops at 6, which fits numbers of few bits.

3,504,872 parameters, 0.60 GFLOP for an image of 224 × 224.
"""

from typing import Any

from ..graph import Node
from ..layers import BatchNorm2d, Dropout, GlobalAvgPool2d, Layer, Linear, ReLU6, flatten
from ..module import Module, Sequential
from ._parts import ConvNorm, conv, make_divisible
from ._registry import register

# Expansion, channels, blocks, stride of the first block: table 2.
STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1),
          (6, 160, 3, 2), (6, 320, 1, 1))


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
            parts.append(ConvNorm(in_channels, inside, 1, activation=ReLU6))
        self.conv = Sequential(
            *parts, ConvNorm(inside, inside, 3, stride, groups=inside, activation=ReLU6),
            conv(inside, channels, 1), BatchNorm2d(channels))
        self.residual = stride == 1 and in_channels == channels

    def connect(self, x: Node) -> Node:
        return x + self.conv(x) if self.residual else self.conv(x)


class MobileNetV2(Module):
    """Seventeen inverted residuals between two convolutions; a mean over each map, a dense layer.

    Names and sizes are torchvision's.

    Parameters
    ----------
    num_classes, in_channels : the task
    image_size : any will do
    width_mult : how much wider than the paper's
    dropout : probability
    """

    def __init__(self, num_classes: int = 1000, in_channels: int = 3, image_size: int = 224, *,
                 width_mult: float = 1.0, dropout: float = 0.2) -> None:
        before = make_divisible(32 * width_mult)
        last = make_divisible(1280 * max(1.0, width_mult))
        parts: list[Module] = [ConvNorm(in_channels, before, 3, 2, activation=ReLU6)]
        for expansion, width, blocks, stride in STAGES:
            channels = make_divisible(width * width_mult)
            for i in range(blocks):
                parts.append(InvertedResidual(before, channels, 1 if i else stride, expansion))
                before = channels
        self.features = Sequential(*parts, ConvNorm(before, last, 1, activation=ReLU6))
        self.avgpool = GlobalAvgPool2d()
        self.classifier = Sequential(Dropout(dropout), Linear(last, num_classes))

    def connect(self, x: Node) -> Node:
        return self.classifier(flatten(self.avgpool(self.features(x))))


@register
def mobilenet_v2(num_classes: int = 1000, **options: Any) -> MobileNetV2:
    """Build `MobileNetV2`.

    >>> sum(w.size for w in mobilenet_v2().params.values())
    3504872
    """
    return MobileNetV2(num_classes, **options)
