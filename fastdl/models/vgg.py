"""VGG: nothing but 3×3 convolutions, more of them.

Simonyan & Zisserman, 2014 (arXiv 1409.1556). New was the depth: two 3×3 convolutions see as far as
one of 5×5, with fewer weights and one more ReLU. Most parameters are in the first dense layer.
"""

from collections.abc import Sequence

from ..graph import Node
from ..layers import Conv2d, Dropout, Layer, Linear, MaxPool2d, ReLU, flatten
from ..module import Module, Sequential
from ._registry import register

WIDTHS = (64, 128, 256, 512, 512)


class VGG(Module):
    """Five stages of convolutions, each followed by a pool; then three dense layers.

    Names and sizes are torchvision's. Its adaptive pooling does nothing to images of 224 × 224;
    here the first dense layer follows the image's size instead.

    Parameters
    ----------
    depths : convolutions of each stage
    num_classes, in_channels, image_size : the task; images of 32 × 32 at least
    dropout : probability
    """

    def __init__(self, depths: Sequence[int], num_classes: int = 1000, in_channels: int = 3,
                 image_size: int = 224, dropout: float = 0.5) -> None:
        parts: list[Layer] = []
        for depth, width in zip(depths, WIDTHS, strict=True):
            for _ in range(depth):
                parts += [Conv2d(in_channels, width, 3, padding=1, weight_init="he"), ReLU()]
                in_channels = width
            parts.append(MaxPool2d(2))
        self.features = Sequential(*parts)
        size = image_size // 2**len(WIDTHS)
        self.classifier = Sequential(
            Linear(WIDTHS[-1] * size**2, 4096, weight_init="he"), ReLU(), Dropout(dropout),
            Linear(4096, 4096, weight_init="he"), ReLU(), Dropout(dropout),
            Linear(4096, num_classes, weight_init=0.01))

    def connect(self, x: Node) -> Node:
        return self.classifier(flatten(self.features(x)))


@register
def vgg11(num_classes: int = 1000, in_channels: int = 3, image_size: int = 224) -> VGG:
    """Build the `VGG` of 11 layers: 132,863,336 parameters for 1000 classes and 224 × 224.

    Parameters
    ----------
    num_classes : scores that come out
    in_channels, image_size : of the square images that go in

    >>> len(vgg11(num_classes=10, image_size=32).features)
    21
    """
    return VGG((1, 1, 2, 2, 2), num_classes, in_channels, image_size)


@register
def vgg16(num_classes: int = 1000, in_channels: int = 3, image_size: int = 224) -> VGG:
    """Build the `VGG` of 16 layers: 138,357,544 parameters for 1000 classes and 224 × 224.

    Parameters
    ----------
    num_classes : scores that come out
    in_channels, image_size : of the square images that go in

    >>> len(vgg16(num_classes=10, image_size=32).features)
    31
    """
    return VGG((2, 2, 3, 3, 3), num_classes, in_channels, image_size)
