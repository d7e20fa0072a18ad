"""ZFNet: AlexNet, after a look inside.

Zeiler & Fergus, 2013 (arXiv 1311.2901), figure 3. New was the looking: a network run backwards
shows what its filters respond to. AlexNet's first ones were found too large and too far apart, so
they are 7×7 at a stride of 2 here, and the network won ImageNet in 2013.

62,357,608 parameters, 2.3 GFLOP for an image of 224 × 224.
"""

from typing import Any

from ..graph import Node
from ..layers import Conv2d, Dropout, Linear, LocalResponseNorm, MaxPool2d, ReLU, flatten
from ..module import Module, Sequential
from ._registry import register


class ZFNet(Module):
    """Five convolutions with three overlapping pools, then three dense layers.

    Parameters
    ----------
    num_classes, in_channels, image_size : the task; images of 53 × 53 at least
    dropout : probability
    """

    def __init__(self, num_classes: int = 1000, in_channels: int = 3, image_size: int = 224, *,
                 dropout: float = 0.5) -> None:
        def norm() -> LocalResponseNorm:
            return LocalResponseNorm(5, alpha=5 * 1e-4, beta=0.75, k=2.0)

        self.features = Sequential(
            Conv2d(in_channels, 96, 7, stride=2, padding=1, weight_init="he"), ReLU(),
            MaxPool2d(3, stride=2, padding=1), norm(),
            Conv2d(96, 256, 5, stride=2, weight_init="he"), ReLU(),
            MaxPool2d(3, stride=2, padding=1), norm(),
            Conv2d(256, 384, 3, padding=1, weight_init="he"), ReLU(),
            Conv2d(384, 384, 3, padding=1, weight_init="he"), ReLU(),
            Conv2d(384, 256, 3, padding=1, weight_init="he"), ReLU(),
            MaxPool2d(3, stride=2))
        size = (image_size - 5) // 2 + 1                # 110, of 224
        size = ((size - 1) // 2 + 1 - 5) // 2 + 1       # 26
        size = ((size - 1) // 2 + 1 - 3) // 2 + 1       # 6
        self.classifier = Sequential(
            Linear(256 * size**2, 4096, weight_init="he"), ReLU(), Dropout(dropout),
            Linear(4096, 4096, weight_init="he"), ReLU(), Dropout(dropout),
            Linear(4096, num_classes, weight_init=0.01))

    def connect(self, x: Node) -> Node:
        return self.classifier(flatten(self.features(x)))


@register
def zfnet(num_classes: int = 1000, **options: Any) -> ZFNet:
    """Build `ZFNet`.

    >>> sum(w.size for w in zfnet().params.values())
    62357608
    """
    return ZFNet(num_classes, **options)
