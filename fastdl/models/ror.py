"""RoR: residual networks of residual networks.

Zhang, Sun, Han, Yuan, Guo & Liu, 2016 (arXiv 1608.02908), figures 1 and 2. New were shortcuts over
shortcuts: beside those of the blocks, one over each stage and one over all three, so that what the
upper levels learn is a residual, too. The upper two kinds are 1×1 convolutions where shapes change,
those of blocks have no parameters.

ror3_110: 1,731,866 parameters, 0.51 GFLOP for an image of 32 × 32. ("3" are the levels.)
"""

from typing import Any

from ..graph import Node
from ..layers import BatchNorm2d, GlobalAvgPool2d, Linear, flatten, relu
from ..module import Module, ModuleList
from ._parts import ConvNorm, Subsample, conv
from ._registry import register
from .resnet_cifar import blocks_of


class Branch(Module):
    """Two 3×3 convolutions with a shortcut; the ReLU behind the sum is left to the caller.

    Parameters
    ----------
    in_channels, channels : that come in and go out
    stride : of the first convolution
    """

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        self.conv1 = conv(in_channels, channels, 3, stride)
        self.bn1 = BatchNorm2d(channels)
        self.conv2 = conv(channels, channels, 3)
        self.bn2 = BatchNorm2d(channels)
        same = stride == 1 and in_channels == channels
        self.shortcut = None if same else Subsample(channels, stride)

    def connect(self, x: Node) -> Node:
        y = self.bn2(self.conv2(relu(self.bn1(self.conv1(x)))))
        return y + (self.shortcut(x) if self.shortcut else x)


class Stage(Module):
    """Blocks, and a shortcut over all of them, to before the last ReLU.

    Parameters
    ----------
    in_channels, channels : that come in and go out
    blocks : how many
    stride : of the first
    """

    def __init__(self, in_channels: int, channels: int, blocks: int, stride: int) -> None:
        self.blocks = ModuleList(Branch(channels if i else in_channels, channels,
                                        1 if i else stride) for i in range(blocks))
        same = stride == 1 and in_channels == channels
        self.shortcut = (None if same
                         else ConvNorm(in_channels, channels, 1, stride, activation=None))

    def connect(self, x: Node) -> Node:
        y = x
        for i, block in enumerate(self.blocks):
            y = block(relu(y) if i else y)
        return y + (self.shortcut(x) if self.shortcut else x)


class RoR(Module):
    """A convolution, three stages with a shortcut over all of them, a dense layer.

    Parameters
    ----------
    depth : 6 n + 2 layers
    num_classes, in_channels : the task
    image_size : any will do
    """

    def __init__(self, depth: int, num_classes: int = 10, in_channels: int = 3,
                 image_size: int = 32) -> None:
        blocks = blocks_of(depth, 2)
        self.conv1 = ConvNorm(in_channels, 16, 3)
        self.layer1 = Stage(16, 16, blocks, 1)
        self.layer2 = Stage(16, 32, blocks, 2)
        self.layer3 = Stage(32, 64, blocks, 2)
        self.shortcut = ConvNorm(16, 64, 1, 4, activation=None)
        self.avgpool = GlobalAvgPool2d()
        self.fc = Linear(64, num_classes, weight_init="he")

    def connect(self, x: Node) -> Node:
        x = self.conv1(x)
        y = self.layer3(relu(self.layer2(relu(self.layer1(x)))))
        return self.fc(flatten(self.avgpool(relu(y + self.shortcut(x)))))


@register
def ror3_110(num_classes: int = 10, *, depth: int = 110, **options: Any) -> RoR:
    """Build `RoR` of 110 layers."""
    return RoR(depth, num_classes, **options)
