"""SqueezeNet: as accurate as AlexNet with a fiftieth of its parameters.

Iandola et al., 2016 (arXiv 1602.07360), figure 2 and table 1. New was the fire module: a 1×1
convolution squeezes the channels, so that the 3×3 filters after it have few of them to read; half
of what comes out is of 1×1 filters anyway. There are no dense layers: the last convolution has a
map for each class.

Version 1.0 has 1,248,424 parameters and does 1.64 GFLOP for an image of 224 × 224, version 1.1 has
1,235,496 and does 0.70.
"""

from typing import Any

from ..errors import ArgumentError
from ..graph import Node
from ..layers import (
    Conv2d,
    Dropout,
    GlobalAvgPool2d,
    Layer,
    MaxPool2d,
    ReLU,
    concat,
    flatten,
    relu,
)
from ..module import Module, Sequential
from ._registry import register


class Fire(Module):
    """Squeeze to few channels, then expand by 1×1 and by 3×3 filters, side by side.

    Parameters
    ----------
    in_channels : that come in
    squeezed : channels between
    expanded : filters of each kind; twice as many channels go out
    """

    def __init__(self, in_channels: int, squeezed: int, expanded: int) -> None:
        self.squeeze = Conv2d(in_channels, squeezed, 1, weight_init="he")
        self.expand1x1 = Conv2d(squeezed, expanded, 1, weight_init="he")
        self.expand3x3 = Conv2d(squeezed, expanded, 3, padding=1, weight_init="he")

    def connect(self, x: Node) -> Node:
        x = relu(self.squeeze(x))
        return concat([relu(self.expand1x1(x)), relu(self.expand3x3(x))])


class SqueezeNet(Module):
    """A convolution, eight fire modules with pools between them, a convolution to the classes.

    Names and sizes are torchvision's.

    Parameters
    ----------
    version : "1_0", the paper's, or "1_1", which pools earlier
    num_classes, in_channels : the task
    image_size : 29 × 29 at least for version 1_0, 25 × 25 for 1_1
    dropout : probability
    """

    def __init__(self, version: str = "1_0", num_classes: int = 1000, in_channels: int = 3,
                 image_size: int = 224, *, dropout: float = 0.5) -> None:
        def pool() -> MaxPool2d:
            return MaxPool2d(3, stride=2, ceil_mode=True)

        if version == "1_0":
            parts: list[Module | Layer] = [
                Conv2d(in_channels, 96, 7, stride=2, weight_init="he"), ReLU(), pool(),
                Fire(96, 16, 64), Fire(128, 16, 64), Fire(128, 32, 128), pool(),
                Fire(256, 32, 128), Fire(256, 48, 192), Fire(384, 48, 192),
                Fire(384, 64, 256), pool(), Fire(512, 64, 256)]
        elif version == "1_1":
            parts = [
                Conv2d(in_channels, 64, 3, stride=2, weight_init="he"), ReLU(), pool(),
                Fire(64, 16, 64), Fire(128, 16, 64), pool(),
                Fire(128, 32, 128), Fire(256, 32, 128), pool(),
                Fire(256, 48, 192), Fire(384, 48, 192), Fire(384, 64, 256), Fire(512, 64, 256)]
        else:
            raise ArgumentError(f'SqueezeNet: version must be "1_0" or "1_1", got {version!r}')
        self.features = Sequential(*parts)
        self.classifier = Sequential(
            Dropout(dropout), Conv2d(512, num_classes, 1, weight_init=0.01), ReLU(),
            GlobalAvgPool2d())

    def connect(self, x: Node) -> Node:
        return flatten(self.classifier(self.features(x)))


@register
def squeezenet1_0(num_classes: int = 1000, **options: Any) -> SqueezeNet:
    """Build the `SqueezeNet` of the paper."""
    return SqueezeNet("1_0", num_classes, **options)


@register
def squeezenet1_1(num_classes: int = 1000, **options: Any) -> SqueezeNet:
    """Build `SqueezeNet` 1.1, which needs less than half the arithmetic.

    >>> sum(w.size for w in squeezenet1_1().params.values())
    1235496
    """
    return SqueezeNet("1_1", num_classes, **options)
