"""A member's process: ``python -m fastdl.benchmark.steps.worker MODULE OPTIONS``.

MODULE knows a framework. It has ``facts()``, and
    training(network, layers, x, ts, options)       step(i): on `x` with the labels ``ts[i]``;
                                                    returns the loss
    inference(network, layers, x, options)          predict(): the scores of `x`
where `layers` is the description of the network (`networks.description`).
"""

import contextlib
import importlib
import itertools
import json
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import FastdlError
from ..processes import serve
from .networks import Network

WARM_UP, PATIENCE = 8, 32       # steps before anything is timed: at least, and at most
LABELS = 8                      # sets of random labels


class Worker:
    """One network in one framework."""

    def __init__(self, module: str, options: dict[str, Any]) -> None:
        self._with: Any = importlib.import_module(module)
        self._options = options
        self._run: Callable[[], Any] = lambda: None
        self._calls = self._faults = 0

    def facts(self) -> dict[str, Any]:
        """What the report says of this member."""
        return self._with.facts()

    def prepare(self, network: list[Any], layers: list[dict[str, Any]],
                training: bool) -> list[float]:
        """Build and warm up; the losses of the first steps, which must fall.

        They are all of the same labels, so any network that really trains gets better at them.
        What is timed afterwards has other random labels at each step, or the gradients would
        become subnormal numbers in a thousand steps, which are slow.
        """
        chosen = Network(*network)
        random = np.random.default_rng(0)
        x = random.random((chosen.batch, chosen.channels, chosen.size, chosen.size), np.float32)
        if not training:
            self._run = self._with.inference(chosen, layers, x, self._options)
            return self._predicted(chosen)
        ts = random.integers(0, chosen.classes, (LABELS, chosen.batch))
        step = self._with.training(chosen, layers, x, ts, self._options)
        losses = [float(step(0)) for _ in range(WARM_UP)]
        # Written so that a NaN fails. Dropout makes some losses rise.
        while not min(losses[-2:]) < losses[0]:
            if len(losses) == PATIENCE:
                raise FastdlError(f"the loss does not fall: {losses[0]:.4g} to {losses[-1]:.4g} "
                                  f"in {PATIENCE} steps")
            losses.append(float(step(0)))
        turn = itertools.cycle(range(LABELS))
        self._run = lambda: step(next(turn))
        return losses

    def _predicted(self, network: Network) -> list[float]:
        for _ in range(WARM_UP):
            scores = np.asarray(self._run())
        if scores.shape != (network.batch, network.classes) or not np.isfinite(scores).all():
            raise FastdlError(f"the scores are {scores.shape} or not finite")
        return []

    def time(self, calls: int) -> float:
        """Seconds of one call, the mean of them, after one that is not timed (cold caches)."""
        self._run()
        faults, start = _page_faults(), time.perf_counter()
        for _ in range(calls):
            self._run()
        seconds = time.perf_counter() - start
        self._faults += _page_faults() - faults
        self._calls += calls
        return seconds / calls

    def resources(self) -> dict[str, float]:
        """The most memory that the process has had, in bytes; page faults of a timed call."""
        return {"peak": _peak_memory(), "faults": self._faults / max(self._calls, 1)}


def _usage() -> Any:
    with contextlib.suppress(ImportError):                  # Windows has none
        import resource

        return resource.getrusage(resource.RUSAGE_SELF)
    return None


def _page_faults() -> int:
    usage = _usage()
    return usage.ru_minflt if usage else 0


def _peak_memory() -> float:
    with contextlib.suppress(OSError):
        # Linux's ru_maxrss begins with what the process had that started this one.
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
    usage = _usage()
    return usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024) if usage else math.nan


if __name__ == "__main__":
    serve(lambda: Worker(sys.argv[1], json.loads(sys.argv[2])))
