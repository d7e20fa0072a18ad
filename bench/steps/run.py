"""Measuring: fastdl against each of the others on each case, a heat each."""

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

from fastdl.benchmark.processes import MemberError
from fastdl.benchmark.steps.heats import Turns, heat
from fastdl.benchmark.steps.networks import Case

from ..record import ROOT, facts_of_the_machine, record, rounded
from .members import MEMBERS, OURS

VERSUS = " | "                  # in the name of an entry: case, then the other member


def run(path: Path, cases: Iterable[Case], others: Iterable[str], threads: int, turns: Turns,
        budget: float = float("inf")) -> dict[str, Any]:
    """See `bench.record.record`; an entry is a heat, or why there was none."""
    others = list(others)
    entries: dict[str, Callable[[], dict[str, Any]]] = {
        f"{case.name}{VERSUS}{other}": partial(_entry, case, other, threads, turns)
        for case in cases for other in others
        if not MEMBERS[other].only or case.network.title in MEMBERS[other].only}
    return record(path, entries, facts_of_the_machine(threads), turns.rounds, budget)


def _entry(case: Case, other: str, threads: int, turns: Turns) -> dict[str, Any]:
    members = {name: MEMBERS[name] for name in (OURS, other)}
    try:
        measured = heat(case, members, threads, turns, ROOT)
    except MemberError as error:
        return {"left_out": str(error)}
    for kind in ("seconds", "losses"):
        measured[kind] = {name: rounded(values) for name, values in measured[kind].items()}
    return measured
