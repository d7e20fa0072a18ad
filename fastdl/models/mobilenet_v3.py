"""MobileNetV3: a network that a search has found, and people have trimmed.

Howard et al., 2019 (arXiv 1905.02244), tables 1 and 2, figure 4. New were the hard swish, a swish
of straight lines; channel attention in the blocks of MobileNetV2, with a hard sigmoid; and a
shorter end, where the mean over each map comes before the widest layer. A search for the structure
chose sizes and which block has what.

| network | parameters | GFLOP for 224 × 224 |
| --- | --- | --- |
| mobilenet_v3_large | 5,483,032 | 0.43 |
| mobilenet_v3_small | 2,542,856 | 0.11 |
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from ..graph import Node
from ..layers import Dropout, GlobalAvgPool2d, Hardsigmoid, Hardswish, Linear, ReLU, flatten
from ..layers.layer import Layer
from ..module import Module, Sequential
from ._parts import ConvNorm, SqueezeExcitation, make_divisible
from ._registry import register

# Kernel, channels inside, channels out, attention, activation, stride.
Row = tuple[int, int, int, bool, Callable[[], Layer], int]
LARGE: tuple[Row, ...] = (
    (3, 16, 16, False, ReLU, 1), (3, 64, 24, False, ReLU, 2), (3, 72, 24, False, ReLU, 1),
    (5, 72, 40, True, ReLU, 2), (5, 120, 40, True, ReLU, 1), (5, 120, 40, True, ReLU, 1),
    (3, 240, 80, False, Hardswish, 2), (3, 200, 80, False, Hardswish, 1),
    (3, 184, 80, False, Hardswish, 1), (3, 184, 80, False, Hardswish, 1),
    (3, 480, 112, True, Hardswish, 1), (3, 672, 112, True, Hardswish, 1),
    (5, 672, 160, True, Hardswish, 2), (5, 960, 160, True, Hardswish, 1),
    (5, 960, 160, True, Hardswish, 1))
SMALL: tuple[Row, ...] = (
    (3, 16, 16, True, ReLU, 2), (3, 72, 24, False, ReLU, 2), (3, 88, 24, False, ReLU, 1),
    (5, 96, 40, True, Hardswish, 2), (5, 240, 40, True, Hardswish, 1),
    (5, 240, 40, True, Hardswish, 1), (5, 120, 48, True, Hardswish, 1),
    (5, 144, 48, True, Hardswish, 1), (5, 288, 96, True, Hardswish, 2),
    (5, 576, 96, True, Hardswish, 1), (5, 576, 96, True, Hardswish, 1))

_conv_norm = partial(ConvNorm, eps=0.001, momentum=0.01)


class InvertedResidual(Module):
    """1×1 to more channels, depthwise, attention, 1×1 to fewer; the input is added where it fits.

    Parameters
    ----------
    in_channels : that come in
    kernel_size, inside, channels, attention, activation, stride : a row of the tables
    """

    def __init__(self, in_channels: int, kernel_size: int, inside: int, channels: int,
                 attention: bool, activation: Callable[[], Layer], stride: int) -> None:
        parts: list[Module] = []
        if inside != in_channels:
            parts.append(_conv_norm(in_channels, inside, 1, activation=activation))
        parts.append(_conv_norm(inside, inside, kernel_size, stride, groups=inside,
                                activation=activation))
        if attention:
            parts.append(SqueezeExcitation(inside, make_divisible(inside // 4),
                                           scale_activation=Hardsigmoid))
        self.block = Sequential(*parts, _conv_norm(inside, channels, 1, activation=None))
        self.residual = stride == 1 and in_channels == channels

    def connect(self, x: Node) -> Node:
        return x + self.block(x) if self.residual else self.block(x)


class MobileNetV3(Module):
    """Inverted residuals between two convolutions, a mean over each map, two dense layers.

    Names and sizes are torchvision's.

    Parameters
    ----------
    rows : `LARGE` or `SMALL`
    last : width of the first dense layer
    num_classes, in_channels : the task
    image_size : any will do
    width_mult : how much wider than the paper's
    dropout : probability
    """

    def __init__(self, rows: Sequence[Row], last: int, num_classes: int = 1000,
                 in_channels: int = 3, image_size: int = 224, *, width_mult: float = 1.0,
                 dropout: float = 0.2) -> None:
        def wide(channels: int) -> int:
            return make_divisible(channels * width_mult)

        before = wide(16)
        parts: list[Module] = [_conv_norm(in_channels, before, 3, 2, activation=Hardswish)]
        for kernel_size, inside, channels, attention, activation, stride in rows:
            parts.append(InvertedResidual(before, kernel_size, wide(inside), wide(channels),
                                          attention, activation, stride))
            before = wide(channels)
        self.features = Sequential(*parts,
                                   _conv_norm(before, 6 * before, 1, activation=Hardswish))
        self.avgpool = GlobalAvgPool2d()
        self.classifier = Sequential(
            Linear(6 * before, wide(last)), Hardswish(), Dropout(dropout),
            Linear(wide(last), num_classes))

    def connect(self, x: Node) -> Node:
        return self.classifier(flatten(self.avgpool(self.features(x))))


@register
def mobilenet_v3_large(num_classes: int = 1000, **options: Any) -> MobileNetV3:
    """Build the large `MobileNetV3`.

    >>> sum(w.size for w in mobilenet_v3_large().params.values())
    5483032
    """
    return MobileNetV3(LARGE, 1280, num_classes, **options)


@register
def mobilenet_v3_small(num_classes: int = 1000, **options: Any) -> MobileNetV3:
    """Build the small `MobileNetV3`."""
    return MobileNetV3(SMALL, 1024, num_classes, **options)
