"""DeepConvNet: six 3×3 convolutions in pairs and two dense layers; the course's deep CNN."""

from ..graph import Node
from ..layers import Conv2d, Dropout, Linear, MaxPool2d, ReLU, flatten, relu
from ..module import Module, Sequential
from ._registry import register


class DeepConvNet(Module):
    """(conv - ReLU - conv - ReLU - pool) × 3 - dense - ReLU - dropout - dense.

    The widths are 16, 32 and 64. The fourth convolution pads by 2, so that 28 × 28 images end as
    4 × 4 maps. The course drops out half of the scores as well; that is left out here.

    Parameters
    ----------
    num_classes, in_channels, image_size : the task
    hidden_size : width of the dense layer
    dropout : probability
    """

    def __init__(self, num_classes: int = 10, in_channels: int = 1, image_size: int = 28,
                 hidden_size: int = 50, dropout: float = 0.5) -> None:
        self.features = Sequential(
            *_pair(in_channels, 16), *_pair(16, 32, padding=2), *_pair(32, 64))
        size = ((image_size // 2 + 2) // 2) // 2
        self.fc1 = Linear(64 * size**2, hidden_size, weight_init="he")
        self.dropout = Dropout(dropout)
        self.fc2 = Linear(hidden_size, num_classes, weight_init="he")

    def connect(self, x: Node) -> Node:
        x = flatten(self.features(x))
        return self.fc2(self.dropout(relu(self.fc1(x))))


def _pair(in_channels: int, channels: int, padding: int = 1) -> tuple:
    """Two convolutions and a pool; `padding` is the second one's."""
    return (Conv2d(in_channels, channels, 3, padding=1, weight_init="he"), ReLU(),
            Conv2d(channels, channels, 3, padding=padding, weight_init="he"), ReLU(),
            MaxPool2d(2))


@register
def deep_convnet(num_classes: int = 10, in_channels: int = 1,
                 image_size: int = 28) -> DeepConvNet:
    """Build the `DeepConvNet` of the course.

    Parameters
    ----------
    num_classes : scores that come out
    in_channels, image_size : of the square images that go in

    >>> sum(w.size for w in deep_convnet().params.values())
    123552
    """
    return DeepConvNet(num_classes, in_channels, image_size)
