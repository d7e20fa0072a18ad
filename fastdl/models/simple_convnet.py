"""SimpleConvNet: one convolution, two dense layers; the first CNN of the course."""

from ..graph import Node
from ..layers import Conv2d, Linear, MaxPool2d, flatten, relu
from ..module import Module
from ._registry import register


class SimpleConvNet(Module):
    """conv 5×5 - ReLU - pool 2×2 - dense - ReLU - dense.

    Parameters
    ----------
    num_classes, in_channels, image_size : the task
    filters, hidden_size : widths, 30 and 100 in the course
    """

    def __init__(self, num_classes: int = 10, in_channels: int = 1, image_size: int = 28,
                 filters: int = 30, hidden_size: int = 100) -> None:
        pooled = (image_size - 4) // 2
        self.conv1 = Conv2d(in_channels, filters, 5, weight_init="he")
        self.pool1 = MaxPool2d(2)
        self.fc1 = Linear(filters * pooled**2, hidden_size, weight_init="he")
        self.fc2 = Linear(hidden_size, num_classes, weight_init="he")

    def connect(self, x: Node) -> Node:
        x = self.pool1(relu(self.conv1(x)))
        return self.fc2(relu(self.fc1(flatten(x))))


@register
def simple_convnet(num_classes: int = 10, in_channels: int = 1,
                   image_size: int = 28) -> SimpleConvNet:
    """Build the `SimpleConvNet` of the course.

    Parameters
    ----------
    num_classes : scores that come out
    in_channels, image_size : of the square images that go in

    >>> sum(w.size for w in simple_convnet().params.values())
    433890
    """
    return SimpleConvNet(num_classes, in_channels, image_size)
