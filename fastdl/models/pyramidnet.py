"""PyramidNet: channels that grow a little in every block.

Han, Kim & Kim, 2016 (arXiv 1610.02915), figures 1 (d), 2 and 6 (d). New was that width grows at all
blocks, by `alpha` in all, in place of doubling where maps are halved; that a block ends in a batch
norm and has no ReLU before its first convolution; and shortcuts without parameters, whose further
channels are 0.

| network (table 4, images of 32 × 32) | parameters | GFLOP |
| --- | --- | --- |
| pyramidnet110_a48 | 1,739,698 (1.7 M) | 0.79 |
| pyramidnet110_a84 | 3,855,022 (3.8 M) | 1.5 |
| pyramidnet110_a270 | 28,485,445 (28.3 M) | 9.4 |
| pyramidnet164_a270, of bottlenecks | 27,215,989 (27.0 M) | 9.1 |
| pyramidnet272_a200, of bottlenecks | 26,049,530 (26.0 M) | 8.9 |
"""

from collections.abc import Callable
from typing import Any

from ..graph import Node
from ..layers import AvgPool2d, BatchNorm2d, Layer, relu
from ..module import Module
from ._parts import Subsample, conv
from ._registry import register
from .resnet_cifar import SmallResNet, blocks_of

Join = Callable[[int], Layer | None]
"""The layer on the branch of block number i before the sum; None for none."""


class PyramidBlock(Module):
    """Batch norm and a 3×3 convolution, ReLU between two of them, and a last batch norm.

    Parameters
    ----------
    in_channels, channels : that come in and go out
    stride : of the first convolution
    after : a layer before the sum
    """

    expansion = 1

    def __init__(self, in_channels: int, channels: int, stride: int = 1,
                 after: Layer | None = None) -> None:
        self.bn1 = BatchNorm2d(in_channels)
        self.conv1 = conv(in_channels, channels, 3, stride)
        self.bn2 = BatchNorm2d(channels)
        self.conv2 = conv(channels, channels, 3)
        self.bn3 = BatchNorm2d(channels)
        self.after = after
        self.pool = AvgPool2d(2) if stride == 2 else None
        self.widen = Subsample(channels) if channels != in_channels else None

    def branch(self, x: Node) -> Node:
        """What is added to the shortcut."""
        return self.bn3(self.conv2(relu(self.bn2(self.conv1(self.bn1(x))))))

    def connect(self, x: Node) -> Node:
        y = self.branch(x)
        if self.after:
            y = self.after(y)
        if self.pool:
            x = self.pool(x)
        return y + (self.widen(x) if self.widen else x)


class PyramidBottleneck(PyramidBlock):
    """1×1, 3×3 and 1×1 convolutions; four times as many channels go out.

    Parameters
    ----------
    in_channels : that come in
    channels : inside; four times as many go out
    stride : of the 3×3 convolution
    after : a layer before the sum
    """

    expansion = 4

    def __init__(self, in_channels: int, channels: int, stride: int = 1,
                 after: Layer | None = None) -> None:
        super().__init__(in_channels, channels, stride, after)
        self.conv1 = conv(in_channels, channels, 1)
        self.conv2 = conv(channels, channels, 3, stride)
        self.conv3 = conv(channels, 4 * channels, 1)
        self.bn4 = BatchNorm2d(4 * channels)
        self.widen = Subsample(4 * channels)

    def branch(self, x: Node) -> Node:
        y = self.conv2(relu(self.bn2(self.conv1(self.bn1(x)))))
        return self.bn4(self.conv3(relu(self.bn3(y))))


def pyramidnet(depth: int, alpha: float, num_classes: int = 10, *, bottleneck: bool = False,
               after: Join = lambda i: None, **options: Any) -> SmallResNet:
    """Build the `SmallResNet` of 6 n + 2 layers (9 n + 2 with bottlenecks) that grows by `alpha`.

    >>> sum(w.size for w in pyramidnet(20, 48).params.values())
    306205
    """
    block = PyramidBottleneck if bottleneck else PyramidBlock
    blocks = blocks_of(depth, 3 if bottleneck else 2)
    inside = [int(16 + alpha * (i + 1) / (3 * blocks)) for i in range(3 * blocks)]
    return SmallResNet(
        lambda before, channels, stride, i: block(before, inside[i], stride, after(i)),
        blocks, [width * block.expansion for width in inside], num_classes, preactivated=True,
        **options)


@register
def pyramidnet110_a48(num_classes: int = 10, **options: Any) -> SmallResNet:
    """Build the PyramidNet of 110 layers that grows by 48 channels."""
    return pyramidnet(110, 48, num_classes, **options)


@register
def pyramidnet110_a84(num_classes: int = 10, **options: Any) -> SmallResNet:
    """Build the PyramidNet of 110 layers that grows by 84 channels."""
    return pyramidnet(110, 84, num_classes, **options)


@register
def pyramidnet110_a270(num_classes: int = 10, **options: Any) -> SmallResNet:
    """Build the PyramidNet of 110 layers that grows by 270 channels."""
    return pyramidnet(110, 270, num_classes, **options)


@register
def pyramidnet164_a270(num_classes: int = 10, **options: Any) -> SmallResNet:
    """Build the PyramidNet of 164 layers, of bottlenecks, that grows by 270 channels."""
    return pyramidnet(164, 270, num_classes, bottleneck=True, **options)


@register
def pyramidnet272_a200(num_classes: int = 10, **options: Any) -> SmallResNet:
    """Build the PyramidNet of 272 layers, of bottlenecks, that grows by 200 channels."""
    return pyramidnet(272, 200, num_classes, bottleneck=True, **options)
