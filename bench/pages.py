"""What the reports share: their options, tables, facts, and their places in a page."""

import argparse
import math
import os
import sys
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from fastdl.files import write_text


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    """Lines of a Markdown table."""
    head = list(head)
    return [f"| {' | '.join(line)} |" for line in (head, ["---"] * len(head), *rows)]


def with_sections(lines: Iterable[str],
                  sections: Iterable[tuple[str, Collection[str]]]) -> str:
    """The page that begins with `lines`; sections without content are left out."""
    page = list(lines)
    for title, content in sections:
        if content:
            page += ["", f"### {title}", "", *content]
    return "\n".join(page) + "\n"


def header(run: Mapping[str, Any], versions: Mapping[str, str]) -> list[str]:
    """Facts about machine and run."""
    facts = run["facts"]
    times = [entry["at"] for entry in run["cases"].values()]
    return [f"- {min(times)} to {max(times)}; {facts['machine']}, {facts['cores']} cores, "
            f"{facts['system']}",
            f"- commit {facts['commit'][:12]}{' with changes' if facts['dirty'] else ''}; "
            f"{facts['threads']} threads",
            f"- {', '.join(f'{name} {version}' for name, version in versions.items())}"]


def markers(name: str) -> tuple[str, str]:
    """The lines of a page between which the report of that name belongs."""
    return f"<!-- made by {name} -->", f"<!-- end of what {name} makes -->"


def insert(report: str, name: str, page: str) -> str:
    """`page` with `report` between its `markers`."""
    first, last = markers(name)
    before, begin, rest = page.partition(first)
    _, end, after = rest.partition(last)
    if not end:
        raise ValueError(f"the page has no place for a report: a line {first}, then a line {last}")
    return f"{before}{begin}\n\n{report}\n{end}{after}"


def publish(report: str, name: str, output: Path | None) -> None:
    """Write a report to its place in a file, to a file of its own, or to stdout."""
    if output is None:
        sys.stdout.write(report)
        return
    page = output.read_text(encoding="utf-8") if output.exists() else ""
    write_text(output, insert(report, name, page) if markers(name)[0] in page else report)


def one_of(names: Collection[str]) -> Callable[[str], str]:
    """An option's type: one of some names."""
    def known(name: str) -> str:
        if name not in names:
            raise argparse.ArgumentTypeError(f"{name!r}; there are: {', '.join(sorted(names))}")
        return name

    return known


def add_options(parser: argparse.ArgumentParser, path: Path, rounds: int) -> None:
    """Options that every report has."""
    parser.add_argument("--json", type=Path, default=path, dest="path",
                        help="the file of the run; what it has already is not measured again")
    parser.add_argument("--saved", action="store_true", help="measure nothing")
    parser.add_argument("--budget", type=float, default=math.inf, metavar="SECONDS",
                        help="start nothing after so long; give the same file to go on")
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--plots", type=Path, metavar="FOLDER", help="draw the plots there")
    parser.add_argument("-o", "--output", type=Path,
                        help="write the report here, not to stdout; where the file has a place for "
                             "it, only that is replaced")
