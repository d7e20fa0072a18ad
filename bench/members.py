"""Who is measured: each a process of its own (``worker.py``), and our end of the line to it."""

import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from fastdl.benchmark.cases import Case
from fastdl.benchmark.processes import MEMORY_KEPT, Line

from .peak import AVX2, NATIVE
from .record import ROOT


class Member(NamedTuple):
    """How one of those compared is run."""

    framework: str                                  # bench/with_<framework>.py
    options: Mapping[str, Any] = {}                 # of the framework
    environment: Mapping[str, str] = MEMORY_KEPT
    isa: str = NATIVE                               # whose peak is its limit
    one_thread: bool = False
    optional: bool = False                          # only where asked for


OURS, PEER = "fastdl", "torch"
ONE_THREAD, ON_AVX2 = "fastdl, 1 thread", "fastdl, avx2"
DIRECT, AUTO, WINOGRAD = "direct", "auto", "winograd"

MEMBERS = {
    OURS: Member("fastdl", {"algorithms": [DIRECT, AUTO, WINOGRAD]}),
    ONE_THREAD: Member("fastdl", {"algorithms": [DIRECT]}, one_thread=True),
    ON_AVX2: Member("fastdl", {"algorithms": [DIRECT]}, MEMORY_KEPT | {"FASTDL_ISA": "avx2"},
                    AVX2),
    "numpy": Member("numpy"),
    PEER: Member("torch"),
    "torch, compiled": Member("torch", {"compiled": True}, optional=True),
    "torch, as it comes": Member("torch", environment={}, optional=True),
    "numba": Member("fastdl", {"backend": "numba", "algorithms": [DIRECT]}, optional=True),
    "reference": Member("fastdl", {"backend": "reference", "algorithms": [DIRECT]}, optional=True),
}
# Whose results the others must agree with: the first of these that runs the case.
JUDGES = ("reference", PEER, "numpy", OURS)
PEERS = tuple(name for name, member in MEMBERS.items() if member.framework != "fastdl")


class Process(Line):
    """A running member; a context manager that ends it.

    Raises
    ------
    MemberError
        when it does not start, for example because its framework is not installed
    """

    def __init__(self, member: Member, threads: int) -> None:
        super().__init__("bench.worker", [member.framework, json.dumps(member.options)],
                         member.environment, 1 if member.one_thread else threads, ROOT)

    def prepare(self, case: Case,
                expected: Path) -> tuple[dict[str, Callable[[int], float]], dict[str, str]]:
        """Timers of every variant that gives the right results; why the others are left out.

        Who finds the folder `expected` empty writes its results there, to be compared with.
        """
        answer = self.ask(command="prepare", case=case.name, expected=str(expected))
        timers = {variant: partial(self._seconds, variant) for variant in answer["ready"]}
        return timers, answer["left_out"]

    def _seconds(self, variant: str, calls: int) -> float:
        return self.ask(command="time", variant=variant, calls=calls)
