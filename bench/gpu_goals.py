"""What is to be reached on a GPU, and whether the rows that `bench.gpu` measured reach it."""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

Row = Mapping[str, Any]                 # as `bench.gpu.Bench.measure` makes them
Values = Mapping[str, float]            # of each case
GRAPHS = ("PyTorch graph", "PyTorch compiled")
SMALL = ("SimpleConvNet", "DeepConvNet", "MLP")


class Goal(NamedTuple):
    """A line of the table: all `values` together must be at least so much."""

    title: str
    least: float
    values: Callable[[list[Row], Values], Values]
    together: Callable[[Iterable[float]], float] = min


def _ratios(part: str, *peers: str, ours: str = "fastdl",
            cases: tuple[str, ...] = ("",)) -> Callable[[list[Row], Values], Values]:
    """Of cases that begin like that: ours is so many times as fast as the fastest of the peers."""
    def values(rows: list[Row], limits: Values) -> Values:
        result: dict[str, float] = {}
        for row in rows:
            seconds = row.get("seconds", {})
            if row["part"] != part or not row["case"].startswith(cases) or ours not in seconds:
                continue
            for peer in peers:
                if peer in seconds:
                    ratio = seconds[peer] / seconds[ours]
                    result[row["case"]] = min(ratio, result.get(row["case"], ratio))
        return result

    return values


def _of_the_copy(rows: list[Row], limits: Values) -> Values:
    """Bytes a second, as a part of a large copy's."""
    return {row["case"]: row["bytes"] / row["seconds"]["fastdl"] / limits["bytes/s"]
            for row in rows if row.get("bytes") and "bytes/s" in limits}


def geometric_mean(values: Iterable[float]) -> float:
    """Of positive numbers."""
    logarithms = [math.log(value) for value in values]
    return math.exp(sum(logarithms) / len(logarithms))


RESNET = ("ResNet-18",)
GOALS = (
    Goal("memory-bound kernels: part of the copy's bandwidth, each", 0.8, _of_the_copy),
    Goal("memory-bound kernels / PyTorch, each", 1, _ratios("memory", "PyTorch")),
    Goal("product 4096³ in float32, our kernel / cuBLAS", 0.7,
         _ratios("gemm", "PyTorch", ours="kernel", cases=("4096 x 4096 x 4096",))),
    Goal("products in float32: the dispatch / the faster of what it chooses from, each", 0.95,
         _ratios("dispatch", "kernel", "cuBLASLt")),
    Goal("products in TF32: the dispatch / the faster of what it chooses from, each", 0.95,
         _ratios("dispatch", "kernel TF32", "cuBLASLt TF32", ours="fastdl TF32")),
    Goal("convolutions in float32 / PyTorch, geometric mean", 0.6, _ratios("conv", "PyTorch"),
         geometric_mean),
    Goal("convolutions in TF32 / PyTorch's default, geometric mean", 0.5,
         _ratios("conv", "PyTorch TF32", ours="fastdl TF32"), geometric_mean),
    Goal("steps of small networks / PyTorch, each", 3, _ratios("steps", "PyTorch", cases=SMALL)),
    Goal("steps of small networks / PyTorch with graphs, each", 1,
         _ratios("steps", *GRAPHS, cases=SMALL)),
    Goal("step of ResNet-18 in float32 / PyTorch", 0.6, _ratios("steps", "PyTorch", cases=RESNET)),
    Goal("step of ResNet-18 in TF32 / PyTorch", 0.6,
         _ratios("steps", "PyTorch TF32", ours="fastdl TF32", cases=RESNET)),
    Goal("the course's im2col on CuPy", 5, _ratios("course", "CuPy im2col")),
)


def table(rows: list[Row], limits: Values) -> str:
    """All goals in Markdown; a ratio is how many times as fast as the other ours is."""
    lines = ["| goal | at least | measured | cases | reached |", "| --- | --- | --- | --- | --- |"]
    for goal in GOALS:
        values = goal.values(rows, limits)
        if not values:
            lines.append(f"| {goal.title} | {goal.least:g} | not measured | 0 | |")
            continue
        together = goal.together(values.values())
        worst = min(values, key=values.__getitem__)
        measured = f"{together:.2f}" + f" (least: {worst}, {values[worst]:.2f})" * (len(values) > 1)
        lines.append(f"| {goal.title} | {goal.least:g} | {measured} | {len(values)} | "
                     f"{'yes' if together >= goal.least else 'no'} |")
    return "\n".join(lines) + "\n"
