"""The shapes that are measured and tested: the rows of the files in ``shapes/``.

Each file says in its first lines what its rows are. Reading one gives each distinct shape once,
with the sets (networks, mostly) in which it occurs, and how often.
"""

import csv
import math
from importlib import resources
from typing import Any, NamedTuple, TypeVar


class Conv(NamedTuple):
    """A convolution of square windows."""

    N: int
    C: int
    H: int
    W: int
    OC: int
    K: int
    stride: int
    padding: int
    dilation: int
    groups: int
    bias: bool

    @property
    def x(self) -> tuple[int, int, int, int]:
        """Shape of the input."""
        return self.N, self.C, self.H, self.W

    @property
    def w(self) -> tuple[int, int, int, int]:
        """Shape of the filters."""
        return self.OC, self.C // self.groups, self.K, self.K

    @property
    def y(self) -> tuple[int, int, int, int]:
        """Shape of the output."""
        reach = self.dilation * (self.K - 1) + 1
        OH, OW = ((size + 2 * self.padding - reach) // self.stride + 1 for size in (self.H, self.W))
        return self.N, self.OC, OH, OW

    @property
    def flops(self) -> int:
        """Multiplications and additions of one pass of the direct algorithm."""
        return 2 * math.prod(self.y) * math.prod(self.w[1:])

    @property
    def window(self) -> tuple[int, int, int, int]:
        """What operations take after the arrays."""
        return self.stride, self.padding, self.dilation, self.groups

    @property
    def depthwise(self) -> bool:
        """Whether each channel has filters of its own."""
        return self.groups == self.C > 1

    @property
    def winograd(self) -> bool:
        """Whether the algorithm of Winograd applies."""
        return self.K in (3, 5) and self.stride == self.dilation == self.groups == 1

    def __str__(self) -> str:
        text = f"N{self.N} C{self.C} {self.H}x{self.W} OC{self.OC} {self.K}x{self.K}"
        for name, usual in (("stride", 1), ("padding", 0), ("dilation", 1), ("groups", 1)):
            value = getattr(self, name)
            text += f" {name}{value}" * (value != usual)
        return text + " bias" * self.bias


class Gemm(NamedTuple):
    """A matrix product; `trans_a`, `trans_b`: that operand is stored transposed."""

    M: int
    K: int
    N: int
    trans_a: bool
    trans_b: bool

    @property
    def flops(self) -> int:
        """Multiplications and additions."""
        return 2 * self.M * self.N * self.K

    def __str__(self) -> str:
        flags = " A^T" * bool(self.trans_a) + " B^T" * bool(self.trans_b)
        return f"M{self.M} K{self.K} N{self.N}{flags}"


class Sweep(NamedTuple):
    """An operation that goes once over its arrays; sizes that it does not have are 0."""

    operation: str
    N: int
    C: int
    H: int
    W: int
    K: int
    stride: int
    padding: int
    fused: str

    @property
    def x(self) -> tuple[int, ...]:
        """Shape of the input."""
        return tuple(size for size in (self.N, self.C, self.H, self.W) if size)

    @property
    def pixels(self) -> tuple[int, int]:
        """(OH, OW) of the window."""
        OH, OW = ((size + 2 * self.padding - self.K) // self.stride + 1
                  for size in (self.H, self.W))
        return OH, OW

    def __str__(self) -> str:
        maps = f" {self.H}x{self.W}" if self.H else ""
        window = f" {self.K}x{self.K} stride{self.stride} padding{self.padding}" if self.K else ""
        sizes = f"N{self.N} C{self.C}{maps}{window}" if self.C else f"{self.N} parameters"
        return sizes + (f" +{self.fused}" if self.fused else "")


Shape = TypeVar("Shape", Conv, Gemm, Sweep)


def convolutions() -> dict[Conv, dict[str, int]]:
    """Each distinct convolution, and how often each network has it.

    >>> resnet = {shape: sets["resnet18"] for shape, sets in convolutions().items()
    ...           if "resnet18" in sets}
    >>> sum(count * math.prod(shape.w) for shape, count in resnet.items())     # weights
    11166912
    """
    return _read("conv.csv", Conv)


def products() -> dict[Gemm, dict[str, int]]:
    """Each distinct matrix product."""
    return _read("gemm.csv", Gemm)


def sweeps() -> dict[Sweep, dict[str, int]]:
    """Each distinct operation that memory bounds."""
    return _read("sweep.csv", Sweep)


def _read(name: str, kind: type[Shape]) -> dict[Shape, dict[str, int]]:
    shapes: dict[Shape, dict[str, int]] = {}
    text = (resources.files(__package__) / "shapes" / name).read_text(encoding="utf-8")
    for row in csv.DictReader(line for line in text.splitlines() if not line.startswith("#")):
        sets = shapes.setdefault(kind(**{field: _value(row[field], of)
                                         for field, of in kind.__annotations__.items()}), {})
        sets[row["set"]] = int(row.get("count", 1))
    return shapes


def _value(text: str, of: type) -> Any:
    """A field of a row; an empty number is 0."""
    return text if of is str else of(int(text or 0))
