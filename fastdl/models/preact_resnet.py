"""Pre-activation ResNet: nothing is done to the sum of a block.

He, Zhang, Ren & Sun, 2016 (arXiv 1603.05027), figure 4 (e). New was the order: batch norm and ReLU
come before each convolution, so a shortcut is the identity from the first block to the last, and a
thousand layers can be trained. Where shapes change, the shortcut is a 1×1 convolution that reads
what the first convolution reads.

| network (table 4, images of 32 × 32) | parameters | GFLOP |
| --- | --- | --- |
| preact_resnet110, of two 3×3 convolutions | 1,730,522 (1.7 M) | 0.51 |
| preact_resnet164, of bottlenecks | 1,703,258 (1.7 M) | 0.50 |
| preact_resnet1001, of bottlenecks | 10,327,706 (10.2 M) | 3.0 |
"""

from typing import Any

from ..graph import Node
from ..layers import BatchNorm2d, relu
from ..module import Module
from ._parts import conv
from ._registry import register
from .resnet_cifar import SmallResNet, blocks_of


class PreactBlock(Module):
    """Batch norm, ReLU and a 3×3 convolution, twice.

    Parameters
    ----------
    in_channels, channels : that come in and go out
    stride : of the first convolution
    """

    def __init__(self, in_channels: int, channels: int, stride: int = 1) -> None:
        self.bn1 = BatchNorm2d(in_channels)
        self.conv1 = conv(in_channels, channels, 3, stride)
        self.bn2 = BatchNorm2d(channels)
        self.conv2 = conv(channels, channels, 3)
        same = stride == 1 and in_channels == channels
        self.shortcut = None if same else conv(in_channels, channels, 1, stride)

    def connect(self, x: Node) -> Node:
        y = relu(self.bn1(x))
        shortcut = self.shortcut(y) if self.shortcut else x
        return self.conv2(relu(self.bn2(self.conv1(y)))) + shortcut


class PreactBottleneck(Module):
    """Batch norm, ReLU and a convolution, three times: 1×1, 3×3, 1×1.

    Parameters
    ----------
    in_channels, channels : that come in and go out; a quarter of the latter is inside
    stride : of the 3×3 convolution
    """

    def __init__(self, in_channels: int, channels: int, stride: int = 1) -> None:
        inside = channels // 4
        self.bn1 = BatchNorm2d(in_channels)
        self.conv1 = conv(in_channels, inside, 1)
        self.bn2 = BatchNorm2d(inside)
        self.conv2 = conv(inside, inside, 3, stride)
        self.bn3 = BatchNorm2d(inside)
        self.conv3 = conv(inside, channels, 1)
        same = stride == 1 and in_channels == channels
        self.shortcut = None if same else conv(in_channels, channels, 1, stride)

    def connect(self, x: Node) -> Node:
        y = relu(self.bn1(x))
        shortcut = self.shortcut(y) if self.shortcut else x
        y = self.conv2(relu(self.bn2(self.conv1(y))))
        return self.conv3(relu(self.bn3(y))) + shortcut


def preact_resnet(depth: int, num_classes: int = 10, *, bottleneck: bool = True,
                  **options: Any) -> SmallResNet:
    """Build the `SmallResNet` of 9 n + 2 layers with bottlenecks, of 6 n + 2 without."""
    if bottleneck:
        return SmallResNet(lambda before, after, stride, i: PreactBottleneck(before, after, stride),
                           blocks_of(depth, 3), (64, 128, 256), num_classes, preactivated=True,
                           **options)
    return SmallResNet(lambda before, after, stride, i: PreactBlock(before, after, stride),
                       blocks_of(depth, 2), (16, 32, 64), num_classes, preactivated=True,
                       **options)


@register
def preact_resnet110(num_classes: int = 10, **options: Any) -> SmallResNet:
    """Build the pre-activation ResNet of 110 layers."""
    return preact_resnet(110, num_classes, bottleneck=False, **options)


@register
def preact_resnet164(num_classes: int = 10, **options: Any) -> SmallResNet:
    """Build the pre-activation ResNet of 164 layers."""
    return preact_resnet(164, num_classes, **options)


@register
def preact_resnet1001(num_classes: int = 10, **options: Any) -> SmallResNet:
    """Build the pre-activation ResNet of 1001 layers."""
    return preact_resnet(1001, num_classes, **options)
