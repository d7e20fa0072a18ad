"""GoogLeNet: several sizes of filters side by side, and no large dense layer.

Szegedy et al., 2014 (arXiv 1409.4842). New was the inception module: 1×1, 3×3 and 5×5 filters and a
pool read the same maps, and 1×1 convolutions before the larger ones keep them cheap. The paper's
auxiliary classifiers, which help in training alone, are left out here.
"""

from ..graph import Node
from ..layers import (
    BatchNorm2d,
    Conv2d,
    Dropout,
    GlobalAvgPool2d,
    Linear,
    MaxPool2d,
    concat,
    flatten,
    relu,
)
from ..module import Module, Sequential
from ._registry import register


class BasicConv2d(Module):
    """Convolution, batch norm, ReLU."""

    def __init__(self, in_channels: int, channels: int, kernel_size: int, stride: int = 1) -> None:
        self.conv = Conv2d(in_channels, channels, kernel_size, stride, padding=kernel_size // 2,
                           bias=False, weight_init="he")
        self.bn = BatchNorm2d(channels, eps=0.001)

    def connect(self, x: Node) -> Node:
        return relu(self.bn(self.conv(x)))


class Inception(Module):
    """Four branches side by side.

    torchvision has 3×3 filters where the paper has 5×5, and so it is here: its weights fit.

    Parameters
    ----------
    in_channels : that come in
    ch1x1 : filters of the first branch
    ch3x3red, ch3x3 : of the second, 1×1 and then 3×3
    ch5x5red, ch5x5 : of the third, likewise
    pool_proj : of the fourth, after a pool
    """

    def __init__(self, in_channels: int, ch1x1: int, ch3x3red: int, ch3x3: int, ch5x5red: int,
                 ch5x5: int, pool_proj: int) -> None:
        self.branch1 = BasicConv2d(in_channels, ch1x1, 1)
        self.branch2 = Sequential(BasicConv2d(in_channels, ch3x3red, 1),
                                  BasicConv2d(ch3x3red, ch3x3, 3))
        self.branch3 = Sequential(BasicConv2d(in_channels, ch5x5red, 1),
                                  BasicConv2d(ch5x5red, ch5x5, 3))
        self.branch4 = Sequential(MaxPool2d(3, stride=1, padding=1, ceil_mode=True),
                                  BasicConv2d(in_channels, pool_proj, 1))

    def connect(self, x: Node) -> Node:
        return concat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)])


class GoogLeNet(Module):
    """Three convolutions, nine inception modules with pools between them, one dense layer.

    Names and sizes are torchvision's, which has batch norm (the paper came before it).

    Parameters
    ----------
    num_classes, in_channels : the task
    dropout : probability
    """

    def __init__(self, num_classes: int = 1000, in_channels: int = 3,
                 dropout: float = 0.2) -> None:
        self.conv1 = BasicConv2d(in_channels, 64, 7, stride=2)
        self.maxpool1 = MaxPool2d(3, stride=2, ceil_mode=True)
        self.conv2 = BasicConv2d(64, 64, 1)
        self.conv3 = BasicConv2d(64, 192, 3)
        self.maxpool2 = MaxPool2d(3, stride=2, ceil_mode=True)
        self.inception3a = Inception(192, 64, 96, 128, 16, 32, 32)
        self.inception3b = Inception(256, 128, 128, 192, 32, 96, 64)
        self.maxpool3 = MaxPool2d(3, stride=2, ceil_mode=True)
        self.inception4a = Inception(480, 192, 96, 208, 16, 48, 64)
        self.inception4b = Inception(512, 160, 112, 224, 24, 64, 64)
        self.inception4c = Inception(512, 128, 128, 256, 24, 64, 64)
        self.inception4d = Inception(512, 112, 144, 288, 32, 64, 64)
        self.inception4e = Inception(528, 256, 160, 320, 32, 128, 128)
        self.maxpool4 = MaxPool2d(2, stride=2, ceil_mode=True)
        self.inception5a = Inception(832, 256, 160, 320, 32, 128, 128)
        self.inception5b = Inception(832, 384, 192, 384, 48, 128, 128)
        self.avgpool = GlobalAvgPool2d()
        self.dropout = Dropout(dropout)
        self.fc = Linear(1024, num_classes)

    def connect(self, x: Node) -> Node:
        for part in (self.conv1, self.maxpool1, self.conv2, self.conv3, self.maxpool2,
                     self.inception3a, self.inception3b, self.maxpool3,
                     self.inception4a, self.inception4b, self.inception4c, self.inception4d,
                     self.inception4e, self.maxpool4,
                     self.inception5a, self.inception5b, self.avgpool):
            x = part(x)
        return self.fc(self.dropout(flatten(x)))


@register
def googlenet(num_classes: int = 1000, in_channels: int = 3, image_size: int = 224) -> GoogLeNet:
    """Build `GoogLeNet`: 6,624,904 parameters for 1000 classes.

    Parameters
    ----------
    num_classes : scores that come out
    in_channels, image_size : of the square images that go in; 31 × 31 at least

    >>> sum(w.size for w in googlenet().params.values())
    6624904
    """
    return GoogLeNet(num_classes, in_channels)
