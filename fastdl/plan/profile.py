"""Where the time of a step goes: each of its kernels measured, beside the least it could take."""

from __future__ import annotations

import statistics
from os import PathLike
from typing import Any, NamedTuple

from ..errors import ArgumentError
from ..ops._arrays import on_device
from ..pictures import new_figure, saved
from .explain import columns
from .plan import Plan
from .roofline import roofline, timed
from .step import Step


class Timed(NamedTuple):
    """A step, its median time, and the least it could take, in seconds."""

    step: Step
    seconds: float
    at_least: float


class Profile(list[Timed]):
    """The steps of a plan with their times; prints as a table, draws as bars."""

    @classmethod
    def of(cls, plan: Plan, repeats: int) -> Profile:
        """Run the plan `repeats` times, each step timed by itself."""
        calls, limits = plan.prepare(), roofline(plan.like)
        times: list[list[float]] = [[] for _ in calls]
        for _ in range(repeats):
            for call, measured in zip(calls, times, strict=True):
                measured.append(timed(call, on_device(plan.like)))
        return cls(Timed(step, statistics.median(measured), limits.seconds(step))
                   for step, measured in zip(plan.steps, times, strict=True))

    @property
    def seconds(self) -> float:
        """Of all steps."""
        return sum(timed.seconds for timed in self)

    def __str__(self) -> str:
        total = self.seconds
        rows = [("phase", "layers", "kernel", "with", "µs", "%", "GFLOP/s", "GB/s",
                 "of the limit")]
        for step, seconds, at_least in self:
            rows.append((step.phase, step.where, step.name, step.notes, f"{seconds * 1e6:.1f}",
                         f"{100 * seconds / total:.1f}",
                         f"{step.flops / seconds * 1e-9:.0f}" if step.flops else "",
                         f"{step.bytes / seconds * 1e-9:.0f}", f"{at_least / seconds:.0%}"))
        return "\n".join([*columns(rows), f"{len(self)} steps, {total * 1e3:.3f} ms"])

    __repr__ = __str__

    def plot(self, path: str | PathLike[str] | None = None) -> Any:
        """Draw a bar for each step, with the least time it could take in it.

        Parameters
        ----------
        path : where to write the picture; its ending says the format

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        ArgumentError
            when there are no steps
        ImportError
            without matplotlib (``pip install 'fastdl[plot]'``)
        """
        if not self:
            raise ArgumentError("Profile.plot: there are no steps to draw")
        figure = new_figure("Profile.plot", 8, 1 + 0.2 * len(self))
        axes = figure.subplots()
        places = range(len(self))
        axes.barh(places, [timed.seconds * 1e3 for timed in self], color="#9bbcdd",
                  label="measured")
        axes.barh(places, [timed.at_least * 1e3 for timed in self], height=0.4, color="#0b559f",
                  label="at least, by arithmetic and bytes")
        axes.set_yticks(places, [f"{timed.step.where}: {timed.step.name}" for timed in self],
                        fontsize=7)
        axes.invert_yaxis()
        axes.set(xlabel="milliseconds", title=f"{self.seconds * 1e3:.2f} ms")
        axes.legend()
        axes.grid(axis="x", alpha=0.3)
        return saved(figure, path)
