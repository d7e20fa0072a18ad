"""The goals that the kernels were built towards, each with what a run has measured."""

import math
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import NamedTuple

from fastdl.benchmark.cases import CONV_PASSES, Case
from fastdl.benchmark.shapes import Conv, Sweep

from .figures import Figures, geometric_mean
from .members import DIRECT, ON_AVX2, ONE_THREAD, OURS, WINOGRAD

FORWARD, INPUT, WEIGHT = CONV_PASSES
NAMES = {FORWARD: "forward", INPUT: "dgrad", WEIGHT: "wgrad"}
PARTS = {FORWARD: 0.85, INPUT: 0.80, WEIGHT: 0.75}
SQUARES = {512: 0.85, 1024: 0.90, 2048: 0.90}
AT_MEMORY_BANDWIDTH = ("max_pool2d", "batch_norm", "relu", "adam_update", "im2col")


class Goal(NamedTuple):
    """A figure that every case of a kind should reach, and what each case does reach."""

    what: str
    least: float
    reached: list[tuple[float, str]]    # (figure, case)
    percent: bool = False               # a part of a limit; else a ratio
    mean: bool = False                  # the geometric mean is what counts

    @property
    def met(self) -> bool:
        """Whether all cases reach it, or their mean does."""
        figures = [figure for figure, _ in self.reached]
        counts = geometric_mean(figures) if self.mean else min(figures, default=math.nan)
        return counts >= self.least

    def row(self) -> list[str]:
        """Cells: what, at least, measured, reached."""
        show = "{:.0%}".format if self.percent else "{:.2f}×".format
        if not self.reached:
            return [self.what, show(self.least), "not measured", "–"]
        figures = [figure for figure, _ in self.reached]
        lowest, case = min(self.reached)
        measured = show(lowest)
        if len(figures) > 1:
            enough = sum(figure >= self.least for figure in figures)
            measured = (f"geometric mean {show(geometric_mean(figures))}, least {show(lowest)} "
                        f"({case})" + f"; {enough} of {len(figures)} reach it" * (not self.mean))
        return [self.what, show(self.least), measured, "yes" if self.met else "**no**"]


Measure = Callable[[Case], float | None]


def _reached(cases: Iterable[Case], measure: Measure) -> list[tuple[float, str]]:
    figures = [(measure(case), f"{NAMES.get(case.operation, case.operation)} {case.shape}")
               for case in cases]
    return [(figure, name) for figure, name in figures if figure is not None]


def goals(figures: Figures) -> Iterator[Goal]:
    """Every goal, in the order of the table."""
    yield from _parts(figures)
    squares = [case for case in figures.cases if "square" in case.sets]
    yield Goal("gemm, squares, against the faster of NumPy and PyTorch", 2.5,
               _reached(squares, figures.ratio))
    yield from _convolution(figures)
    yield from _sweeps(figures)
    yield from _threads(figures)
    yield from _parts(figures, ON_AVX2, " under AVX2, of its own peak")


def _parts(figures: Figures, member: str = OURS, suffix: str = "") -> Iterator[Goal]:
    """Parts of the FMA peak: matrix products, then direct convolution."""
    def part(case: Case) -> float | None:
        words = [DIRECT] if case.family == "conv" else []
        return figures.part_of_peak(case, figures.ours(case, *words, member=member))

    products = [case for case in figures.cases if case.family == "gemm"]
    for dtype in ("float32", "float64"):
        for size, least in SQUARES.items():
            cases = [case for case in products
                     if case.dtype == dtype and case.shape[:3] == (size, size, size)]
            yield Goal(f"gemm {size}³, {dtype}{suffix}", least, _reached(cases, part), percent=True)
    dense = [case for case in products if "dense" in case.sets and case.dtype == "float32"]
    yield Goal(f"dense layers, three products each{suffix}", 0.7, _reached(dense, part),
               percent=True)
    for operation, least in PARTS.items():
        cases = [case for case in figures.cases if case.operation == operation
                 and min(case.shape.C, case.shape.OC) >= 32 * case.shape.groups]
        yield Goal(f"conv {NAMES[operation]}, direct, C and OC ≥ 32{suffix}", least,
                   _reached(cases, part), percent=True)


def convolutions(figures: Figures) -> dict[Conv, dict[str, Case]]:
    """The cases of each shape whose three passes were all measured."""
    shapes: dict[Conv, dict[str, Case]] = {}
    for case in figures.cases:
        if case.family == "conv":
            shapes.setdefault(case.shape, {})[case.operation] = case
    return {shape: passes for shape, passes in shapes.items() if len(passes) == len(CONV_PASSES)}


def _convolution(figures: Figures) -> Iterator[Goal]:
    shapes = convolutions(figures)

    def summed(wanted: Callable[[Conv], bool], *operations: str) -> list[tuple[float, str]]:
        sums = ((figures.ratio_of_sums([passes[operation] for operation in operations]), str(shape))
                for shape, passes in shapes.items() if wanted(shape))
        return [(ratio, name) for ratio, name in sums if ratio is not None]

    everything = summed(lambda shape: True, *CONV_PASSES)
    yield Goal("conv, forward + backward, all shapes, against PyTorch's best layout: mean", 1.5,
               everything, mean=True)
    yield Goal("the same: every shape", 1.0, everything)
    large = [case for case in figures.cases if case.family == "conv" and case.shape.winograd
             and min(case.shape.C, case.shape.OC) >= 64 and case.shape.H >= 14]
    for operation, least in ((FORWARD, 1.6), (INPUT, 1.6), (WEIGHT, 1.3)):
        yield Goal(f"Winograd against our direct {NAMES[operation]}, C and OC ≥ 64, maps ≥ 14",
                   least, _reached([case for case in large if case.operation == operation],
                                   partial(_gain_of_winograd, figures)))
    yield Goal("first layers (C 1 or 3), backward, against PyTorch's best layout", 3,
               summed(lambda shape: shape.C <= 3, INPUT, WEIGHT))
    yield Goal("1×1, backward, against PyTorch's best layout", 3,
               summed(lambda shape: shape.K == 1, INPUT, WEIGHT))
    for stride in (1, 2):
        def depthwise(shape: Conv, stride: int = stride) -> bool:
            return shape.depthwise and shape.stride == stride

        for name, operations in (("forward", (FORWARD,)), ("backward", (INPUT, WEIGHT))):
            yield Goal(f"depthwise 3×3, stride {stride}, {name}, against PyTorch's best layout",
                       1.5, summed(depthwise, *operations))


def _gain_of_winograd(figures: Figures, case: Case) -> float | None:
    direct, winograd = (figures.ours(case, algorithm) for algorithm in (DIRECT, WINOGRAD))
    return direct.seconds / winograd.seconds if direct and winograd else None


def _sweeps(figures: Figures) -> Iterator[Goal]:
    def part(case: Case, streamed: bool = False) -> float | None:
        return figures.part_of_bandwidth(case, figures.ours(case), streamed)

    for operation in AT_MEMORY_BANDWIDTH:
        cases = [case for case in figures.cases if isinstance(case.shape, Sweep)
                 and case.shape.operation == operation and "large" in case.sets]
        yield Goal(f"{operation}, beyond the caches, each byte once, of axpy", 0.8,
                   _reached(cases, part), percent=True)
        if any(case.streamed > case.bytes for case in cases):
            yield Goal(f"{operation}, maps counted at each pass over them", 0.8,
                       _reached(cases, partial(part, streamed=True)), percent=True)


def _threads(figures: Figures) -> Iterator[Goal]:
    def gain(case: Case) -> float | None:
        words = [DIRECT] if case.family == "conv" else []
        one, all_ = (figures.ours(case, *words, member=member) for member in (ONE_THREAD, OURS))
        return one.seconds / all_.seconds if one and all_ else None

    for family in ("gemm", "conv"):
        cases = [case for case in figures.cases if case.family == family]
        yield Goal(f"{family}: one thread to {figures.threads}", 1.85, _reached(cases, gain))
