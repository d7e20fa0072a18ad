"""DenseNet: each layer reads the maps of all layers before it.

Huang, Liu, van der Maaten & Weinberger, 2016 (arXiv 1608.06993), figures 1 and 2, table 1. New was
that maps are kept side by side instead of added: a layer makes few of them, since it finds those
made before, and the gradient reaches every layer directly. Batch norm and ReLU come before the
convolution.

| network | parameters | GFLOP for 224 × 224 |
| --- | --- | --- |
| densenet121 | 7,978,856 | 5.7 |
| densenet161 | 28,681,000 | 15.5 |
| densenet169 | 14,149,480 | 6.7 |
| densenet201 | 20,013,928 | 8.6 |
| densenet_bc100, growth rate 12, for CIFAR (table 2) | 769,162 | 0.58 for 32 × 32 |
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ..graph import Node
from ..layers import (
    AvgPool2d,
    BatchNorm2d,
    GlobalAvgPool2d,
    Linear,
    MaxPool2d,
    concat,
    flatten,
    relu,
)
from ..module import Module
from ._parts import conv
from ._registry import register


class DenseLayer(Module):
    """A 1×1 convolution to `bn_size` times as many maps as a 3×3 one makes of them.

    Parameters
    ----------
    in_channels : that come in
    growth_rate : maps that are made
    bn_size : see above
    """

    def __init__(self, in_channels: int, growth_rate: int, bn_size: int) -> None:
        self.norm1 = BatchNorm2d(in_channels)
        self.conv1 = conv(in_channels, bn_size * growth_rate, 1)
        self.norm2 = BatchNorm2d(bn_size * growth_rate)
        self.conv2 = conv(bn_size * growth_rate, growth_rate, 3)

    def connect(self, x: Node) -> Node:
        return self.conv2(relu(self.norm2(self.conv1(relu(self.norm1(x))))))


class DenseBlock(Module):
    """Layers named denselayer1, denselayer2, ...; the maps of each go beside those before.

    Parameters
    ----------
    in_channels : that come in
    depth : how many layers
    growth_rate, bn_size : of each
    """

    def __init__(self, in_channels: int, depth: int, growth_rate: int, bn_size: int) -> None:
        self.depth = depth
        for i in range(depth):
            setattr(self, f"denselayer{i + 1}",
                    DenseLayer(in_channels + i * growth_rate, growth_rate, bn_size))

    def connect(self, x: Node) -> Node:
        for i in range(self.depth):
            x = concat([x, getattr(self, f"denselayer{i + 1}")(x)])
        return x


class Transition(Module):
    """Half as many maps, half as large.

    Parameters
    ----------
    in_channels : that come in
    """

    def __init__(self, in_channels: int) -> None:
        self.norm = BatchNorm2d(in_channels)
        self.conv = conv(in_channels, in_channels // 2, 1)
        self.pool = AvgPool2d(2, stride=2)

    def connect(self, x: Node) -> Node:
        return self.pool(self.conv(relu(self.norm(x))))


class Features(Module):
    """A convolution, then dense blocks with transitions between them.

    Parameters
    ----------
    in_channels : of the images
    depths, growth_rate, bn_size : of the blocks
    width : maps of the first convolution
    small : for images of 32 × 32: a first convolution of 3×3, which halves nothing, and no pool

    Attributes
    ----------
    channels : int
        That come out.
    """

    def __init__(self, in_channels: int, depths: Sequence[int], growth_rate: int, bn_size: int,
                 width: int, small: bool) -> None:
        self.conv0 = conv(in_channels, width, 3) if small else conv(in_channels, width, 7, 2)
        if not small:
            self.norm0 = BatchNorm2d(width)
            self.pool0 = MaxPool2d(3, stride=2, padding=1)
        self.small, self.blocks = small, len(depths)
        channels = width
        for i, depth in enumerate(depths, 1):
            setattr(self, f"denseblock{i}", DenseBlock(channels, depth, growth_rate, bn_size))
            channels += depth * growth_rate
            if i < self.blocks:
                setattr(self, f"transition{i}", Transition(channels))
                channels //= 2
        setattr(self, f"norm{self.blocks + 1}", BatchNorm2d(channels))
        self.channels = channels

    def connect(self, x: Node) -> Node:
        x = self.conv0(x)
        if not self.small:
            x = self.pool0(relu(self.norm0(x)))
        for i in range(1, self.blocks + 1):
            x = getattr(self, f"denseblock{i}")(x)
            if i < self.blocks:
                x = getattr(self, f"transition{i}")(x)
        return relu(getattr(self, f"norm{self.blocks + 1}")(x))


class DenseNet(Module):
    """`Features`, a mean over each map, a dense layer.

    Names and sizes are torchvision's.

    Parameters
    ----------
    depths : layers of each block
    growth_rate : maps that a layer adds
    width : maps of the first convolution
    num_classes, in_channels : the task
    image_size : 29 × 29 at least; with `small`, 4 × 4
    bn_size : how many times `growth_rate` maps the 1×1 convolutions make
    small : see `Features`
    """

    def __init__(self, depths: Sequence[int], growth_rate: int = 32, width: int = 64,
                 num_classes: int = 1000, in_channels: int = 3, image_size: int = 224, *,
                 bn_size: int = 4, small: bool = False) -> None:
        self.features = Features(in_channels, depths, growth_rate, bn_size, width, small)
        self.avgpool = GlobalAvgPool2d()
        self.classifier = Linear(self.features.channels, num_classes)

    def connect(self, x: Node) -> Node:
        return self.classifier(flatten(self.avgpool(self.features(x))))

    def load_state_dict(self, state: Mapping[str, Any], strict: bool = True) -> None:
        """As of `Module`; files from before PyTorch 0.4 have ``norm.1`` for ``norm1``."""
        super().load_state_dict({re.sub(r"(denselayer\d+\.(?:norm|conv))\.(\d)", r"\1\2", name): w
                                 for name, w in state.items()}, strict)


@register
def densenet121(num_classes: int = 1000, **options: Any) -> DenseNet:
    """Build the `DenseNet` of 121 layers.

    >>> sum(w.size for w in densenet121().params.values())
    7978856
    """
    return DenseNet((6, 12, 24, 16), 32, 64, num_classes, **options)


@register
def densenet161(num_classes: int = 1000, **options: Any) -> DenseNet:
    """Build the `DenseNet` of 161 layers, each of which adds 48 maps."""
    return DenseNet((6, 12, 36, 24), 48, 96, num_classes, **options)


@register
def densenet169(num_classes: int = 1000, **options: Any) -> DenseNet:
    """Build the `DenseNet` of 169 layers."""
    return DenseNet((6, 12, 32, 32), 32, 64, num_classes, **options)


@register
def densenet201(num_classes: int = 1000, **options: Any) -> DenseNet:
    """Build the `DenseNet` of 201 layers."""
    return DenseNet((6, 12, 48, 32), 32, 64, num_classes, **options)


@register
def densenet_bc100(num_classes: int = 10, growth_rate: int = 12, **options: Any) -> DenseNet:
    """Build DenseNet-BC of 100 layers for small images.

    >>> sum(w.size for w in densenet_bc100().params.values())
    769162
    """
    return DenseNet((16, 16, 16), growth_rate, 2 * growth_rate, num_classes, small=True, **options)
