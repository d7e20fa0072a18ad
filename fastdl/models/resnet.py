"""ResNet: blocks that add to their input, so that a hundred layers can be trained.

He, Zhang, Ren & Sun, 2015 (arXiv 1512.03385). New was the residual connection: a block learns what
to add to its input, and the gradient reaches every block undiminished. The deeper networks have
bottlenecks: 1×1 convolutions make the channels fewer before the 3×3 one, and more after it.
"""

from collections.abc import Sequence
from typing import ClassVar

from ..graph import Node
from ..layers import BatchNorm2d, Conv2d, GlobalAvgPool2d, Linear, MaxPool2d, flatten, relu
from ..module import Module, Sequential
from ._registry import register


def _conv(in_channels: int, channels: int, kernel_size: int, stride: int = 1) -> Conv2d:
    """A convolution before batch norm, which has a bias of its own."""
    return Conv2d(in_channels, channels, kernel_size, stride, padding=kernel_size // 2, bias=False,
                  weight_init="he")


def _projection(in_channels: int, channels: int, stride: int) -> Sequential | None:
    """What a block's input goes through before the sum, where its shape is another."""
    if stride == 1 and in_channels == channels:
        return None
    return Sequential(_conv(in_channels, channels, 1, stride), BatchNorm2d(channels))


class BasicBlock(Module):
    """Two 3×3 convolutions.

    Parameters
    ----------
    in_channels, width : channels that come in, and go out
    stride : of the first convolution
    """

    expansion: ClassVar[int] = 1

    def __init__(self, in_channels: int, width: int, stride: int = 1) -> None:
        self.conv1 = _conv(in_channels, width, 3, stride)
        self.bn1 = BatchNorm2d(width)
        self.conv2 = _conv(width, width, 3)
        self.bn2 = BatchNorm2d(width)
        self.downsample = _projection(in_channels, width, stride)

    def connect(self, x: Node) -> Node:
        y = relu(self.bn1(self.conv1(x)))
        return relu(self.bn2(self.conv2(y)) + (self.downsample(x) if self.downsample else x))


class Bottleneck(Module):
    """1×1, 3×3 and 1×1 convolutions; `width` channels inside, four times as many outside.

    The 3×3 one has the stride, as in torchvision (the paper: the first 1×1 one).

    Parameters
    ----------
    in_channels : that come in
    width : channels of the 3×3 convolution
    stride : of the 3×3 convolution
    """

    expansion: ClassVar[int] = 4

    def __init__(self, in_channels: int, width: int, stride: int = 1) -> None:
        channels = width * self.expansion
        self.conv1 = _conv(in_channels, width, 1)
        self.bn1 = BatchNorm2d(width)
        self.conv2 = _conv(width, width, 3, stride)
        self.bn2 = BatchNorm2d(width)
        self.conv3 = _conv(width, channels, 1)
        self.bn3 = BatchNorm2d(channels)
        self.downsample = _projection(in_channels, channels, stride)

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
    block : `BasicBlock` or `Bottleneck`
    depths : blocks of each stage
    num_classes, in_channels : the task
    """

    def __init__(self, block: type[BasicBlock | Bottleneck], depths: Sequence[int],
                 num_classes: int = 1000, in_channels: int = 3) -> None:
        self.conv1 = _conv(in_channels, 64, 7, 2)
        self.bn1 = BatchNorm2d(64)
        self.maxpool = MaxPool2d(3, stride=2, padding=1)
        channels = 64

        def stage(width: int, depth: int, stride: int) -> Sequential:
            nonlocal channels
            blocks = []
            for i in range(depth):
                blocks.append(block(channels, width, 1 if i else stride))
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
def resnet18(num_classes: int = 1000, in_channels: int = 3, image_size: int = 224) -> ResNet:
    """Build the `ResNet` of 18 layers: 11,689,512 parameters for 1000 classes.

    Parameters
    ----------
    num_classes : scores that come out
    in_channels, image_size : of the square images that go in; any size will do

    >>> sum(w.size for w in resnet18().params.values())
    11689512
    """
    return ResNet(BasicBlock, (2, 2, 2, 2), num_classes, in_channels)


@register
def resnet50(num_classes: int = 1000, in_channels: int = 3, image_size: int = 224) -> ResNet:
    """Build the `ResNet` of 50 layers: 25,557,032 parameters for 1000 classes.

    Parameters
    ----------
    num_classes : scores that come out
    in_channels, image_size : of the square images that go in; any size will do

    >>> sum(w.size for w in resnet50().params.values())
    25557032
    """
    return ResNet(Bottleneck, (3, 4, 6, 3), num_classes, in_channels)
