"""Measuring: every member on every case, in turns."""

import contextlib
import os
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from fastdl.benchmark.cases import Case
from fastdl.benchmark.processes import MemberError
from fastdl.benchmark.timing import PAUSE, interleaved

from .members import JUDGES, MEMBERS, Process
from .peak import NATIVE, Peak, PeakError
from .record import facts_of_the_machine, record, rounded

SHORT_PAUSE = 0.02              # s; OpenMP's idle threads spin for about 5 ms


class Turns(NamedTuple):
    """How long everyone is measured."""

    rounds: int = 5
    block: float = 0.03         # seconds a turn


def limit_name(what: str, member: str, threads: int) -> str:
    """The limit of `member`: "float32", "float64" or "memory", and on what."""
    isa = MEMBERS[member].isa if what != "memory" else NATIVE
    return f"{what} {isa} {1 if MEMBERS[member].one_thread else threads}"


class Field:
    """Everybody who takes part, running; a context manager that ends them."""

    def __init__(self, names: Sequence[str], threads: int) -> None:
        self.threads = threads
        self.absent: dict[str, str] = {}
        self._stack = contextlib.ExitStack()
        self.processes: dict[str, Process] = {}
        for name in names:
            try:
                self.processes[name] = self._stack.enter_context(Process(MEMBERS[name], threads))
            except MemberError as error:
                self.absent[name] = str(error)
        self.peak = None
        try:
            self.peak = self._stack.enter_context(Peak())
        except PeakError as error:
            self.absent["limits"] = str(error)

    def __enter__(self) -> "Field":
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def measure(self, case: Case, turns: Turns) -> dict[str, Any]:
        """One entry of the file: seconds of each round, by member and variant."""
        timers, left_out = self._prepared(case)
        limits = self._limits(case, {member for member, _ in timers})
        pause = PAUSE if any(member == "numpy" for member, _ in timers) else SHORT_PAUSE
        seconds = interleaved({**timers, **limits}, turns.rounds, turns.block, pause)
        times: dict[str, dict[str, list[float]]] = {}
        for member, variant in timers:
            times.setdefault(member, {})[variant] = rounded(seconds[member, variant])
        return {"times": times, "left_out": left_out,
                "limits": {name: rounded(1 / unit for unit in seconds["limit", name])
                           for _, name in limits}}

    def _prepared(self, case: Case) -> tuple[dict, dict]:
        timers, left_out = {}, {}
        order = sorted(self.processes,
                       key=lambda name: JUDGES.index(name) if name in JUDGES else len(JUDGES))
        with tempfile.TemporaryDirectory(dir=_fast_folder()) as folder:
            for name in order:
                ready, problems = self.processes[name].prepare(case, Path(folder))
                timers |= {(name, variant): timer for variant, timer in ready.items()}
                if problems:
                    left_out[name] = problems
        return timers, left_out

    def _limits(self, case: Case, members: set[str]) -> dict:
        if self.peak is None:
            return {}
        wanted = {limit_name(what, member, self.threads) for member in members
                  for what in ({case.dtype} if case.flops else set()) | {"memory"}}
        return {("limit", name): partial(self.peak.seconds_per_unit, *_parsed(name))
                for name in sorted(wanted)}


def _parsed(limit: str) -> tuple[str, str, int]:
    what, isa, threads = limit.split()
    return what, isa, int(threads)


def _fast_folder() -> str | None:
    """Where expected results lie: in memory, where the system has such a folder."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def _facts(field: Field) -> dict[str, Any]:
    versions: dict[str, str] = {}
    for process in field.processes.values():
        versions |= process.facts["versions"]
    return {**facts_of_the_machine(field.threads), "versions": versions, "absent": field.absent,
            "instruction sets": {name: process.facts["instruction set"]
                                 for name, process in field.processes.items()
                                 if "instruction set" in process.facts}}


def run(path: Path, cases: Sequence[Case], members: Sequence[str], threads: int,
        turns: Turns, budget: float = float("inf")) -> dict[str, Any]:
    """Measure what the file at `path` does not have yet, for `budget` seconds, and return it all.

    Raises
    ------
    ValueError
        when the file is of another commit, machine, or number of threads
    """
    with Field(members, threads) as field:
        return record(path, {case.name: partial(field.measure, case, turns) for case in cases},
                      _facts(field), turns.rounds, budget)
