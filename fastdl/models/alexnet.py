"""AlexNet: the deep CNN that won ImageNet in 2012, as it was, and in its later form of one tower.

Krizhevsky, Sutskever & Hinton, 2012, figure 2; Krizhevsky, 2014 (arXiv 1404.5997). New were ReLU in
place of tanh, dropout in the dense layers, overlapping pools, normalisation among neighbouring
channels, and training on GPUs: the first form is split in two, one half for each, which meet in the
third convolution and the dense layers. Nine tenths of the parameters are in the dense layers.

| network | parameters | GFLOP for 224 × 224 |
| --- | --- | --- |
| alexnet, torchvision's | 61,100,840 | 1.4 |
| alexnet_paper | 60,965,224 (60 M) | 1.4 |
"""

from typing import Any

from ..graph import Node
from ..layers import (
    AdaptiveAvgPool2d,
    Conv2d,
    Dropout,
    Linear,
    LocalResponseNorm,
    MaxPool2d,
    ReLU,
    flatten,
)
from ..module import Module, Sequential
from ._registry import register


class AlexNet(Module):
    """Five convolutions with three pools between them, then three dense layers.

    Names and sizes are torchvision's. The first dense layer is made for images of `image_size`; of
    others, adaptive pooling brings the last maps to the size that it reads.

    Parameters
    ----------
    num_classes, in_channels, image_size : the task; images of 63 × 63 at least
    dropout : probability
    """

    def __init__(self, num_classes: int = 1000, in_channels: int = 3, image_size: int = 224,
                 *, dropout: float = 0.5) -> None:
        self.features = Sequential(
            Conv2d(in_channels, 64, 11, stride=4, padding=2, weight_init="he"), ReLU(),
            MaxPool2d(3, stride=2),
            Conv2d(64, 192, 5, padding=2, weight_init="he"), ReLU(),
            MaxPool2d(3, stride=2),
            Conv2d(192, 384, 3, padding=1, weight_init="he"), ReLU(),
            Conv2d(384, 256, 3, padding=1, weight_init="he"), ReLU(),
            Conv2d(256, 256, 3, padding=1, weight_init="he"), ReLU(),
            MaxPool2d(3, stride=2))
        size = _last_size(image_size)
        self.avgpool = AdaptiveAvgPool2d(size)
        self.classifier = Sequential(
            Dropout(dropout), Linear(256 * size**2, 4096, weight_init="he"), ReLU(),
            Dropout(dropout), Linear(4096, 4096, weight_init="he"), ReLU(),
            Linear(4096, num_classes, weight_init=0.01))

    def connect(self, x: Node) -> Node:
        return self.classifier(flatten(self.avgpool(self.features(x))))


class AlexNetPaper(Module):
    """Five convolutions, three overlapping pools and three dense layers, in two towers.

    The towers are groups of the second, fourth and fifth convolution. The paper says 224, but its
    maps of 55 × 55 need images of 227 × 227, or a border of 2, which is here. Weights are normal
    with a standard deviation of 0.01 (section 5).

    Parameters
    ----------
    num_classes, in_channels, image_size : the task; images of 63 × 63 at least
    dropout : probability
    """

    def __init__(self, num_classes: int = 1000, in_channels: int = 3, image_size: int = 224, *,
                 dropout: float = 0.5) -> None:
        def norm() -> LocalResponseNorm:
            return LocalResponseNorm(5, alpha=5 * 1e-4, beta=0.75, k=2.0)

        self.features = Sequential(
            Conv2d(in_channels, 96, 11, stride=4, padding=2, weight_init=0.01), ReLU(), norm(),
            MaxPool2d(3, stride=2),
            Conv2d(96, 256, 5, padding=2, groups=2, weight_init=0.01), ReLU(), norm(),
            MaxPool2d(3, stride=2),
            Conv2d(256, 384, 3, padding=1, weight_init=0.01), ReLU(),
            Conv2d(384, 384, 3, padding=1, groups=2, weight_init=0.01), ReLU(),
            Conv2d(384, 256, 3, padding=1, groups=2, weight_init=0.01), ReLU(),
            MaxPool2d(3, stride=2))
        self.classifier = Sequential(
            Linear(256 * _last_size(image_size)**2, 4096, weight_init=0.01), ReLU(),
            Dropout(dropout),
            Linear(4096, 4096, weight_init=0.01), ReLU(), Dropout(dropout),
            Linear(4096, num_classes, weight_init=0.01))

    def connect(self, x: Node) -> Node:
        return self.classifier(flatten(self.features(x)))


def _last_size(image_size: int) -> int:
    """Of the maps that the dense layers read: 6 for images of 224 × 224."""
    size = (image_size - 7) // 4 + 1
    for _ in range(3):
        size = (size - 3) // 2 + 1
    return size


@register
def alexnet(num_classes: int = 1000, **options: Any) -> AlexNet:
    """Build `AlexNet` of one tower.

    >>> alexnet(num_classes=10, image_size=64).classifier[1]
    Linear(256, 4096)
    """
    return AlexNet(num_classes, **options)


@register
def alexnet_paper(num_classes: int = 1000, **options: Any) -> AlexNetPaper:
    """Build `AlexNetPaper`, of two towers.

    >>> sum(w.size for w in alexnet_paper().params.values())
    60965224
    """
    return AlexNetPaper(num_classes, **options)
