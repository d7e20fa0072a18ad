"""SE-ResNet: blocks that weigh their channels.

Hu, Shen, Albanie, Sun & Wu, 2017 (arXiv 1709.01507), figures 1 and 3, table 1. New was channel
attention: the mean over each map goes through two small dense layers to a factor for each channel.
It fits into any network at little cost, and won the last ImageNet contest in 2017.

| network | parameters | GFLOP for 224 × 224 |
| --- | --- | --- |
| se_resnet18 | 11,778,592 | 3.6 |
| se_resnet50 | 28,088,024 | 8.2 |
| se_resnet110, for images of 32 × 32 | 1,742,200 | 0.51 |

Section 4 counts 2.5 million weights of attention in SE-ResNet-50: 28,088,024 less ResNet-50's are
2,530,992, of which 16,048 are biases.
"""

from typing import Any

from ..graph import Node
from ..layers import relu
from ._parts import SqueezeExcitation
from ._registry import register
from .resnet import BasicBlock, Bottleneck, ResNet
from .resnet_cifar import SmallBlock, SmallResNet, blocks_of


class SEBasicBlock(BasicBlock):
    """`BasicBlock` with channel attention before the sum.

    Parameters
    ----------
    in_channels, width, stride : as of `BasicBlock`
    reduction : how many times fewer channels attention has inside
    """

    def __init__(self, in_channels: int, width: int, stride: int = 1, reduction: int = 16) -> None:
        super().__init__(in_channels, width, stride)
        self.se = SqueezeExcitation(width, width // reduction)

    def connect(self, x: Node) -> Node:
        y = relu(self.bn1(self.conv1(x)))
        y = self.se(self.bn2(self.conv2(y)))
        return relu(y + (self.downsample(x) if self.downsample else x))


class SEBottleneck(Bottleneck):
    """`Bottleneck` with channel attention before the sum.

    Parameters
    ----------
    in_channels, width, stride : as of `Bottleneck`
    reduction : how many times fewer channels attention has inside
    """

    def __init__(self, in_channels: int, width: int, stride: int = 1, reduction: int = 16) -> None:
        super().__init__(in_channels, width, stride)
        channels = width * self.expansion
        self.se = SqueezeExcitation(channels, channels // reduction)

    def connect(self, x: Node) -> Node:
        y = relu(self.bn1(self.conv1(x)))
        y = relu(self.bn2(self.conv2(y)))
        y = self.se(self.bn3(self.conv3(y)))
        return relu(y + (self.downsample(x) if self.downsample else x))


@register
def se_resnet18(num_classes: int = 1000, **options: Any) -> ResNet:
    """Build the SE-ResNet of 18 layers."""
    return ResNet(SEBasicBlock, (2, 2, 2, 2), num_classes, **options)


@register
def se_resnet50(num_classes: int = 1000, **options: Any) -> ResNet:
    """Build the SE-ResNet of 50 layers.

    >>> sum(w.size for w in se_resnet50().params.values())
    28088024
    """
    return ResNet(SEBottleneck, (3, 4, 6, 3), num_classes, **options)


@register
def se_resnet110(num_classes: int = 10, *, depth: int = 110, reduction: int = 16,
                 **options: Any) -> SmallResNet:
    """Build the SE-ResNet of 110 layers for small images."""
    return SmallResNet(
        lambda before, after, stride, i: SmallBlock(
            before, after, stride, SqueezeExcitation(after, after // reduction)),
        blocks_of(depth, 2), num_classes=num_classes, **options)
