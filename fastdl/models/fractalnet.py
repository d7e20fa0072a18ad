"""FractalNet: deep without residual connections.

Larsson, Maire & Shakhnarovich, 2016 (arXiv 1605.07648), figures 1 and 2. New was the expansion rule
``f_{c+1} = (f_c after f_c) joined with one convolution``: columns of 1, 2, 4, … convolutions side
by side, whose outputs are averaged where they meet. Drop-path leaves out inputs of these joins at
random, so that each column learns to do without the others; it is the local one here, which
decides for each join by itself.

fractalnet20 has 5 blocks of 3 columns, 20 layers deep: 33,724,618 parameters, 1.7 GFLOP for an
image of 32 × 32. Table 1 of the paper says 38.6 M.
"""

from collections.abc import Sequence
from typing import Any

from ..graph import Node
from ..layers import Dropout, DropPath, GlobalAvgPool2d, Linear, MaxPool2d, flatten
from ..module import Module, Sequential
from ._parts import ConvNorm
from ._registry import register


class FractalBlock(Module):
    """Columns of 1, 2, 4, … convolutions, joined wherever those of one end.

    Parameters
    ----------
    in_channels, channels : that come in and go out
    columns : how many
    drop_path : probability that an input of a join is left out
    """

    def __init__(self, in_channels: int, channels: int, columns: int, drop_path: float) -> None:
        rows = 2**(columns - 1)
        # Column i has a convolution that ends in every row that 2^(columns - 1 - i) divides.
        self.columns = [
            Sequential(*(ConvNorm(channels if i else in_channels, channels, 3)
                         for i in range(2**number)))
            for number in range(columns)]
        self.rows = rows
        self.join = DropPath(drop_path)

    def connect(self, x: Node) -> Node:
        reads = [x] * len(self.columns)         # what the next convolution of each column reads
        for row in range(1, self.rows + 1):
            ending = [number for number, column in enumerate(self.columns)
                      if row % (self.rows // len(column)) == 0]
            ends = [self.columns[number][row * len(self.columns[number]) // self.rows - 1](
                reads[number]) for number in ending]
            joined = self.join(*ends) if len(ends) > 1 else ends[0]
            for number in ending:
                reads[number] = joined
        return reads[0]


class FractalNet(Module):
    """Fractal blocks with a pool behind each, and a dense layer.

    Parameters
    ----------
    columns : of each block
    widths : channels of each block
    num_classes, in_channels : the task
    image_size : any that the pools leave a pixel of: 2 to the number of blocks, but one
    drop_path : probability that an input of a join is left out
    dropout : probabilities of the blocks
    """

    def __init__(self, columns: int, widths: Sequence[int] = (64, 128, 256, 512, 512),
                 num_classes: int = 10, in_channels: int = 3, image_size: int = 32, *,
                 drop_path: float = 0.15,
                 dropout: Sequence[float] = (0.0, 0.1, 0.2, 0.3, 0.4)) -> None:
        parts: list[Any] = []
        for i, (width, p) in enumerate(zip(widths, dropout, strict=False)):
            parts += [FractalBlock(in_channels, width, columns, drop_path), Dropout(p)]
            if i < len(widths) - 1:
                parts.append(MaxPool2d(2))
            in_channels = width
        self.features = Sequential(*parts)
        self.avgpool = GlobalAvgPool2d()
        self.fc = Linear(in_channels, num_classes)

    def connect(self, x: Node) -> Node:
        return self.fc(flatten(self.avgpool(self.features(x))))


@register
def fractalnet20(num_classes: int = 10, **options: Any) -> FractalNet:
    """Build the `FractalNet` of three columns, 20 layers deep."""
    return FractalNet(3, num_classes=num_classes, **options)
