"""A member's process: ``python -m bench.worker FRAMEWORK OPTIONS``.

``with_<framework>.py`` knows the framework. It has ``facts()``, ``variants(case, options)``: a
function for each variant of a case, which takes the arrays and returns the run to be timed; and
``to_numpy(result)``.
"""

import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from fastdl.benchmark.cases import CASES, Case
from fastdl.benchmark.processes import serve
from fastdl.benchmark.runs import comparable
from fastdl.benchmark.timing import check, seconds_per_call

Run = Callable[[], tuple]


class Worker:
    """The runs of one case at a time."""

    def __init__(self, framework: str, options: dict[str, Any]) -> None:
        self._with: Any = importlib.import_module(f"bench.with_{framework}")
        self._options = options
        self._cases = {case.name: case for case in CASES}
        self._runs: dict[str, Run] = {}

    def facts(self) -> dict[str, Any]:
        """What the report says of this member."""
        return self._with.facts()

    def prepare(self, case: str, expected: str) -> dict[str, Any]:
        """Every variant built, checked and warm; see `Process.prepare`."""
        self._runs = {}                                     # frees the last case's arrays first
        left_out = {}
        chosen, folder = self._cases[case], Path(expected)
        for variant, build in self._with.variants(chosen, self._options).items():
            try:
                # Updates change their arrays, so everybody has new ones.
                run = build(chosen.arrays())
                results = self._results(chosen, run)
                if not any(folder.iterdir()):
                    for i, result in enumerate(results):
                        np.save(folder / f"{i}.npy", result)
                check(chosen, variant, results, _loaded(folder))
                self._runs[variant] = run
            except Exception as error:                      # reported, and not timed
                left_out[variant] = f"{type(error).__name__}: {error}".splitlines()[0]
        return {"ready": list(self._runs), "left_out": left_out}

    def _results(self, case: Case, run: Run) -> list[np.ndarray]:
        results = tuple(self._with.to_numpy(result) for result in run() if result is not None)
        return comparable(case, case.arrays() if case.operation == "dropout" else {}, results)

    def time(self, variant: str, calls: int) -> float:
        """Seconds of one call."""
        return seconds_per_call(self._runs[variant], calls)


def _loaded(folder: Path) -> list[np.ndarray]:
    return [np.load(path, mmap_mode="r") for path in sorted(folder.iterdir())]


if __name__ == "__main__":
    serve(lambda: Worker(sys.argv[1], json.loads(sys.argv[2])))
