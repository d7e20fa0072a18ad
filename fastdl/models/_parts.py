"""What the families share: convolutions with batch norm, shortcuts, channel attention."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..graph import Node
from ..layers import BatchNorm2d, Conv2d, GlobalAvgPool2d, Layer, ReLU, Sigmoid, relu
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


class Subsample(Layer):
    """The identity where shapes change: every `stride`-th pixel, and further channels of 0.

    So residual networks for small images go on without parameters (He et al., 2015, option A).

    Parameters
    ----------
    channels : that go out
    stride : of the pixels
    """

    def __init__(self, channels: int, stride: int = 1) -> None:
        self.channels, self.stride = channels, stride

    def apply(self, inputs: tuple[np.ndarray, ...], params: Mapping[str, np.ndarray],
              training: bool) -> tuple[np.ndarray, Any]:
        (x,) = inputs
        kept = x[:, :, ::self.stride, ::self.stride]
        y = np.zeros((len(x), self.channels, *kept.shape[2:]), x.dtype)
        y[:, :x.shape[1]] = kept
        return y, x.shape

    def grad(self, dy: np.ndarray, saved: Any) -> Any:
        dx = np.zeros(saved, dy.dtype)
        dx[:, :, ::self.stride, ::self.stride] = dy[:, :saved[1]]
        return (dx,), {}

    def extra_repr(self) -> str:
        return f"{self.channels}, stride={self.stride}"


class SqueezeExcitation(Module):
    """Channel attention: each map times a factor that the means of all maps decide.

    Hu, Shen, Albanie, Sun & Wu, 2017 (arXiv 1709.01507), figure 1. Names are torchvision's.

    Parameters
    ----------
    channels : of the maps
    squeezed : channels between the two dense layers, which are 1×1 convolutions here
    activation : behind the first
    scale_activation : behind the second
    """

    def __init__(self, channels: int, squeezed: int, activation: Callable[[], Layer] = ReLU,
                 scale_activation: Callable[[], Layer] = Sigmoid) -> None:
        self.avgpool = GlobalAvgPool2d()
        self.fc1 = Conv2d(channels, squeezed, 1, weight_init="he")
        self.fc2 = Conv2d(squeezed, channels, 1, weight_init="he")
        self.activation, self.scale_activation = activation(), scale_activation()

    def connect(self, x: Node) -> Node:
        scale = self.fc2(self.activation(self.fc1(self.avgpool(x))))
        return x * self.scale_activation(scale)
