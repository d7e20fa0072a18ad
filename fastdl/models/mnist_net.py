"""MnistNet: two wide convolutions and three dense layers; the network of the slides on MNIST."""

from ..graph import Node
from ..layers import Conv2d, Linear, MaxPool2d, flatten, relu
from ..module import Module
from ._registry import register


class MnistNet(Module):
    """(conv 5×5 - ReLU - pool 2×2) × 2 - dense - ReLU - dense - ReLU - dense.

    64 and 128 filters, then 2048 and 1024 neurons. The names are those of the slides.

    Parameters
    ----------
    num_classes, in_channels, image_size : the task
    """

    def __init__(self, num_classes: int = 10, in_channels: int = 1, image_size: int = 28) -> None:
        pooled = ((image_size - 4) // 2 - 4) // 2
        self.conv1 = Conv2d(in_channels, 64, 5, weight_init="he")
        self.max_pool1 = MaxPool2d(2)
        self.conv2 = Conv2d(64, 128, 5, weight_init="he")
        self.max_pool2 = MaxPool2d(2)
        self.fc1 = Linear(128 * pooled**2, 2048, weight_init="he")
        self.fc2 = Linear(2048, 1024, weight_init="he")
        self.predictions = Linear(1024, num_classes, weight_init="he")

    def connect(self, x: Node) -> Node:
        x = self.max_pool1(relu(self.conv1(x)))
        x = self.max_pool2(relu(self.conv2(x)))
        return self.predictions(relu(self.fc2(relu(self.fc1(flatten(x))))))


@register
def mnist_net(num_classes: int = 10, in_channels: int = 1, image_size: int = 28) -> MnistNet:
    """Build the `MnistNet` of the slides.

    Parameters
    ----------
    num_classes : scores that come out
    in_channels, image_size : of the square images that go in

    >>> sum(w.size for w in mnist_net().params.values())
    6511370
    """
    return MnistNet(num_classes, in_channels, image_size)
