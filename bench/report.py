"""A run of the benchmarks as a Markdown table of ratios.

``python -m bench.report run.json`` reads what ``pytest bench --benchmark-json run.json`` wrote;
without a file it runs the suite itself, with the options of pytest that follow ``--``.
"""

import argparse
import contextlib
import io
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from tqdm import tqdm

REFERENCE, OURS, PEER = "reference", "cython", "torch"
OVERHEAD_GROUP = "dispatch"             # reported as a difference, not as a ratio


# ---- one cell ----

def _milliseconds(benchmark: dict) -> str:
    stats = benchmark["stats"]
    return f"{stats['median'] * 1e3:.3g} ms ±{stats['iqr'] / 2 / stats['median']:.0%}"


def _limit(limits: dict, key: str) -> float | None:
    """What the machine can do, or None where it was not measured."""
    # All threads may do less than one, where others use the machine meanwhile.
    return max(limits[key]) if key in limits else None


def _rate(benchmark: dict, limits: dict) -> str:
    """GFLOP/s or GB/s, and the part of the limit that this is."""
    info, median = benchmark["extra_info"], benchmark["stats"]["median"]
    amount, unit, key = ((info["flops"], "GFLOP/s", "float32") if info["flops"] else
                         (info["bytes"], "GB/s", "memory"))
    rate, limit = amount / median * 1e-9, _limit(limits, key)
    return f"{rate:.3g} {unit}" + (f" = {rate / limit:.0%}" if limit else "")


def _cell(benchmark: dict | None, group: dict[str, dict], limits: dict) -> str:
    if benchmark is None:
        return "–"
    lines = [_milliseconds(benchmark), _rate(benchmark, limits)]
    if benchmark["extra_info"].get("variant"):
        lines[0] += f" ({benchmark['extra_info']['variant']})"
    if REFERENCE in group and benchmark is not group[REFERENCE]:
        lines.insert(1, f"**{_speed(benchmark, group[REFERENCE])}**")
    return "<br>".join(lines)


def _speed(benchmark: dict, other: dict) -> str:
    """How many times faster `benchmark` is than `other`."""
    return f"×{other['stats']['median'] / benchmark['stats']['median']:.2f}"


# ---- the parts of the page ----

def _header(run: dict) -> list[str]:
    machine, commit, limits = run["machine_info"], run["commit_info"], run.get("limits", {})
    facts = machine["fastdl"]
    cpu = machine["cpu"]
    versions = ", ".join(f"{name} {version or 'not installed'}"
                         for name, version in facts["versions"].items())
    lines = [
        f"- date: {run['datetime'][:19]}",
        f"- machine: {cpu.get('brand_raw', machine['machine'])} ({cpu.get('count', '?')} cores), "
        f"{machine['system']}",
        f"- instruction set: {facts['instruction set']}; threads: {facts['threads']}",
        f"- versions: {versions}",
        f"- commit: {commit['id'][:12]}{' with changes' if commit['dirty'] else ''}",
    ]
    if "error" in limits or not limits:
        return [*lines, f"- peak not measured: {limits.get('error', 'not in this run')}"]
    rates = [f"{name} {limits[key][-1]:.0f} {unit} ({limits[key][0]:.0f} on one thread)"
             for name, key, unit in (("FMA float32", "float32", "GFLOP/s"),
                                     ("float64", "float64", "GFLOP/s"),
                                     ("memory (axpy)", "memory", "GB/s"))]
    return [*lines, f"- limits measured in this run: {', '.join(rates)}"]


def _groups(run: dict) -> dict[str, dict[str, dict]]:
    """Group to member to benchmark, in the run's order."""
    groups: dict[str, dict[str, dict]] = {}
    for benchmark in run["benchmarks"]:
        member = benchmark["extra_info"]["member"]
        groups.setdefault(benchmark["group"], {})[member] = benchmark
    return groups


def _table(groups: dict[str, dict[str, dict]], limits: dict) -> list[str]:
    members = list(dict.fromkeys(member for group in groups.values() for member in group))
    head = ["operation", *members]
    compared = OURS in members and PEER in members
    if compared:
        head.append(f"{OURS} against {PEER}")
    lines = [head, ["---"] * len(head)]
    for name, group in groups.items():
        row = [name, *(_cell(group.get(member), group, limits) for member in members)]
        if compared:
            both = OURS in group and PEER in group
            row.append(_speed(group[OURS], group[PEER]) if both else "–")
        lines.append(row)
    return [f"| {' | '.join(line)} |" for line in lines]


def _overhead(group: dict[str, dict]) -> str:
    ops, kernel = (group[member]["stats"]["median"] * 1e6 for member in ("ops", "kernel"))
    return (f"Dispatch: a warm `fd.ops.relu` of one element takes {ops:.2f} µs, its kernel called "
            f"directly {kernel:.2f} µs; the difference is {ops - kernel:.2f} µs.")


def markdown(run: dict[str, Any]) -> str:
    """The report on `run`, the content of a pytest-benchmark JSON file."""
    groups = _groups(run)
    overheads = [groups.pop(name) for name in list(groups) if name.startswith(OVERHEAD_GROUP)]
    limits = run.get("limits", {})
    lines = ["# fastdl benchmark", "", *_header(run)]
    if groups:
        lines += ["", "Median of one call ± half the interquartile range over the rounds; **how "
                  "many times faster than the reference**; rate, and what part of the measured "
                  "limit that is. Operations with a gradient: forward and backward.", "",
                  *_table(groups, limits)]
    for group in overheads:
        if {"ops", "kernel"} <= group.keys():
            lines += ["", _overhead(group)]
    return "\n".join(lines) + "\n"


# ---- running the suite ----

class _Bar:
    """A pytest plugin that shows a progress bar in place of pytest's output."""

    def __init__(self) -> None:
        self._bar = tqdm(unit=" benchmarks")

    def pytest_collection_finish(self, session: Any) -> None:
        self._bar.reset(total=len(session.items))

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self._bar.set_description(nodeid.partition("[")[2].rstrip("]") or nodeid)

    def pytest_runtest_logfinish(self) -> None:
        self._bar.update()

    @pytest.hookimpl(tryfirst=True)         # before the JSON file is written, with a message
    def pytest_sessionfinish(self) -> None:
        self._bar.close()


def measure(options: list[str]) -> dict[str, Any]:
    """Run the suite with these options of pytest and return the run.

    Raises
    ------
    SystemExit
        with pytest's output, when a benchmark failed
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "run.json")
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            status = pytest.main([str(Path(__file__).parent), "--capture=no",
                                  f"--benchmark-json={path}", *options], plugins=[_Bar()])
        if status != pytest.ExitCode.OK:
            raise SystemExit(f"{output.getvalue()}\nthe benchmarks failed: no report")
        return json.loads(path.read_text(encoding="utf-8"))


def main(arguments: list[str] | None = None) -> None:
    """The command line of ``python -m bench.report``."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.report", description=__doc__,
        usage="%(prog)s [-h] [-o OUTPUT] [run | -- OPTIONS]")
    parser.add_argument("run", nargs="?", type=Path,
                        help="JSON file of a run; without, the suite runs now")
    parser.add_argument("-o", "--output", type=Path, help="write the report here, not to stdout")
    arguments = sys.argv[1:] if arguments is None else arguments
    # Split by hand: argparse would take the value of an option of pytest for the file.
    end = arguments.index("--") if "--" in arguments else len(arguments)
    chosen, options = parser.parse_args(arguments[:end]), arguments[end + 1:]
    if chosen.run is None:
        run = measure(options)
    elif options:
        parser.error(f"options for a run, but a run is given: {' '.join(options)}")
    else:
        run = json.loads(chosen.run.read_text(encoding="utf-8"))
    report = markdown(run)
    if chosen.output:
        chosen.output.write_text(report, encoding="utf-8")
    else:
        sys.stdout.write(report)


if __name__ == "__main__":
    main()
