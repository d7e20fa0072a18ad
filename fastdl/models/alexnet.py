"""AlexNet: the deep CNN that won ImageNet in 2012, in its later form of a single tower.

Krizhevsky, Sutskever & Hinton, 2012; Krizhevsky, 2014 (arXiv 1404.5997). New were ReLU in place of
tanh, dropout in the dense layers, and training on GPUs; the first form was split in two, one half
for each. Nine tenths of the parameters are in the dense layers.
"""

from ..graph import Node
from ..layers import Conv2d, Dropout, Linear, MaxPool2d, ReLU, flatten
from ..module import Module, Sequential
from ._registry import register


class AlexNet(Module):
    """Five convolutions with three pools between them, then three dense layers.

    Names and sizes are torchvision's. Its adaptive pooling does nothing to images of 224 × 224;
    here the first dense layer follows the image's size instead.

    Parameters
    ----------
    num_classes, in_channels, image_size : the task; images of 63 × 63 at least
    dropout : probability
    """

    def __init__(self, num_classes: int = 1000, in_channels: int = 3, image_size: int = 224,
                 dropout: float = 0.5) -> None:
        self.features = Sequential(
            Conv2d(in_channels, 64, 11, stride=4, padding=2, weight_init="he"), ReLU(),
            MaxPool2d(3, stride=2),
            Conv2d(64, 192, 5, padding=2, weight_init="he"), ReLU(),
            MaxPool2d(3, stride=2),
            Conv2d(192, 384, 3, padding=1, weight_init="he"), ReLU(),
            Conv2d(384, 256, 3, padding=1, weight_init="he"), ReLU(),
            Conv2d(256, 256, 3, padding=1, weight_init="he"), ReLU(),
            MaxPool2d(3, stride=2))
        size = (image_size - 7) // 4 + 1
        for _ in range(3):
            size = (size - 3) // 2 + 1
        self.classifier = Sequential(
            Dropout(dropout), Linear(256 * size**2, 4096, weight_init="he"), ReLU(),
            Dropout(dropout), Linear(4096, 4096, weight_init="he"), ReLU(),
            Linear(4096, num_classes, weight_init=0.01))

    def connect(self, x: Node) -> Node:
        return self.classifier(flatten(self.features(x)))


@register
def alexnet(num_classes: int = 1000, in_channels: int = 3, image_size: int = 224) -> AlexNet:
    """Build `AlexNet`: 61,100,840 parameters for 1000 classes and images of 224 × 224.

    Parameters
    ----------
    num_classes : scores that come out
    in_channels, image_size : of the square images that go in

    >>> alexnet(num_classes=10, image_size=64).classifier[1]
    Linear(256, 4096)
    """
    return AlexNet(num_classes, in_channels, image_size)
