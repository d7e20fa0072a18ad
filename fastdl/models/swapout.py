"""Swapout: each unit is fed forward, left out, passed by, or both.

Singh, Hoiem & Forsyth, 2016 (arXiv 1605.06465), figure 1 and equation 3. New was to drop the units
of a residual block's two sides each by itself, so that a network is drawn at random from dropout's,
stochastic depth's and the residual ones, unit by unit. Blocks are those of `preact_resnet`. What is
dropped grows from nothing in the first block to a half of each side in the last.

| network (table 4, images of 32 × 32) | parameters | GFLOP |
| --- | --- | --- |
| swapout20, twice as wide | 1,084,202 (the paper: 1.09 M) | 0.33 |
| swapout32, four times as wide | 7,427,146 (7.43 M) | 2.2 |
"""

from typing import Any

from ..graph import Node
from ..layers import BatchNorm2d, Swapout, relu
from ..module import Module
from ._parts import conv
from ._registry import register
from .resnet_cifar import SmallResNet, blocks_of


class SwapoutBlock(Module):
    """Batch norm, ReLU and a 3×3 convolution, twice, and `Swapout` in place of the sum.

    Parameters
    ----------
    in_channels, channels : that come in and go out
    stride : of the first convolution
    p : probability of being dropped, of units on both sides
    """

    def __init__(self, in_channels: int, channels: int, stride: int, p: float) -> None:
        self.bn1 = BatchNorm2d(in_channels)
        self.conv1 = conv(in_channels, channels, 3, stride)
        self.bn2 = BatchNorm2d(channels)
        self.conv2 = conv(channels, channels, 3)
        same = stride == 1 and in_channels == channels
        self.shortcut = None if same else conv(in_channels, channels, 1, stride)
        self.join = Swapout(p, p)

    def connect(self, x: Node) -> Node:
        y = relu(self.bn1(x))
        shortcut = self.shortcut(y) if self.shortcut else x
        return self.join(shortcut, self.conv2(relu(self.bn2(self.conv1(y)))))


def swapout(depth: int, times: int, num_classes: int = 10, *, last: float = 0.5,
            **options: Any) -> SmallResNet:
    """Build the `SmallResNet` of 6 n + 2 layers whose last block drops with probability `last`."""
    blocks = blocks_of(depth, 2)
    return SmallResNet(
        lambda before, after, stride, i: SwapoutBlock(before, after, stride,
                                                      last * i / (3 * blocks - 1)),
        blocks, [width * times for width in (16, 32, 64)], num_classes, width=16 * times,
        preactivated=True, **options)


@register
def swapout20(num_classes: int = 10, **options: Any) -> SmallResNet:
    """Build the Swapout network of 20 layers, twice as wide."""
    return swapout(20, 2, num_classes, **options)


@register
def swapout32(num_classes: int = 10, **options: Any) -> SmallResNet:
    """Build the Swapout network of 32 layers, four times as wide."""
    return swapout(32, 4, num_classes, **options)
