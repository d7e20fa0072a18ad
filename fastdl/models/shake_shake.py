"""Shake-Shake: two branches weighed at random, and their gradients otherwise.

Gastaldi, 2017 (arXiv 1705.07485), figure 1. New was to blur what a network learns from: of two
branches the sum takes a random share of each, for each image, and other shares on the way back, so
that the network cannot learn its training images by heart. In inference both have a half.

| network (table 1, images of 32 × 32) | parameters | GFLOP |
| --- | --- | --- |
| shake_shake26_32 | 2,923,162 (2.9 M) | 0.85 |
| shake_shake26_64 | 11,653,978 (11.7 M) | 3.4 |
| shake_shake26_96 | 26,192,922 (26.2 M) | 7.5 |
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..graph import Node
from ..layers import AvgPool2d, BatchNorm2d, Layer, ReLU, ShakeShake, concat, relu
from ..module import Module, Sequential
from ._parts import conv
from ._registry import register
from .resnet_cifar import SmallResNet, blocks_of


class Shift(Layer):
    """Maps moved up and left by a pixel; zeros come in."""

    def apply(self, inputs: tuple[np.ndarray, ...], params: Mapping[str, np.ndarray],
              training: bool) -> tuple[np.ndarray, Any]:
        (x,) = inputs
        y = np.zeros_like(x)
        y[:, :, :-1, :-1] = x[:, :, 1:, 1:]
        return y, None

    def grad(self, dy: np.ndarray, saved: Any) -> Any:
        dx = np.zeros_like(dy)
        dx[:, :, 1:, 1:] = dy[:, :, :-1, :-1]
        return (dx,), {}


class Shortcut(Module):
    """Every other pixel, and those between, each to half of the channels by a 1×1 convolution.

    Parameters
    ----------
    in_channels, channels : that come in and go out
    stride : 2 to halve the maps
    """

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        self.pick = AvgPool2d(1, stride)
        self.conv1 = conv(in_channels, channels // 2, 1)
        self.shift = Shift()
        self.conv2 = conv(in_channels, channels - channels // 2, 1)
        self.bn = BatchNorm2d(channels)

    def connect(self, x: Node) -> Node:
        x = relu(x)
        return self.bn(concat([self.conv1(self.pick(x)), self.conv2(self.pick(self.shift(x)))]))


class ShakeBlock(Module):
    """Two branches of ReLU, 3×3 convolution and batch norm, twice, and `ShakeShake`.

    Parameters
    ----------
    in_channels, channels : that come in and go out
    stride : of the first convolutions
    last : end in a ReLU
    """

    def __init__(self, in_channels: int, channels: int, stride: int, last: bool) -> None:
        def branch() -> Sequential:
            return Sequential(
                ReLU(), conv(in_channels, channels, 3, stride), BatchNorm2d(channels),
                ReLU(), conv(channels, channels, 3), BatchNorm2d(channels))

        self.branch1, self.branch2 = branch(), branch()
        self.join = ShakeShake()
        same = stride == 1 and in_channels == channels
        self.shortcut = None if same else Shortcut(in_channels, channels, stride)
        self.last = last

    def connect(self, x: Node) -> Node:
        y = self.join(self.branch1(x), self.branch2(x))
        y = y + (self.shortcut(x) if self.shortcut else x)
        return relu(y) if self.last else y


def shake_shake(depth: int, width: int, num_classes: int = 10, **options: Any) -> SmallResNet:
    """Build the `SmallResNet` of 6 n + 2 layers whose first stage has `width` channels."""
    blocks = blocks_of(depth, 2)
    return SmallResNet(
        lambda before, after, stride, i: ShakeBlock(before, after, stride, i == 3 * blocks - 1),
        blocks, [width, 2 * width, 4 * width], num_classes, **options)


@register
def shake_shake26_32(num_classes: int = 10, **options: Any) -> SmallResNet:
    """Build Shake-Shake 26 2×32d."""
    return shake_shake(26, 32, num_classes, **options)


@register
def shake_shake26_64(num_classes: int = 10, **options: Any) -> SmallResNet:
    """Build Shake-Shake 26 2×64d."""
    return shake_shake(26, 64, num_classes, **options)


@register
def shake_shake26_96(num_classes: int = 10, **options: Any) -> SmallResNet:
    """Build Shake-Shake 26 2×96d."""
    return shake_shake(26, 96, num_classes, **options)
