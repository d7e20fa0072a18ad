"""DenseNet: each layer reads the maps of all layers before it.

Huang, Liu, van der Maaten & Weinberger, 2016 (arXiv 1608.06993). New was that maps are kept side by
side instead of added: a layer makes few of them, since it finds those made before, and the gradient
reaches every layer directly. Batch norm and ReLU come before the convolution.
"""

from collections.abc import Sequence

from ..graph import Node
from ..layers import (
    AvgPool2d,
    BatchNorm2d,
    Conv2d,
    GlobalAvgPool2d,
    Linear,
    MaxPool2d,
    concat,
    flatten,
    relu,
)
from ..module import Module
from ._registry import register


def _conv(in_channels: int, channels: int, kernel_size: int, stride: int = 1) -> Conv2d:
    return Conv2d(in_channels, channels, kernel_size, stride, padding=kernel_size // 2, bias=False,
                  weight_init="he")


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
        self.conv1 = _conv(in_channels, bn_size * growth_rate, 1)
        self.norm2 = BatchNorm2d(bn_size * growth_rate)
        self.conv2 = _conv(bn_size * growth_rate, growth_rate, 3)

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
        self.conv = _conv(in_channels, in_channels // 2, 1)
        self.pool = AvgPool2d(2, stride=2)

    def connect(self, x: Node) -> Node:
        return self.pool(self.conv(relu(self.norm(x))))


class Features(Module):
    """A 7×7 convolution and a pool, then dense blocks with transitions between them.

    Parameters
    ----------
    in_channels : of the images
    depths, growth_rate, bn_size : of the blocks
    width : maps of the first convolution

    Attributes
    ----------
    channels : int
        That come out.
    """

    def __init__(self, in_channels: int, depths: Sequence[int], growth_rate: int, bn_size: int,
                 width: int) -> None:
        self.conv0 = _conv(in_channels, width, 7, 2)
        self.norm0 = BatchNorm2d(width)
        self.pool0 = MaxPool2d(3, stride=2, padding=1)
        self.blocks = len(depths)
        channels = width
        for i, depth in enumerate(depths, 1):
            setattr(self, f"denseblock{i}", DenseBlock(channels, depth, growth_rate, bn_size))
            channels += depth * growth_rate
            if i < self.blocks:
                setattr(self, f"transition{i}", Transition(channels))
                channels //= 2
        self.norm5 = BatchNorm2d(channels)
        self.channels = channels

    def connect(self, x: Node) -> Node:
        x = self.pool0(relu(self.norm0(self.conv0(x))))
        for i in range(1, self.blocks + 1):
            x = getattr(self, f"denseblock{i}")(x)
            if i < self.blocks:
                x = getattr(self, f"transition{i}")(x)
        return relu(self.norm5(x))


class DenseNet(Module):
    """`Features`, a mean over each map, a dense layer.

    Names and sizes are torchvision's.

    Parameters
    ----------
    depths : layers of each block
    growth_rate : maps that a layer adds
    width : maps of the first convolution
    bn_size : how many times `growth_rate` maps the 1×1 convolutions make
    num_classes, in_channels : the task
    """

    def __init__(self, depths: Sequence[int], growth_rate: int = 32, width: int = 64,
                 bn_size: int = 4, num_classes: int = 1000, in_channels: int = 3) -> None:
        self.features = Features(in_channels, depths, growth_rate, bn_size, width)
        self.avgpool = GlobalAvgPool2d()
        self.classifier = Linear(self.features.channels, num_classes)

    def connect(self, x: Node) -> Node:
        return self.classifier(flatten(self.avgpool(self.features(x))))


@register
def densenet121(num_classes: int = 1000, in_channels: int = 3, image_size: int = 224) -> DenseNet:
    """Build the `DenseNet` of 121 layers: 7,978,856 parameters for 1000 classes.

    Parameters
    ----------
    num_classes : scores that come out
    in_channels, image_size : of the square images that go in; 29 × 29 at least

    >>> sum(w.size for w in densenet121().params.values())
    7978856
    """
    return DenseNet((6, 12, 24, 16), num_classes=num_classes, in_channels=in_channels)
