"""EfficientNet: depth, width and resolution that grow together.

Tan & Le, 2019 (arXiv 1905.11946), figure 2, table 1 and equation 3. New was compound scaling: of
twice the arithmetic, depth takes a factor of 1.2, width 1.1 and resolution 1.15 each time. What is
scaled is a network that a search found: MobileNetV2's blocks with channel attention and swish. In
training, blocks are left out at random (stochastic depth), the later the more often.

| network | width, depth | image | parameters | GFLOP |
| --- | --- | --- | --- | --- |
| efficientnet_b0 | 1.0, 1.0 | 224 | 5,288,548 | 0.77 |
| efficientnet_b1 | 1.0, 1.1 | 240 | 7,794,184 | 1.4 |
| efficientnet_b2 | 1.1, 1.2 | 288 | 9,109,994 | 2.2 |
| efficientnet_b3 | 1.2, 1.4 | 300 | 12,233,232 | 3.7 |
| efficientnet_b4 | 1.4, 1.8 | 380 | 19,341,616 | 8.8 |
| efficientnet_b5 | 1.6, 2.2 | 456 | 30,389,784 | 20.5 |
| efficientnet_b6 | 1.8, 2.6 | 528 | 43,040,704 | 38.1 |
| efficientnet_b7 | 2.0, 3.1 | 600 | 66,347,960 | 75.5 |
"""

import math
from functools import partial
from typing import Any

from ..graph import Node
from ..layers import Dropout, GlobalAvgPool2d, Linear, SiLU, StochasticDepth, flatten
from ..module import Module, Sequential
from ._parts import ConvNorm, SqueezeExcitation, make_divisible
from ._registry import register

# Expansion, kernel, stride of the first block, channels, blocks: table 1.
STAGES = ((1, 3, 1, 16, 1), (6, 3, 2, 24, 2), (6, 5, 2, 40, 2), (6, 3, 2, 80, 3),
          (6, 5, 1, 112, 3), (6, 5, 2, 192, 4), (6, 3, 1, 320, 1))


class MBConv(Module):
    """1×1 to more channels, depthwise, attention, 1×1 to fewer; the input is added where it fits.

    Parameters
    ----------
    in_channels, channels : that come in and go out
    expansion : how many times more channels are inside
    kernel_size, stride : of the depthwise convolution
    drop : probability that the block is left out, for each sample in training
    eps, momentum : of the batch norms
    """

    def __init__(self, in_channels: int, channels: int, expansion: int, kernel_size: int,
                 stride: int, drop: float, eps: float, momentum: float) -> None:
        conv_norm = partial(ConvNorm, activation=SiLU, eps=eps, momentum=momentum)
        inside = make_divisible(in_channels * expansion)
        parts: list[Module] = [conv_norm(in_channels, inside, 1)] if inside != in_channels else []
        self.block = Sequential(
            *parts, conv_norm(inside, inside, kernel_size, stride, groups=inside),
            SqueezeExcitation(inside, max(1, in_channels // 4), activation=SiLU),
            conv_norm(inside, channels, 1, activation=None))
        self.residual = stride == 1 and in_channels == channels
        self.stochastic_depth = StochasticDepth(drop, "row")

    def connect(self, x: Node) -> Node:
        y = self.block(x)
        return self.stochastic_depth(y) + x if self.residual else y


class EfficientNet(Module):
    """Seven stages of `MBConv` between two convolutions; a mean over each map, a dense layer.

    Names and sizes are torchvision's.

    Parameters
    ----------
    width_mult, depth_mult : how much wider and deeper than the smallest
    dropout : probability
    num_classes, in_channels : the task
    image_size : any will do
    stochastic_depth_prob : that of the last block, were there one more, to be left out
    eps, momentum : of the batch norms
    """

    def __init__(self, width_mult: float, depth_mult: float, dropout: float,
                 num_classes: int = 1000, in_channels: int = 3, image_size: int = 224, *,
                 stochastic_depth_prob: float = 0.2, eps: float = 1e-5,
                 momentum: float = 0.1) -> None:
        conv_norm = partial(ConvNorm, activation=SiLU, eps=eps, momentum=momentum)
        depths = [math.ceil(blocks * depth_mult) for *_, blocks in STAGES]
        before, number = make_divisible(32 * width_mult), 0
        parts: list[Module] = [conv_norm(in_channels, before, 3, 2)]
        for (expansion, kernel_size, stride, width, _), depth in zip(STAGES, depths, strict=True):
            channels, stage = make_divisible(width * width_mult), []
            for i in range(depth):
                drop = stochastic_depth_prob * number / sum(depths)
                stage.append(MBConv(before, channels, expansion, kernel_size, 1 if i else stride,
                                    drop, eps, momentum))
                before, number = channels, number + 1
            parts.append(Sequential(*stage))
        self.features = Sequential(*parts, conv_norm(before, 4 * before, 1))
        self.avgpool = GlobalAvgPool2d()
        self.classifier = Sequential(Dropout(dropout), Linear(4 * before, num_classes))

    def connect(self, x: Node) -> Node:
        return self.classifier(flatten(self.avgpool(self.features(x))))


@register
def efficientnet_b0(num_classes: int = 1000, *, dropout: float = 0.2,
                    **options: Any) -> EfficientNet:
    """Build the smallest `EfficientNet`, which a search found.

    >>> sum(w.size for w in efficientnet_b0().params.values())
    5288548
    """
    return EfficientNet(1.0, 1.0, dropout, num_classes, **options)


@register
def efficientnet_b1(num_classes: int = 1000, *, dropout: float = 0.2,
                    **options: Any) -> EfficientNet:
    """Build the `EfficientNet` for images of 240 × 240."""
    return EfficientNet(1.0, 1.1, dropout, num_classes, **options)


@register
def efficientnet_b2(num_classes: int = 1000, *, dropout: float = 0.3,
                    **options: Any) -> EfficientNet:
    """Build the `EfficientNet` for images of 288 × 288."""
    return EfficientNet(1.1, 1.2, dropout, num_classes, **options)


@register
def efficientnet_b3(num_classes: int = 1000, *, dropout: float = 0.3,
                    **options: Any) -> EfficientNet:
    """Build the `EfficientNet` for images of 300 × 300."""
    return EfficientNet(1.2, 1.4, dropout, num_classes, **options)


@register
def efficientnet_b4(num_classes: int = 1000, *, dropout: float = 0.4,
                    **options: Any) -> EfficientNet:
    """Build the `EfficientNet` for images of 380 × 380."""
    return EfficientNet(1.4, 1.8, dropout, num_classes, **options)


@register
def efficientnet_b5(num_classes: int = 1000, *, dropout: float = 0.4,
                    **options: Any) -> EfficientNet:
    """Build the `EfficientNet` for images of 456 × 456."""
    return EfficientNet(1.6, 2.2, dropout, num_classes, **{**LARGE, **options})


@register
def efficientnet_b6(num_classes: int = 1000, *, dropout: float = 0.5,
                    **options: Any) -> EfficientNet:
    """Build the `EfficientNet` for images of 528 × 528."""
    return EfficientNet(1.8, 2.6, dropout, num_classes, **{**LARGE, **options})


@register
def efficientnet_b7(num_classes: int = 1000, *, dropout: float = 0.5,
                    **options: Any) -> EfficientNet:
    """Build the `EfficientNet` for images of 600 × 600."""
    return EfficientNet(2.0, 3.1, dropout, num_classes, **{**LARGE, **options})


# What torchvision's batch norms have in B5 to B7, whose weights come from TensorFlow.
LARGE = {"eps": 0.001, "momentum": 0.01}
