"""Inception v3: large filters taken apart into small ones.

Szegedy, Vanhoucke, Ioffe, Shlens & Wojna, 2015 (arXiv 1512.00567), figures 5 to 10 and table 1. New
was that a filter of n×n becomes one of 1×n and one of n×1 behind it, and one of 5×5 two of 3×3: as
far to see with less arithmetic; that maps are halved by a convolution and a pool side by side; and
smoothed labels. An auxiliary classifier helps in training, and is left out of inference.

27,161,264 parameters with it and 23,834,568 without, 11.4 GFLOP for an image of 299 × 299.
"""

from typing import Any

from ..graph import Node, training_only
from ..layers import AvgPool2d, Dropout, GlobalAvgPool2d, Linear, MaxPool2d, concat, flatten
from ..module import Module
from ._parts import BasicConv2d
from ._registry import register


def _mean_of_neighbours() -> AvgPool2d:
    return AvgPool2d(3, stride=1, padding=1)


class InceptionA(Module):
    """1×1; 5×5; two 3×3 in place of another 5×5; a pool. Figure 5.

    Parameters
    ----------
    in_channels : that come in
    pool_features : filters behind the pool
    """

    def __init__(self, in_channels: int, pool_features: int) -> None:
        self.branch1x1 = BasicConv2d(in_channels, 64, 1)
        self.branch5x5_1 = BasicConv2d(in_channels, 48, 1)
        self.branch5x5_2 = BasicConv2d(48, 64, 5)
        self.branch3x3dbl_1 = BasicConv2d(in_channels, 64, 1)
        self.branch3x3dbl_2 = BasicConv2d(64, 96, 3)
        self.branch3x3dbl_3 = BasicConv2d(96, 96, 3)
        self.pool = _mean_of_neighbours()
        self.branch_pool = BasicConv2d(in_channels, pool_features, 1)

    def connect(self, x: Node) -> Node:
        return concat([
            self.branch1x1(x), self.branch5x5_2(self.branch5x5_1(x)),
            self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x))),
            self.branch_pool(self.pool(x))])


class InceptionB(Module):
    """To maps of half the size: 3×3, two 3×3, and a pool side by side. Figure 10.

    Parameters
    ----------
    in_channels : that come in
    """

    def __init__(self, in_channels: int) -> None:
        self.branch3x3 = BasicConv2d(in_channels, 384, 3, 2, 0)
        self.branch3x3dbl_1 = BasicConv2d(in_channels, 64, 1)
        self.branch3x3dbl_2 = BasicConv2d(64, 96, 3)
        self.branch3x3dbl_3 = BasicConv2d(96, 96, 3, 2, 0)
        self.pool = MaxPool2d(3, stride=2)

    def connect(self, x: Node) -> Node:
        return concat([
            self.branch3x3(x),
            self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x))), self.pool(x)])


class InceptionC(Module):
    """1×1; 7×7 taken apart; two 7×7 taken apart; a pool. Figure 6 with n = 7.

    Parameters
    ----------
    in_channels : that come in
    channels_7x7 : between the filters that are taken apart
    """

    def __init__(self, in_channels: int, channels_7x7: int) -> None:
        c7 = channels_7x7
        self.branch1x1 = BasicConv2d(in_channels, 192, 1)
        self.branch7x7_1 = BasicConv2d(in_channels, c7, 1)
        self.branch7x7_2 = BasicConv2d(c7, c7, (1, 7))
        self.branch7x7_3 = BasicConv2d(c7, 192, (7, 1))
        self.branch7x7dbl_1 = BasicConv2d(in_channels, c7, 1)
        self.branch7x7dbl_2 = BasicConv2d(c7, c7, (7, 1))
        self.branch7x7dbl_3 = BasicConv2d(c7, c7, (1, 7))
        self.branch7x7dbl_4 = BasicConv2d(c7, c7, (7, 1))
        self.branch7x7dbl_5 = BasicConv2d(c7, 192, (1, 7))
        self.pool = _mean_of_neighbours()
        self.branch_pool = BasicConv2d(in_channels, 192, 1)

    def connect(self, x: Node) -> Node:
        once = self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(x)))
        twice = self.branch7x7dbl_3(self.branch7x7dbl_2(self.branch7x7dbl_1(x)))
        twice = self.branch7x7dbl_5(self.branch7x7dbl_4(twice))
        return concat([self.branch1x1(x), once, twice, self.branch_pool(self.pool(x))])


class InceptionD(Module):
    """To maps of half the size: 3×3; 7×7 taken apart, then 3×3; a pool.

    Parameters
    ----------
    in_channels : that come in
    """

    def __init__(self, in_channels: int) -> None:
        self.branch3x3_1 = BasicConv2d(in_channels, 192, 1)
        self.branch3x3_2 = BasicConv2d(192, 320, 3, 2, 0)
        self.branch7x7x3_1 = BasicConv2d(in_channels, 192, 1)
        self.branch7x7x3_2 = BasicConv2d(192, 192, (1, 7))
        self.branch7x7x3_3 = BasicConv2d(192, 192, (7, 1))
        self.branch7x7x3_4 = BasicConv2d(192, 192, 3, 2, 0)
        self.pool = MaxPool2d(3, stride=2)

    def connect(self, x: Node) -> Node:
        y = self.branch7x7x3_3(self.branch7x7x3_2(self.branch7x7x3_1(x)))
        return concat([self.branch3x3_2(self.branch3x3_1(x)), self.branch7x7x3_4(y),
                       self.pool(x)])


class InceptionE(Module):
    """Filters of 1×3 and 3×1 side by side: many channels for the smallest maps. Figure 7.

    Parameters
    ----------
    in_channels : that come in
    """

    def __init__(self, in_channels: int) -> None:
        self.branch1x1 = BasicConv2d(in_channels, 320, 1)
        self.branch3x3_1 = BasicConv2d(in_channels, 384, 1)
        self.branch3x3_2a = BasicConv2d(384, 384, (1, 3))
        self.branch3x3_2b = BasicConv2d(384, 384, (3, 1))
        self.branch3x3dbl_1 = BasicConv2d(in_channels, 448, 1)
        self.branch3x3dbl_2 = BasicConv2d(448, 384, 3)
        self.branch3x3dbl_3a = BasicConv2d(384, 384, (1, 3))
        self.branch3x3dbl_3b = BasicConv2d(384, 384, (3, 1))
        self.pool = _mean_of_neighbours()
        self.branch_pool = BasicConv2d(in_channels, 192, 1)

    def connect(self, x: Node) -> Node:
        once = self.branch3x3_1(x)
        twice = self.branch3x3dbl_2(self.branch3x3dbl_1(x))
        return concat([
            self.branch1x1(x), self.branch3x3_2a(once), self.branch3x3_2b(once),
            self.branch3x3dbl_3a(twice), self.branch3x3dbl_3b(twice),
            self.branch_pool(self.pool(x))])


class InceptionAux(Module):
    """The auxiliary classifier: a pool, two convolutions, a mean over each map, a dense layer.

    Parameters
    ----------
    in_channels : that come in
    num_classes : scores that come out
    """

    def __init__(self, in_channels: int, num_classes: int) -> None:
        self.pool = AvgPool2d(5, stride=3)
        self.conv0 = BasicConv2d(in_channels, 128, 1)
        self.conv1 = BasicConv2d(128, 768, 5, padding=0)
        self.avgpool = GlobalAvgPool2d()
        self.fc = Linear(768, num_classes, weight_init=0.001)

    def connect(self, x: Node) -> Node:
        return self.fc(flatten(self.avgpool(self.conv1(self.conv0(self.pool(x))))))


class Inception3(Module):
    """Five convolutions, eleven inception modules, a mean over each map, a dense layer.

    Names and sizes are torchvision's.

    Parameters
    ----------
    num_classes, in_channels : the task
    image_size : 75 × 75 at least; 203 × 203 with the auxiliary classifier, while it trains
    aux_logits : have the auxiliary classifier, whose scores are a second output in training
    dropout : probability
    """

    def __init__(self, num_classes: int = 1000, in_channels: int = 3, image_size: int = 299, *,
                 aux_logits: bool = True, dropout: float = 0.5) -> None:
        self.Conv2d_1a_3x3 = BasicConv2d(in_channels, 32, 3, 2, 0)
        self.Conv2d_2a_3x3 = BasicConv2d(32, 32, 3, padding=0)
        self.Conv2d_2b_3x3 = BasicConv2d(32, 64, 3)
        self.maxpool1 = MaxPool2d(3, stride=2)
        self.Conv2d_3b_1x1 = BasicConv2d(64, 80, 1)
        self.Conv2d_4a_3x3 = BasicConv2d(80, 192, 3, padding=0)
        self.maxpool2 = MaxPool2d(3, stride=2)
        self.Mixed_5b = InceptionA(192, 32)
        self.Mixed_5c = InceptionA(256, 64)
        self.Mixed_5d = InceptionA(288, 64)
        self.Mixed_6a = InceptionB(288)
        self.Mixed_6b = InceptionC(768, 128)
        self.Mixed_6c = InceptionC(768, 160)
        self.Mixed_6d = InceptionC(768, 160)
        self.Mixed_6e = InceptionC(768, 192)
        self.AuxLogits = InceptionAux(768, num_classes) if aux_logits else None
        self.Mixed_7a = InceptionD(768)
        self.Mixed_7b = InceptionE(1280)
        self.Mixed_7c = InceptionE(2048)
        self.avgpool = GlobalAvgPool2d()
        self.dropout = Dropout(dropout)
        self.fc = Linear(2048, num_classes)

    def connect(self, x: Node) -> Any:
        for part in (self.Conv2d_1a_3x3, self.Conv2d_2a_3x3, self.Conv2d_2b_3x3, self.maxpool1,
                     self.Conv2d_3b_1x1, self.Conv2d_4a_3x3, self.maxpool2,
                     self.Mixed_5b, self.Mixed_5c, self.Mixed_5d,
                     self.Mixed_6a, self.Mixed_6b, self.Mixed_6c, self.Mixed_6d, self.Mixed_6e):
            x = part(x)
        y = self.Mixed_7c(self.Mixed_7b(self.Mixed_7a(x)))
        y = self.fc(flatten(self.dropout(self.avgpool(y))))
        return training_only(y, self.AuxLogits(x)) if self.AuxLogits else y


@register
def inception_v3(num_classes: int = 1000, **options: Any) -> Inception3:
    """Build `Inception3`.

    >>> sum(w.size for w in inception_v3(aux_logits=False).params.values())
    23834568
    """
    return Inception3(num_classes, **options)
