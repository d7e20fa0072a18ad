"""MobileNet: convolutions taken apart, for telephones.

Howard et al., 2017 (arXiv 1704.04861), table 1 and figure 3. New was that nearly all of a network
is depthwise separable: a 3×3 filter for each channel, then a 1×1 convolution among the channels,
with about an eighth of the arithmetic; and a width multiplier, with which a family of networks
comes from one.

4,231,976 parameters (table 8: 4.2 M), 1.14 GFLOP for an image of 224 × 224.
"""

from typing import Any

from ..graph import Node
from ..layers import Dropout, GlobalAvgPool2d, Linear, flatten
from ..module import Module, Sequential
from ._parts import ConvNorm
from ._registry import register

# Channels and stride of each separable convolution: table 1.
STEPS = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *((512, 1),) * 5,
         (1024, 2), (1024, 1))


class MobileNetV1(Module):
    """A convolution, thirteen separable ones, a mean over each map, a dense layer.

    Parameters
    ----------
    num_classes, in_channels : the task
    image_size : any will do
    width_mult : how much wider than the paper's
    dropout : probability
    """

    def __init__(self, num_classes: int = 1000, in_channels: int = 3, image_size: int = 224, *,
                 width_mult: float = 1.0, dropout: float = 0.001) -> None:
        before = int(32 * width_mult)
        parts: list[Module] = [ConvNorm(in_channels, before, 3, 2)]
        for width, stride in STEPS:
            channels = int(width * width_mult)
            parts.append(Sequential(ConvNorm(before, before, 3, stride, groups=before),
                                    ConvNorm(before, channels, 1)))
            before = channels
        self.features = Sequential(*parts)
        self.avgpool = GlobalAvgPool2d()
        self.classifier = Sequential(Dropout(dropout), Linear(before, num_classes))

    def connect(self, x: Node) -> Node:
        return self.classifier(flatten(self.avgpool(self.features(x))))


@register
def mobilenet_v1(num_classes: int = 1000, **options: Any) -> MobileNetV1:
    """Build `MobileNetV1`.

    >>> sum(w.size for w in mobilenet_v1().params.values())
    4231976
    """
    return MobileNetV1(num_classes, **options)
