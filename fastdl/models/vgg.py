"""VGG: nothing but 3×3 convolutions, more of them.

Simonyan & Zisserman, 2014 (arXiv 1409.1556), table 1 (columns A, B, D and E). New was the depth:
two 3×3 convolutions see as far as one of 5×5, with fewer weights and one more ReLU. Most parameters
are in the first dense layer. Batch norm, which came later, is an option, as in torchvision.

| network | parameters | with batch norm | GFLOP for 224 × 224 |
| --- | --- | --- | --- |
| vgg11 | 132,863,336 | 132,868,840 | 15.2 |
| vgg13 | 133,047,848 | 133,053,736 | 22.6 |
| vgg16 | 138,357,544 | 138,365,992 | 30.9 |
| vgg19 | 143,667,240 | 143,678,248 | 39.3 |
"""

from collections.abc import Sequence
from typing import Any

from ..graph import Node
from ..layers import (
    AdaptiveAvgPool2d,
    BatchNorm2d,
    Conv2d,
    Dropout,
    Layer,
    Linear,
    MaxPool2d,
    ReLU,
    flatten,
)
from ..module import Module, Sequential
from ._registry import register

WIDTHS = (64, 128, 256, 512, 512)


class VGG(Module):
    """Five stages of convolutions, each followed by a pool; then three dense layers.

    Names and sizes are torchvision's. The first dense layer is made for images of `image_size`; of
    others, adaptive pooling brings the last maps to the size that it reads.

    Parameters
    ----------
    depths : convolutions of each stage
    num_classes, in_channels, image_size : the task; images of 32 × 32 at least
    batch_norm : behind each convolution
    dropout : probability
    """

    def __init__(self, depths: Sequence[int], num_classes: int = 1000, in_channels: int = 3,
                 image_size: int = 224, *, batch_norm: bool = False, dropout: float = 0.5) -> None:
        parts: list[Layer] = []
        for depth, width in zip(depths, WIDTHS, strict=True):
            for _ in range(depth):
                parts.append(Conv2d(in_channels, width, 3, padding=1, weight_init="he"))
                parts += [BatchNorm2d(width), ReLU()] if batch_norm else [ReLU()]
                in_channels = width
            parts.append(MaxPool2d(2))
        self.features = Sequential(*parts)
        size = image_size // 2**len(WIDTHS)
        self.avgpool = AdaptiveAvgPool2d(size)
        self.classifier = Sequential(
            Linear(WIDTHS[-1] * size**2, 4096, weight_init="he"), ReLU(), Dropout(dropout),
            Linear(4096, 4096, weight_init="he"), ReLU(), Dropout(dropout),
            Linear(4096, num_classes, weight_init=0.01))

    def connect(self, x: Node) -> Node:
        return self.classifier(flatten(self.avgpool(self.features(x))))


A, B, D, E = (1, 1, 2, 2, 2), (2, 2, 2, 2, 2), (2, 2, 3, 3, 3), (2, 2, 4, 4, 4)


@register
def vgg11(num_classes: int = 1000, **options: Any) -> VGG:
    """Build the `VGG` of 11 layers.

    >>> len(vgg11(num_classes=10, image_size=32).features)
    21
    """
    return VGG(A, num_classes, **options)


@register
def vgg11_bn(num_classes: int = 1000, **options: Any) -> VGG:
    """Build the `VGG` of 11 layers with batch norm."""
    return VGG(A, num_classes, batch_norm=True, **options)


@register
def vgg13(num_classes: int = 1000, **options: Any) -> VGG:
    """Build the `VGG` of 13 layers."""
    return VGG(B, num_classes, **options)


@register
def vgg13_bn(num_classes: int = 1000, **options: Any) -> VGG:
    """Build the `VGG` of 13 layers with batch norm."""
    return VGG(B, num_classes, batch_norm=True, **options)


@register
def vgg16(num_classes: int = 1000, **options: Any) -> VGG:
    """Build the `VGG` of 16 layers."""
    return VGG(D, num_classes, **options)


@register
def vgg16_bn(num_classes: int = 1000, **options: Any) -> VGG:
    """Build the `VGG` of 16 layers with batch norm."""
    return VGG(D, num_classes, batch_norm=True, **options)


@register
def vgg19(num_classes: int = 1000, **options: Any) -> VGG:
    """Build the `VGG` of 19 layers."""
    return VGG(E, num_classes, **options)


@register
def vgg19_bn(num_classes: int = 1000, **options: Any) -> VGG:
    """Build the `VGG` of 19 layers with batch norm."""
    return VGG(E, num_classes, batch_norm=True, **options)
