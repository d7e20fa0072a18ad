"""The report: measures what is not measured yet, then writes tables and plots of the run.

``python -m bench.report conv --shapes resnet18`` measures the convolutions of one network;
``--saved`` makes everything from the file of a run and measures nothing.
"""

import argparse
import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from fastdl._kernels._dispatch import kernel
from fastdl.benchmark.cases import CASES, CONV_PASSES, Case, select

from . import pages
from .figures import Best, Figures, geometric_mean
from .goals import NAMES, convolutions, goals
from .members import MEMBERS, OURS, PEERS
from .pages import one_of, table
from .run import Turns, run

NAME = "bench.report"


# ---- the parts of the page ----

def header(figures: Figures, run: dict[str, Any]) -> list[str]:
    """Facts about machine and run."""
    facts = run["facts"]
    sets = ", ".join(f"{name}: {isa}" for name, isa in facts["instruction sets"].items())
    lines = [*pages.header(run, facts["versions"]), f"- {sets}",
             f"- {len(figures.cases)} of {len(CASES)} cases, {run['rounds']} rounds in turns"]
    limits: dict[str, list[float]] = {}
    for entry in run["cases"].values():
        for name, rates in entry["limits"].items():
            limits.setdefault(name, []).extend(rates)
    if limits:
        ranges = [f"{name} {min(rates):.0f}–{max(rates):.0f}"
                  for name, rates in sorted(limits.items())]
        lines.append("- limits beside the cases (loop, instruction set, threads), GFLOP/s or GB/s: "
                     + ", ".join(ranges))
    return lines + [f"- not there: {name} ({reason})" for name, reason in facts["absent"].items()]


def goals_table(figures: Figures) -> list[str]:
    """Every goal: at least, measured, reached."""
    return table(["what", "at least", "measured", "reached"],
                 (goal.row() for goal in goals(figures)))


def _percent(part: float | None) -> str:
    return "" if part is None else f"{part:.0%}"


def _rate(figures: Figures, case: Case, best: Best) -> str:
    """The part of the limit that bounds the case, or the rate where no limit was measured."""
    if figures.memory_bound(case):
        part, rate = figures.part_of_bandwidth(case, best), f"{case.bytes / best.seconds:.3g}"
        return f"{_percent(part)} of axpy" if part else f"{float(rate) * 1e-9:.3g} GB/s"
    part = figures.part_of_peak(case, best)
    return _percent(part) if part else f"{case.flops / best.seconds * 1e-9:.3g} GFLOP/s"


def _cell(figures: Figures, case: Case, best: Best | None) -> str:
    if best is None:
        return "–"
    variant = f" ({best.variant})" * (figures.variants(case, best.member) > 1)
    return (f"{best.seconds * 1e3:.3g} ms ±{best.spread:.0%}<br>{_rate(figures, case, best)}"
            f"{variant}")


def _times(ratio: float | None) -> str:
    return "–" if ratio is None else f"{'**' * (ratio < 1)}{ratio:.2f}×{'**' * (ratio < 1)}"


def cases_table(figures: Figures, cases: Iterable[Case]) -> list[str]:
    """One line for each case: every member's fastest variant, and the ratio to the best peer."""
    cases = list(cases)
    members = [name for name in MEMBERS if any(figures.best(case, [name]) for case in cases)]
    rows = ([f"{case.operation} {case.shape}" + f" {case.dtype}" * (case.family == "gemm"),
             *(_cell(figures, case, figures.ours(case, member=name) if "fastdl" in name else
                     figures.best(case, [name])) for name in members),
             _times(figures.ratio(case))] for case in cases)
    return table(["case", *members, "against the best peer"], rows)


def convolution_table(figures: Figures) -> list[str]:
    """One line for each shape: a cell for each pass, and the ratio of their sums."""
    rows = []
    for shape, passes in convolutions(figures).items():
        sets = ", ".join(passes[CONV_PASSES[0]].sets)
        rows.append([f"{shape}<br>{sets}",
                     *(_pass(figures, passes[operation]) for operation in CONV_PASSES),
                     _times(figures.ratio_of_sums(passes.values()))])
    return table(["shape", *(NAMES[operation] for operation in CONV_PASSES),
                  "all three, one layout"], rows)


def _pass(figures: Figures, case: Case) -> str:
    ours, peer = figures.ours(case), figures.best(case, PEERS)
    return "<br>".join(f"{_rate(figures, case, best)} ({best.variant})"
                       for best in (ours, peer) if best) + f"<br>{_times(figures.ratio(case))}"


def means(figures: Figures) -> list[str]:
    """Geometric means of the ratios to PyTorch's best, by set and pass."""
    sets: dict[str, list[Case]] = {}
    for case in figures.cases:
        if case.family == "conv":
            for name in case.sets:
                sets.setdefault(name, []).append(case)
    sets = {"all": [case for case in figures.cases if case.family == "conv"], **sets}
    rows = []
    for name, cases in sets.items():
        ratios = [[figures.ratio(case) for case in cases if case.operation == operation]
                  for operation in CONV_PASSES]
        rows.append([name, *(_mean(column) for column in ratios)])
    return table(["network", *(NAMES[operation] for operation in CONV_PASSES)], rows)


def _mean(ratios: Iterable[float | None]) -> str:
    mean = geometric_mean(ratio for ratio in ratios if ratio)
    return "–" if math.isnan(mean) else f"{mean:.2f}×"


def slower(figures: Figures) -> list[str]:
    """Every case in which a peer is faster, the slowest first."""
    found = sorted((ratio, case.name) for case in figures.cases
                   if (ratio := figures.ratio(case)) and ratio < 1)
    return [f"- {ratio:.2f}× {name}" for ratio, name in found] or ["None."]


def left_out(figures: Figures) -> list[str]:
    """What was not timed, by reason: how often, and one example."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for case, member, variant, reason in figures.left_out():
        reasons.setdefault((member, reason), []).append(f"{case} ({variant})")
    return [f"- {member}: {reason} – {len(names)}, such as {names[0]}"
            for (member, reason), names in reasons.items()]


def markdown(run: dict[str, Any]) -> str:
    """The page on `run`."""
    figures = Figures(run)
    gemm = [case for case in figures.cases if case.family == "gemm"]
    sweeps = [case for case in figures.cases if case.family not in ("gemm", "conv")]
    parts = [("Goals", goals_table(figures)),
             ("Convolution, times faster than PyTorch's best layout, geometric means",
              means(figures) if convolutions(figures) else []),
             ("Cases in which a peer is faster", slower(figures)),
             ("Matrix products", cases_table(figures, gemm) if gemm else []),
             ("Operations bound by memory", cases_table(figures, sweeps) if sweeps else []),
             ("Convolution: ours, the best peer, and the ratio",
              convolution_table(figures) if convolutions(figures) else []),
             ("Not timed", left_out(figures))]
    lines = [*header(figures, run)]
    return pages.with_sections(lines, parts)


# ---- the command line ----

def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.report", description=__doc__)
    parser.add_argument("families", nargs="*", metavar="FAMILY",
                        type=one_of({case.family for case in CASES}),
                        help="kernels to measure, all unless given")
    parser.add_argument("--shapes", nargs="+", default=[], metavar="SET",
                        type=one_of({name for case in CASES for name in case.sets}),
                        help="networks, or other sets of the data files")
    parser.add_argument("--members", nargs="+", metavar="NAME", type=one_of(MEMBERS),
                        default=[name for name, member in MEMBERS.items() if not member.optional],
                        help=f"who is measured, of: {', '.join(MEMBERS)}")
    pages.add_options(parser, Path("bench.json"), Turns().rounds)
    return parser


def main(arguments: list[str] | None = None) -> None:
    """The command line of ``python -m bench.report``."""
    chosen = _parser().parse_args(arguments)
    if chosen.saved:
        measured = json.loads(chosen.path.read_text(encoding="utf-8"))
    else:
        if OURS in chosen.members:
            kernel("gemm", np.empty(0, np.float32), "cython")   # tells who forgot to build them
        measured = run(chosen.path, select(chosen.families, chosen.shapes), chosen.members,
                       chosen.threads, Turns(chosen.rounds), chosen.budget)
    pages.publish(markdown(measured), NAME, chosen.output)
    if chosen.plots:
        from .plots import draw
        draw(Figures(measured), chosen.plots)


if __name__ == "__main__":
    main()
