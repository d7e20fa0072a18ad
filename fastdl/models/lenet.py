"""LeNet-5: the convolutional network that read cheques.

LeCun, Bottou, Bengio & Haffner, 1998 (Proceedings of the IEEE 86), figure 2 and table I. New was
the whole: convolutions, whose weights serve all places; subsampling between them; all learnt by
backpropagation. A pool's mean is scaled and shifted by one learnt number each. The third layer's
maps read some of the maps before, in a table of connections that breaks the symmetry. The squashing
function is 1.7159 tanh(2 x / 3).

The paper's radial basis functions at the end, which had fixed centres, are a dense layer here:
60,000 parameters as in the paper, and 850 of the dense layer; 0.66 MFLOP for an image of 32 × 32
(digits of 28 × 28 with a border of 2).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..graph import Node
from ..layers import AvgPool2d, Conv2d, Layer, Linear, concat, flatten
from ..module import Module
from ._registry import register

# Which maps of S2 each map of C3 reads: table I, in its order, by how many maps are read.
THREE = tuple(tuple((i + j) % 6 for j in range(3)) for i in range(6))
FOUR = (*(tuple((i + j) % 6 for j in range(4)) for i in range(6)),
        (0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5))


class Squash(Layer):
    """``1.7159 tanh(2 x / 3)``, which is 1 at 1."""

    def apply(self, inputs: tuple[np.ndarray, ...], params: Mapping[str, np.ndarray],
              training: bool) -> tuple[np.ndarray, Any]:
        (x,) = inputs
        y = np.tanh(x * x.dtype.type(2 / 3))
        return y * y.dtype.type(1.7159), y

    def grad(self, dy: np.ndarray, saved: Any) -> Any:
        return (dy * (1 - saved * saved) * dy.dtype.type(1.7159 * 2 / 3),), {}


class Select(Layer):
    """Some channels, in some order; one may come several times.

    Parameters
    ----------
    channels : numbers of the channels
    """

    def __init__(self, channels: Sequence[int]) -> None:
        self.channels = tuple(channels)

    def apply(self, inputs: tuple[np.ndarray, ...], params: Mapping[str, np.ndarray],
              training: bool) -> tuple[np.ndarray, Any]:
        (x,) = inputs
        return x[:, self.channels, :, :], x.shape

    def grad(self, dy: np.ndarray, saved: Any) -> Any:
        dx = np.zeros(saved, dy.dtype)
        for i, channel in enumerate(self.channels):
            dx[:, channel] += dy[:, i]
        return (dx,), {}


class Subsampling(Module):
    """The mean of 2 × 2 pixels, times a learnt number for each map, plus another, squashed.

    Parameters
    ----------
    channels : of the maps
    """

    def __init__(self, channels: int) -> None:
        self.pool = AvgPool2d(2)
        self.scale = Conv2d(channels, channels, 1, groups=channels)
        self.squash = Squash()

    def connect(self, x: Node) -> Node:
        return self.squash(self.scale(self.pool(x)))


class PartialConv(Module):
    """Layer C3: six maps that read three maps each, nine that read four, and one that reads six."""

    def __init__(self) -> None:
        self.select3 = Select(sum(THREE, ()))
        self.conv3 = Conv2d(18, 6, 5, groups=6)
        self.select4 = Select(sum(FOUR, ()))
        self.conv4 = Conv2d(36, 9, 5, groups=9)
        self.conv6 = Conv2d(6, 1, 5)

    def connect(self, x: Node) -> Node:
        return concat([self.conv3(self.select3(x)), self.conv4(self.select4(x)), self.conv6(x)])


class LeNet5(Module):
    """C1, S2, C3, S4, C5, F6 and a dense layer.

    Parameters
    ----------
    num_classes, in_channels : the task
    image_size : of the square images; 28 gets a border of 2
    """

    def __init__(self, num_classes: int = 10, in_channels: int = 1, image_size: int = 28) -> None:
        border = 2 if image_size == 28 else 0
        size = ((image_size + 2 * border - 4) // 2 - 4) // 2
        self.c1 = Conv2d(in_channels, 6, 5, padding=border)
        self.s2 = Subsampling(6)
        self.c3 = PartialConv()
        self.s4 = Subsampling(16)
        self.c5 = Conv2d(16, 120, size)
        self.f6 = Linear(120, 84)
        self.output = Linear(84, num_classes)
        self.squash = Squash()

    def connect(self, x: Node) -> Node:
        squash = self.squash
        x = self.s4(squash(self.c3(self.s2(squash(self.c1(x))))))
        return self.output(squash(self.f6(flatten(squash(self.c5(x))))))


@register
def lenet5(num_classes: int = 10, **options: Any) -> LeNet5:
    """Build `LeNet5`.

    >>> sum(w.size for w in lenet5().params.values())
    60850
    """
    return LeNet5(num_classes, **options)
