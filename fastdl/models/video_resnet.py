"""3D ResNet: residual networks for video.

Tran, Wang, Torresani, Ray, LeCun & Paluri, 2017 (arXiv 1711.11248), figure 1 (d) and table 1. The
filters are 3×3×3: they see three frames, so a network learns motion from pixels. The paper compares
it with cheaper mixtures of two and three dimensions.

r3d_18: 33,371,472 parameters, 81 GFLOP for 16 frames of 112 × 112.
"""

from typing import Any

from ..graph import Node
from ..layers import BatchNorm3d, Conv3d, GlobalAvgPool3d, Linear, ReLU, flatten, relu
from ..module import Module, Sequential
from ._registry import register


def _conv(in_channels: int, channels: int, stride: int = 1) -> Conv3d:
    return Conv3d(in_channels, channels, 3, stride, padding=1, bias=False, weight_init="he")


class BasicBlock(Module):
    """Two 3×3×3 convolutions.

    Parameters
    ----------
    in_channels, width : channels that come in, and go out
    stride : of the first convolution
    """

    def __init__(self, in_channels: int, width: int, stride: int = 1) -> None:
        self.conv1 = Sequential(_conv(in_channels, width, stride), BatchNorm3d(width), ReLU())
        self.conv2 = Sequential(_conv(width, width), BatchNorm3d(width))
        self.downsample = None
        if stride != 1 or in_channels != width:
            self.downsample = Sequential(
                Conv3d(in_channels, width, 1, stride, bias=False, weight_init="he"),
                BatchNorm3d(width))

    def connect(self, x: Node) -> Node:
        y = self.conv2(self.conv1(x))
        return relu(y + (self.downsample(x) if self.downsample else x))


class VideoResNet(Module):
    """A convolution, four stages of two blocks, a mean over each map, a dense layer.

    Names and sizes are torchvision's.

    Parameters
    ----------
    num_classes, in_channels : the task; videos are (N, C, frames, height, width)
    image_size : any will do
    """

    def __init__(self, num_classes: int = 400, in_channels: int = 3,
                 image_size: int = 112) -> None:
        self.stem = Sequential(
            Conv3d(in_channels, 64, (3, 7, 7), (1, 2, 2), (1, 3, 3), bias=False,
                   weight_init="he"),
            BatchNorm3d(64), ReLU())
        self.layer1 = Sequential(BasicBlock(64, 64), BasicBlock(64, 64))
        self.layer2 = Sequential(BasicBlock(64, 128, 2), BasicBlock(128, 128))
        self.layer3 = Sequential(BasicBlock(128, 256, 2), BasicBlock(256, 256))
        self.layer4 = Sequential(BasicBlock(256, 512, 2), BasicBlock(512, 512))
        self.avgpool = GlobalAvgPool3d()
        self.fc = Linear(512, num_classes)

    def connect(self, x: Node) -> Node:
        x = self.layer4(self.layer3(self.layer2(self.layer1(self.stem(x)))))
        return self.fc(flatten(self.avgpool(x)))


@register
def r3d_18(num_classes: int = 400, **options: Any) -> VideoResNet:
    """Build the 3D ResNet of 18 layers.

    >>> sum(w.size for w in r3d_18().params.values())
    33371472
    """
    return VideoResNet(num_classes, **options)
