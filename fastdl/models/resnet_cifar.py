"""ResNet for images of 32 × 32: three stages of thin maps, 20 to 110 layers.

He, Zhang, Ren & Sun, 2015 (arXiv 1512.03385), section 4.2. A 3×3 convolution halves nothing, three
stages have 16, 32 and 64 channels, and shortcuts have no parameters (option A). What is new about
residual networks stands in `resnet`; other papers' networks for small images are made of
`SmallResNet` with blocks of their own.

| network (table 6) | parameters | GFLOP for 32 × 32 |
| --- | --- | --- |
| resnet20 | 269,722 (0.27 M) | 0.081 |
| resnet32 | 464,154 (0.46 M) | 0.138 |
| resnet44 | 658,586 (0.66 M) | 0.195 |
| resnet56 | 853,018 (0.85 M) | 0.251 |
| resnet110 | 1,727,962 (1.7 M) | 0.506 |
"""

from collections.abc import Callable, Sequence
from typing import Any

from ..errors import ArgumentError
from ..graph import Node
from ..layers import BatchNorm2d, GlobalAvgPool2d, Layer, Linear, flatten, relu
from ..module import Module, Sequential
from ._parts import Subsample, conv
from ._registry import register


class SmallBlock(Module):
    """Two 3×3 convolutions, and a shortcut without parameters.

    Parameters
    ----------
    in_channels, channels : that come in and go out
    stride : of the first convolution
    after : a layer behind the second batch norm, before the sum
    """

    def __init__(self, in_channels: int, channels: int, stride: int = 1,
                 after: Module | Layer | None = None) -> None:
        self.conv1 = conv(in_channels, channels, 3, stride)
        self.bn1 = BatchNorm2d(channels)
        self.conv2 = conv(channels, channels, 3)
        self.bn2 = BatchNorm2d(channels)
        self.after = after
        same = stride == 1 and in_channels == channels
        self.shortcut = None if same else Subsample(channels, stride)

    def connect(self, x: Node) -> Node:
        y = self.bn2(self.conv2(relu(self.bn1(self.conv1(x)))))
        if self.after:
            y = self.after(y)
        return relu(y + (self.shortcut(x) if self.shortcut else x))


Block = Callable[[int, int, int, int], Module]
"""Makes block number i of all: from channels in, channels out, stride, i."""


class SmallResNet(Module):
    """A 3×3 convolution, three stages of blocks, a mean over each map, a dense layer.

    Parameters
    ----------
    block : see `Block`
    blocks : of each stage
    widths : channels of each stage; one for each block instead is possible
    num_classes, in_channels : the task
    image_size : any will do
    width : channels of the first convolution
    preactivated : batch norm and ReLU stand at the end in place of behind the first convolution
    """

    def __init__(self, block: Block, blocks: int, widths: Sequence[int] = (16, 32, 64),
                 num_classes: int = 10, in_channels: int = 3, image_size: int = 32, *,
                 width: int = 16, preactivated: bool = False) -> None:
        if len(widths) == 3:
            widths = [width for width in widths for _ in range(blocks)]
        self.preactivated = preactivated
        self.conv1 = conv(in_channels, width, 3)
        if not preactivated:
            self.bn1 = BatchNorm2d(width)
        parts = []
        for i, channels in enumerate(widths):
            parts.append(block(width, channels, 2 if i in (blocks, 2 * blocks) else 1, i))
            width = channels
        self.layer1 = Sequential(*parts[:blocks])
        self.layer2 = Sequential(*parts[blocks:2 * blocks])
        self.layer3 = Sequential(*parts[2 * blocks:])
        if preactivated:
            self.bn = BatchNorm2d(width)
        self.avgpool = GlobalAvgPool2d()
        self.fc = Linear(width, num_classes, weight_init="he")

    def connect(self, x: Node) -> Node:
        x = self.conv1(x)
        if not self.preactivated:
            x = relu(self.bn1(x))
        x = self.layer3(self.layer2(self.layer1(x)))
        if self.preactivated:
            x = relu(self.bn(x))
        return self.fc(flatten(self.avgpool(x)))


def blocks_of(depth: int, layers: int, more: int = 2) -> int:
    """How many blocks of so many layers each of three stages has.

    >>> blocks_of(20, 2), blocks_of(164, 3)
    (3, 18)
    """
    blocks, rest = divmod(depth - more, 3 * layers)
    if rest or blocks < 1:
        raise ArgumentError(f"depth must be {3 * layers} n + {more}, got {depth}")
    return blocks


def resnet_cifar(depth: int, num_classes: int = 10, **options: Any) -> SmallResNet:
    """Build the `SmallResNet` of `SmallBlock`: 6 n + 2 layers.

    >>> sum(w.size for w in resnet_cifar(20).params.values())
    269722
    """
    return SmallResNet(lambda before, after, stride, i: SmallBlock(before, after, stride),
                       blocks_of(depth, 2), num_classes=num_classes, **options)


@register
def resnet20(num_classes: int = 10, **options: Any) -> SmallResNet:
    """Build the ResNet of 20 layers for small images."""
    return resnet_cifar(20, num_classes, **options)


@register
def resnet32(num_classes: int = 10, **options: Any) -> SmallResNet:
    """Build the ResNet of 32 layers for small images."""
    return resnet_cifar(32, num_classes, **options)


@register
def resnet44(num_classes: int = 10, **options: Any) -> SmallResNet:
    """Build the ResNet of 44 layers for small images."""
    return resnet_cifar(44, num_classes, **options)


@register
def resnet56(num_classes: int = 10, **options: Any) -> SmallResNet:
    """Build the ResNet of 56 layers for small images."""
    return resnet_cifar(56, num_classes, **options)


@register
def resnet110(num_classes: int = 10, **options: Any) -> SmallResNet:
    """Build the ResNet of 110 layers for small images."""
    return resnet_cifar(110, num_classes, **options)
