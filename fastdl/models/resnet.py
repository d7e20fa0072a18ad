"""ResNet: blocks that add to their input, so that a hundred layers can be trained.

He, Zhang, Ren & Sun, 2015 (arXiv 1512.03385), figures 2, 3 and 5. New was the residual connection:
a block learns what to add to its input, and the gradient reaches every block undiminished. The
deeper networks have bottlenecks: 1×1 convolutions make the channels fewer before the 3×3 one, and
more after it.

Two later papers changed the bottleneck's width alone. Wide ResNet (Zagoruyko & Komodakis, 2016,
arXiv 1605.07146) has twice as many channels in it. ResNeXt (Xie et al., 2016, arXiv 1611.05431)
has 32 groups: many small paths side by side, of which each sees a few channels.

| network | parameters | GFLOP for 224 × 224 |
| --- | --- | --- |
| resnet18, 34 | 11,689,512, 21,797,672 | 3.6, 7.3 |
| resnet50, 101, 152 | 25,557,032, 44,549,160, 60,192,808 | 8.2, 15.6, 23.0 |
| wide_resnet50_2, 101_2 | 68,883,240, 126,886,696 | 22.8, 45.5 |
| resnext50_32x4d, 101_32x8d | 25,028,904, 88,791,336 | 8.5, 32.8 |

For the small images of CIFAR, `resnet_cifar` has the paper's other networks.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

from ..graph import Node
from ..layers import BatchNorm2d, GlobalAvgPool2d, Linear, MaxPool2d, flatten, relu
from ..module import Module, Sequential
from ._parts import ConvNorm, conv
from ._registry import register


def projection(in_channels: int, channels: int, stride: int) -> Sequential | None:
    """What a block's input goes through before the sum, where its shape is another."""
    if stride == 1 and in_channels == channels:
        return None
    return ConvNorm(in_channels, channels, 1, stride, activation=None)


class BasicBlock(Module):
    """Two 3×3 convolutions.

    Parameters
    ----------
    in_channels, width : channels that come in, and go out
    stride : of the first convolution
    """

    expansion: ClassVar[int] = 1

    def __init__(self, in_channels: int, width: int, stride: int = 1) -> None:
        self.conv1 = conv(in_channels, width, 3, stride)
        self.bn1 = BatchNorm2d(width)
        self.conv2 = conv(width, width, 3)
        self.bn2 = BatchNorm2d(width)
        self.downsample = projection(in_channels, width, stride)

    def connect(self, x: Node) -> Node:
        y = relu(self.bn1(self.conv1(x)))
        return relu(self.bn2(self.conv2(y)) + (self.downsample(x) if self.downsample else x))


class Bottleneck(Module):
    """1×1, 3×3 and 1×1 convolutions; `width` channels inside, four times as many outside.

    The 3×3 one has the stride, as in torchvision (the paper: the first 1×1 one).

    Parameters
    ----------
    in_channels : that come in
    width : a quarter of the channels that go out
    stride, groups : of the 3×3 convolution
    width_per_group : 64 for as many channels inside as `width` says, 128 for twice as many, …
    """

    expansion: ClassVar[int] = 4

    def __init__(self, in_channels: int, width: int, stride: int = 1, groups: int = 1,
                 width_per_group: int = 64) -> None:
        channels = width * self.expansion
        inside = width * width_per_group // 64 * groups
        self.conv1 = conv(in_channels, inside, 1)
        self.bn1 = BatchNorm2d(inside)
        self.conv2 = conv(inside, inside, 3, stride, groups=groups)
        self.bn2 = BatchNorm2d(inside)
        self.conv3 = conv(inside, channels, 1)
        self.bn3 = BatchNorm2d(channels)
        self.downsample = projection(in_channels, channels, stride)

    def connect(self, x: Node) -> Node:
        y = relu(self.bn1(self.conv1(x)))
        y = relu(self.bn2(self.conv2(y)))
        return relu(self.bn3(self.conv3(y)) + (self.downsample(x) if self.downsample else x))


class ResNet(Module):
    """A 7×7 convolution and a pool, four stages of blocks, a mean over each map, a dense layer.

    Each stage but the first halves the maps and doubles the width. Names and sizes are
    torchvision's.

    Parameters
    ----------
    block : `BasicBlock`, `Bottleneck`, or another block with `expansion`
    depths : blocks of each stage
    num_classes, in_channels : the task
    image_size : any will do
    block_options : of each block, such as `groups` and `width_per_group`
    """

    def __init__(self, block: Any, depths: Sequence[int], num_classes: int = 1000,
                 in_channels: int = 3, image_size: int = 224, **block_options: Any) -> None:
        self.conv1 = conv(in_channels, 64, 7, 2)
        self.bn1 = BatchNorm2d(64)
        self.maxpool = MaxPool2d(3, stride=2, padding=1)
        channels = 64

        def stage(width: int, depth: int, stride: int) -> Sequential:
            nonlocal channels
            blocks = []
            for i in range(depth):
                blocks.append(block(channels, width, 1 if i else stride, **block_options))
                channels = width * block.expansion
            return Sequential(*blocks)

        self.layer1 = stage(64, depths[0], 1)
        self.layer2 = stage(128, depths[1], 2)
        self.layer3 = stage(256, depths[2], 2)
        self.layer4 = stage(512, depths[3], 2)
        self.avgpool = GlobalAvgPool2d()
        self.fc = Linear(channels, num_classes)

    def connect(self, x: Node) -> Node:
        x = self.maxpool(relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(flatten(self.avgpool(x)))


@register
def resnet18(num_classes: int = 1000, **options: Any) -> ResNet:
    """Build the `ResNet` of 18 layers.

    >>> sum(w.size for w in resnet18().params.values())
    11689512
    """
    return ResNet(BasicBlock, (2, 2, 2, 2), num_classes, **options)


@register
def resnet34(num_classes: int = 1000, **options: Any) -> ResNet:
    """Build the `ResNet` of 34 layers."""
    return ResNet(BasicBlock, (3, 4, 6, 3), num_classes, **options)


@register
def resnet50(num_classes: int = 1000, **options: Any) -> ResNet:
    """Build the `ResNet` of 50 layers, the first with bottlenecks."""
    return ResNet(Bottleneck, (3, 4, 6, 3), num_classes, **options)


@register
def resnet101(num_classes: int = 1000, **options: Any) -> ResNet:
    """Build the `ResNet` of 101 layers."""
    return ResNet(Bottleneck, (3, 4, 23, 3), num_classes, **options)


@register
def resnet152(num_classes: int = 1000, **options: Any) -> ResNet:
    """Build the `ResNet` of 152 layers, which won ImageNet in 2015."""
    return ResNet(Bottleneck, (3, 8, 36, 3), num_classes, **options)


@register
def wide_resnet50_2(num_classes: int = 1000, **options: Any) -> ResNet:
    """Build the Wide ResNet of 50 layers, its bottlenecks twice as wide."""
    return ResNet(Bottleneck, (3, 4, 6, 3), num_classes, width_per_group=128, **options)


@register
def wide_resnet101_2(num_classes: int = 1000, **options: Any) -> ResNet:
    """Build the Wide ResNet of 101 layers."""
    return ResNet(Bottleneck, (3, 4, 23, 3), num_classes, width_per_group=128, **options)


@register
def resnext50_32x4d(num_classes: int = 1000, **options: Any) -> ResNet:
    """Build the ResNeXt of 50 layers, 32 groups of 4 channels in its first bottlenecks."""
    return ResNet(Bottleneck, (3, 4, 6, 3), num_classes, groups=32, width_per_group=4, **options)


@register
def resnext101_32x8d(num_classes: int = 1000, **options: Any) -> ResNet:
    """Build the ResNeXt of 101 layers, 32 groups of 8 channels in its first bottlenecks."""
    return ResNet(Bottleneck, (3, 4, 23, 3), num_classes, groups=32, width_per_group=8, **options)
