"""A small network of equal cells, whose operations a search may choose (`fastdl.search`).

A cell has `nodes` groups of feature maps, the first of which come in and the last of which go out.
Each is the sum of one operation on every group before it: an edge of the graph, and a choice among
`OPERATIONS`. To search a cell and repeat it is from Zoph, Vasudevan, Shlens & Le, 2018 (arXiv
1707.07012); operations on edges, and four nodes, are from NAS-Bench-201 (Dong & Yang, 2020, arXiv
2001.00326). Between cells a convolution halves the maps and doubles the channels.
"""

import math
from collections.abc import Callable, Sequence

from ..errors import ArgumentError
from ..graph import Node
from ..layers import GlobalAvgPool2d, Layer, Linear, MaxPool2d, add, flatten
from ..module import Module, Sequential
from ._parts import ConvNorm
from ._registry import register

# What an edge may be; each keeps the size and the number of the maps.
OPERATIONS: dict[str, Callable[[int], Module | Layer]] = {
    "conv3x3": lambda C: ConvNorm(C, C, 3),
    "conv5x5": lambda C: ConvNorm(C, C, 5),
    "separable3x3": lambda C: Sequential(ConvNorm(C, C, 3, groups=C, activation=None),
                                         ConvNorm(C, C, 1)),
    "max_pool3x3": lambda C: MaxPool2d(3, stride=1, padding=1),
    "identity": lambda C: Sequential(),
}


def count_edges(nodes: int) -> int:
    """Edges of a cell: one from each node to each later one.

    >>> count_edges(4)
    6
    """
    return math.comb(nodes, 2)


class Cell(Module):
    """One cell.

    Parameters
    ----------
    channels : that come in and go out
    operations : names of the edges' operations: 0→1, 0→2, 1→2, 0→3, 1→3, 2→3, …
    """

    def __init__(self, channels: int, operations: Sequence[str]) -> None:
        unknown = [name for name in operations if name not in OPERATIONS]
        if unknown:
            raise ArgumentError(f"Cell: unknown operation {unknown[0]!r}; there are: "
                                f"{', '.join(OPERATIONS)}")
        self._nodes = (1 + math.isqrt(1 + 8 * len(operations))) // 2
        if not operations or count_edges(self._nodes) != len(operations):
            raise ArgumentError("Cell: operations must be as many as a cell has edges: 1, 3, 6, "
                                f"10, …, got {len(operations)}")
        self.edges = [OPERATIONS[name](channels) for name in operations]

    def connect(self, x: Node) -> Node:
        nodes, edges = [x], iter(self.edges)
        for _ in range(self._nodes - 1):
            parts = [next(edges)(node) for node in nodes]
            nodes.append(add(*parts) if len(parts) > 1 else parts[0])
        return nodes[-1]


class CellNet(Module):
    """A 3×3 convolution, cells with halvings between them, a mean over each map, a dense layer.

    Parameters
    ----------
    num_classes, in_channels : of the task
    operations : of a cell's edges, see `Cell`
    cells : how many
    width : channels in the first cell
    """

    def __init__(self, num_classes: int, in_channels: int, operations: Sequence[str], cells: int,
                 width: int) -> None:
        if cells < 1:
            raise ArgumentError(f"CellNet: cells must be at least 1, got {cells}")
        self.stem = ConvNorm(in_channels, width, 3)
        self.cells = Sequential()
        for i in range(cells):
            if i:
                self.cells.append(ConvNorm(width, 2 * width, 3, stride=2))
                width *= 2
            self.cells.append(Cell(width, operations))
        self.avgpool = GlobalAvgPool2d()
        self.fc = Linear(width, num_classes)

    def connect(self, x: Node) -> Node:
        return self.fc(flatten(self.avgpool(self.cells(self.stem(x)))))


@register
def cell_net(num_classes: int = 10, in_channels: int = 3, image_size: int = 32,
             operations: Sequence[str] = ("conv3x3", "identity", "conv3x3"), cells: int = 3,
             width: int = 16) -> CellNet:
    """Build a `CellNet`; unless told, its cells are residual blocks.

    Parameters
    ----------
    num_classes : scores that come out
    in_channels : of the images that go in
    image_size : any will do
    operations : of a cell's edges, see `Cell`
    cells : how many
    width : channels in the first cell

    >>> net = cell_net(operations=["separable3x3"], cells=2, width=8)
    >>> sum(w.size for w in net.params.values())
    2218
    """
    return CellNet(num_classes, in_channels, operations, cells, width)
