"""A run is a JSON file that is written as it grows.

A run that is stopped, or whose budget of time is spent, is continued by giving the same file
again; what is measured together, one entry of the file, is never torn apart.
"""

import contextlib
import datetime
import json
import os
import platform
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from tqdm import tqdm

from fastdl.files import write_text

ROOT = Path(__file__).parents[1]


def record(path: Path, entries: Mapping[str, Callable[[], dict[str, Any]]], facts: dict[str, Any],
           rounds: int, budget: float) -> dict[str, Any]:
    """Measure what the file at `path` does not have yet, for `budget` seconds, and return it all.

    Parameters
    ----------
    path : need not exist
    entries : functions that measure, by the names of their entries
    facts : `facts_of_the_machine`, and whatever else
    rounds : how often each is measured; kept for the report

    Raises
    ------
    ValueError
        when the file is of another commit, machine, or number of threads
    """
    end = time.monotonic() + budget
    saved = (json.loads(path.read_text(encoding="utf-8")) if path.exists() else
             {"facts": facts, "rounds": rounds, "cases": {}})
    for key in ("commit", "machine", "threads"):
        if saved["facts"][key] != facts[key]:
            raise ValueError(f"{path} is of {key} {saved['facts'][key]}, this is "
                             f"{facts[key]}: ratios come from one run")
    bar = tqdm([name for name in entries if name not in saved["cases"]], disable=None)
    for name in bar:
        if time.monotonic() > end:
            break
        bar.set_description(name)
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        saved["cases"][name] = {"at": now, **entries[name]()}
        write_text(path, _compact(saved))
    return saved


def rounded(values: Iterable[float]) -> list[float]:
    """Four digits of each, which is more than is known."""
    return [float(f"{value:.4g}") for value in values]


def _compact(saved: dict[str, Any]) -> str:
    """JSON with a line for each entry."""
    head = json.dumps({key: value for key, value in saved.items() if key != "cases"})
    lines = [f"{json.dumps(name)}: {json.dumps(entry)}" for name, entry in saved["cases"].items()]
    body = ",\n".join(lines)
    return f'{head[:-1]}, "cases": {{\n{body}\n}}}}\n'


def facts_of_the_machine(threads: int) -> dict[str, Any]:
    """Processor, system, commit, and how many threads are used."""
    def git(*arguments: str) -> str:
        with contextlib.suppress(OSError):              # there need not be a git
            done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)
            return done.stdout.strip()
        return ""

    return {"machine": _cpu(), "cores": os.cpu_count(), "system": platform.system(),
            "threads": threads, "commit": git("rev-parse", "HEAD"),
            "dirty": bool(git("status", "--porcelain", "--untracked-files=no"))}


def _cpu() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
