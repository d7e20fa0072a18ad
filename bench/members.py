"""Who is measured: each a process of its own (``worker.py``), and our end of the line to it.

Two OpenMP runtimes in one process slow both, and an instruction set or a number of threads is best
chosen before anything is imported. A member rests, waiting for a line, while others are timed.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from fastdl.benchmark.cases import Case

from .peak import AVX2, NATIVE

ROOT = Path(__file__).parents[1]

# glibc keeps what is freed: a page fault for every 4 KiB of a large result is no work of a kernel,
# and would hide how fast the kernels are.
MEMORY_KEPT = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(1 << 40),
               "MALLOC_TOP_PAD_": str(64 << 20)}


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


class MemberError(Exception):
    """A member could not do what it was asked, or is not installed."""


class Process:
    """A running member; a context manager that ends it.

    Raises
    ------
    MemberError
        when it does not start, for example because its framework is not installed
    """

    def __init__(self, member: Member, threads: int) -> None:
        count = str(1 if member.one_thread else threads)
        environment = {**os.environ, **member.environment, "OMP_NUM_THREADS": count,
                       "OPENBLAS_NUM_THREADS": count, "MKL_NUM_THREADS": count,
                       "NUMBA_NUM_THREADS": count}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.worker", member.framework, json.dumps(member.options)],
            cwd=ROOT, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        try:
            self.facts: dict[str, Any] = self.ask(command="facts")
        except MemberError:
            self.close()
            raise

    def __enter__(self) -> "Process":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """End the process, which stops when nothing more can come."""
        self._process.communicate()

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

    def ask(self, **request: Any) -> Any:
        """One request, one answer."""
        assert self._process.stdin
        assert self._process.stdout
        try:
            print(json.dumps(request), file=self._process.stdin, flush=True)
            answer = json.loads(self._process.stdout.readline())
        except (BrokenPipeError, json.JSONDecodeError):
            raise MemberError(f"ended with status {self._process.wait()}") from None
        if "error" in answer:
            raise MemberError(answer["error"])
        return answer["result"]
