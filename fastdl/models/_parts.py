"""What the families share: a convolution before batch norm, alone and with what follows it."""

from collections.abc import Callable

from ..graph import Node
from ..layers import BatchNorm2d, Conv2d, Layer, ReLU, relu
from ..module import Module, Sequential
from ..ops._arrays import Pair


def conv(in_channels: int, channels: int, kernel_size: Pair, stride: Pair = 1,
         padding: Pair | None = None, groups: int = 1) -> Conv2d:
    """A convolution before batch norm, which has a bias of its own.

    Unless `padding` is given, maps keep their size but for the stride.
    """
    if padding is None:
        padding = (kernel_size // 2 if isinstance(kernel_size, int)
                   else (kernel_size[0] // 2, kernel_size[1] // 2))
    return Conv2d(in_channels, channels, kernel_size, stride, padding, groups=groups, bias=False,
                  weight_init="he")


class ConvNorm(Sequential):
    """Convolution, batch norm, activation: torchvision's Conv2dNormActivation, by its names.

    Parameters
    ----------
    in_channels, channels, kernel_size, stride, groups : of the convolution
    activation : a layer's class; None for none
    eps, momentum : of the batch norm
    """

    def __init__(self, in_channels: int, channels: int, kernel_size: int, stride: int = 1,
                 groups: int = 1, activation: Callable[[], Layer] | None = ReLU,
                 eps: float = 1e-5, momentum: float = 0.1) -> None:
        super().__init__(conv(in_channels, channels, kernel_size, stride, groups=groups),
                         BatchNorm2d(channels, eps, momentum))
        if activation is not None:
            self.append(activation())


def make_divisible(channels: float, by: int = 8) -> int:
    """The multiple of `by` that is nearest to `channels`, but not less than nine tenths of it.

    >>> make_divisible(19), make_divisible(11)
    (24, 16)
    """
    rounded = max(by, int(channels + by / 2) // by * by)
    return rounded if rounded >= 0.9 * channels else rounded + by


class BasicConv2d(Module):
    """Convolution, batch norm, ReLU, under the names of torchvision's Inception networks.

    Parameters
    ----------
    in_channels, channels, kernel_size, stride, padding : of the convolution, see `conv`
    """

    def __init__(self, in_channels: int, channels: int, kernel_size: Pair, stride: Pair = 1,
                 padding: Pair | None = None) -> None:
        self.conv = conv(in_channels, channels, kernel_size, stride, padding)
        self.bn = BatchNorm2d(channels, eps=0.001)

    def connect(self, x: Node) -> Node:
        return relu(self.bn(self.conv(x)))
