"""Options, the measuring itself, and the facts about the machine for the report."""

import importlib.util
import platform
import statistics
from functools import partial
from importlib import metadata
from typing import NamedTuple

import pytest

import fastdl as fd
from fastdl.benchmark import Case, interleaved, runners, seconds_per_call

from . import peak
from .peer import Peer

collect_ignore = ["torch_peer.py"]      # it imports torch, which belongs into its own process


def pytest_addoption(parser):
    group = parser.getgroup("fastdl")
    group.addoption("--quick", action="store_true",
                    help="one short round: shows that the suite works, not how fast anything is")
    group.addoption("--torch-compile", action="store_true",
                    help="also time the peer's torch.compile (takes minutes)")


class Turns(NamedTuple):
    """How long everyone is measured."""

    rounds: int
    block: float        # seconds


class Measurement(NamedTuple):
    """Seconds of one call in each round, and how the member ran."""

    seconds: list[float]
    variant: str | None = None


@pytest.fixture(scope="session")
def turns(request) -> Turns:
    if request.config.getoption("quick"):
        return Turns(rounds=1, block=0)
    return Turns(rounds=request.config.getoption("benchmark_min_rounds"), block=0.05)


@pytest.fixture(scope="session")
def peer():
    """PyTorch at the other end of a pipe, or None where it is not installed."""
    if importlib.util.find_spec("torch") is None:
        yield None
        return
    with Peer(fd.get_num_threads()) as torch:
        yield torch


@pytest.fixture(scope="session")
def measured(request, turns, peer):
    """``measured(case)``: a measurement for each member, all taken in turns, once per case."""
    compiled = request.config.getoption("torch_compile")
    known: dict[str, dict[str, Measurement]] = {}

    def measure(case: Case) -> dict[str, Measurement]:
        ours = {name: partial(seconds_per_call, run) for name, run in runners(case).items()}
        theirs = peer.timers(case.name, compiled) if peer else {}
        seconds = interleaved({**ours, **theirs}, turns.rounds, turns.block)
        result = {name: Measurement(seconds[name]) for name in ours}
        if theirs:
            best = min(theirs, key=lambda variant: statistics.median(seconds[variant]))
            result["torch"] = Measurement(seconds[best], best)
        return result

    def cached(case: Case) -> dict[str, Measurement]:
        if case.name not in known:
            known[case.name] = measure(case)
        return known[case.name]

    return cached


# ---- facts for the report ----

def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


@pytest.hookimpl(optionalhook=True)
def pytest_benchmark_update_machine_info(machine_info):
    try:
        from fastdl._kernels.native import _native
        isa = _native.isa()
    except ImportError:
        isa = "none: native kernels are not built"
    machine_info["fastdl"] = {
        "instruction set": isa,
        "threads": fd.get_num_threads(),
        "versions": {"python": platform.python_version(),
                     **{name: _version(name) for name in ("numpy", "numba", "torch", "fastdl")}},
    }


@pytest.hookimpl(optionalhook=True)
def pytest_benchmark_update_json(config, output_json):
    repetitions = 2 if config.getoption("quick") else 20
    output_json["limits"] = peak.measure(fd.get_num_threads(), repetitions)
