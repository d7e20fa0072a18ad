"""CifarNet: two convolutions and two dense layers; the network of the reports on CIFAR-10."""

from ..graph import Node
from ..layers import Conv2d, Linear, MaxPool2d, flatten, relu
from ..module import Module
from ._registry import register


class CifarNet(Module):
    """conv 3×3 - ReLU - conv 3×3 - ReLU - pool 2×2 - dense - ReLU - dense.

    Both convolutions have 32 filters; only the first one pads.

    Parameters
    ----------
    num_classes, in_channels, image_size : the task
    hidden_size : width of the dense layer
    """

    def __init__(self, num_classes: int = 10, in_channels: int = 3, image_size: int = 32,
                 hidden_size: int = 512) -> None:
        pooled = (image_size - 2) // 2
        self.conv1 = Conv2d(in_channels, 32, 3, padding=1, weight_init="he")
        self.conv2 = Conv2d(32, 32, 3, weight_init="he")
        self.pool = MaxPool2d(2)
        self.fc1 = Linear(32 * pooled**2, hidden_size, weight_init="he")
        self.fc2 = Linear(hidden_size, num_classes, weight_init="he")

    def connect(self, x: Node) -> Node:
        x = self.pool(relu(self.conv2(relu(self.conv1(x)))))
        return self.fc2(relu(self.fc1(flatten(x))))


@register
def cifar_net(num_classes: int = 10, in_channels: int = 3, image_size: int = 32) -> CifarNet:
    """Build the `CifarNet` of the reports.

    Parameters
    ----------
    num_classes : scores that come out
    in_channels, image_size : of the square images that go in

    >>> sum(w.size for w in cifar_net().params.values())
    3702186
    """
    return CifarNet(num_classes, in_channels, image_size)
