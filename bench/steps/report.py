"""Whole steps: measures what is not measured yet, then writes tables and a plot of the run.

``python -m bench.steps --networks ResNet-50 --kind training`` measures one case; ``--saved`` makes
everything from the file of a run and measures nothing.
"""

import argparse
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from fastdl.benchmark.steps.heats import Turns
from fastdl.benchmark.steps.networks import CASES, NETWORKS, Case

from .. import pages
from ..pages import one_of, table
from .figures import Figures, Time
from .goals import goals
from .members import MEMBERS, OTHERS, OURS
from .run import run

NAME = "bench.steps"
KINDS = ("training", "inference")
GiB = 1 << 30


# ---- the parts of the page ----

def _times(ratio: float | None) -> str:
    return "" if ratio is None else f"<br>{ratio:.2f}×"


def _milliseconds(case: Case, time: Time) -> str:
    return f"{time.seconds * 1e3:.3g} ms ±{time.spread:.0%}"


def _images(case: Case, time: Time) -> str:
    return f"{case.network.batch / time.seconds:.4g} ±{time.spread:.0%}"


def times_table(figures: Figures, training: bool) -> list[str]:
    """A line for each network: everybody's time and how many times slower than ours it was."""
    cases = [case for case in figures.cases if case.training == training]
    members = [name for name in MEMBERS if any(figures.time(case, name) for case in cases)]
    show = _milliseconds if training else _images
    rows = []
    for case in cases:
        cells = [show(case, time) + _times(figures.ratio(case, name))
                 if (time := figures.time(case, name)) else "–" for name in members]
        fastest = figures.fastest(case)
        rows.append([f"{case.network.title}, {case.network.batch}", *cells,
                     f"{fastest[0]:.2f}×" if fastest else "–"])
    return table(["network, batch", *members, "against the fastest peer"], rows) if rows else []


def memory_table(figures: Figures) -> list[str]:
    """A line for each case: the most memory that each member's process has had."""
    members = [name for name in MEMBERS
               if any(figures.resource(case, name, "peak") for case in figures.cases)]
    rows = []
    for case in figures.cases:
        peaks = (figures.resource(case, name, "peak") for name in members)
        faults = figures.resource(case, OURS, "faults")
        rows.append([case.name, *(f"{peak / GiB:.2f}" if peak else "–" for peak in peaks),
                     "–" if faults is None else f"{faults:.3g}"])
    return table(["GiB", *members, "page faults of a call of ours"], rows) if rows else []


def markdown(measured: dict[str, Any]) -> str:
    """The page on a run."""
    figures = Figures(measured)
    parts = [("Goals", table(["what", "goal", "measured", "reached"], goals(figures))),
             ("Training: a step, and how many times as long as ours in the same heat",
              times_table(figures, training=True)),
             ("Inference: images a second, and how many times as long as ours in the same heat",
              times_table(figures, training=False)),
             ("Peak memory", memory_table(figures)),
             ("Not timed", [f"- {name}: {reason}" for name, reason in figures.left_out.items()])]
    lines = [*pages.header(measured, figures.versions),
             f"- {len(figures.heats)} heats, {measured['rounds']} rounds in turns each"]
    return pages.with_sections(lines, parts)


# ---- the command line ----

def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.steps", description=__doc__)
    parser.add_argument("--networks", nargs="+", metavar="NAME",
                        type=one_of({network.title for network in NETWORKS}),
                        default=[network.title for network in NETWORKS])
    parser.add_argument("--kind", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--members", nargs="+", metavar="NAME", type=one_of(OTHERS),
                        default=[name for name in OTHERS if not MEMBERS[name].optional],
                        help=f"who is measured beside us, of: {'; '.join(OTHERS)}")
    pages.add_options(parser, Path("steps.json"), Turns().rounds)
    return parser


def _chosen(networks: Iterable[str], kinds: Iterable[str]) -> list[Case]:
    return [case for case in CASES
            if case.network.title in networks and KINDS[not case.training] in kinds]


def main(arguments: list[str] | None = None) -> None:
    """The command line of ``python -m bench.steps``."""
    chosen = _parser().parse_args(arguments)
    if chosen.saved:
        measured = json.loads(chosen.path.read_text(encoding="utf-8"))
    else:
        measured = run(chosen.path, _chosen(chosen.networks, chosen.kind), chosen.members,
                       chosen.threads, Turns(chosen.rounds), chosen.budget)
    pages.publish(markdown(measured), NAME, chosen.output)
    if chosen.plots:
        from .plots import draw
        draw(Figures(measured), chosen.plots)
