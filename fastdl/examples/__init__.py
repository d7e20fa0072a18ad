"""The exercises of the course reports, and more: ``fastdl examples list | run NAME``.

One script each, part of the package so that an installed wheel has them; each can also be run as
``python -m fastdl.examples.NAME``, or copied and changed. What they share is in `kit`.
"""

import importlib
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from fastdl.errors import ArgumentError
from fastdl.examples.kit import Run

EXERCISES: dict[str, str] = {
    "A1": "one_unit", "A2": "classifier", "A3": "backprop", "A4": "im2col",
    "A5": "vanishing_gradient", "A6": "optimizers", "A7": "overfitting", "A8": "simple_convnet",
    "A9": "deep_convnet", "A10": "cifar_activity", "A11": "mnist_keras", "A12": "look_inside"}
"""Names of the scripts by the numbers of the exercises."""

MORE = ("cifar_resnet",)
"""Names of the scripts that are no exercise of the reports."""

COURSE = Path(__file__).with_name("course")
"""The folder of the scripts that make the calls of the reports' listings, for ``fastdl run``."""


def names() -> tuple[str, ...]:
    """The names that `run` knows, in the order of the exercises; then what is `MORE`."""
    return tuple(name for _, name in numbered())


def numbered() -> Iterator[tuple[str, str]]:
    """Number and name of each, in the same order; the number of what is `MORE` is empty."""
    yield from EXERCISES.items()
    yield from (("", name) for name in MORE)


def load(name: str) -> ModuleType:
    """The module of an example: `TITLE` (English, Japanese) and `example(run)`."""
    if name not in names():
        raise ArgumentError(f"unknown example {name!r}; there are: {', '.join(names())}")
    return importlib.import_module(f"{__name__}.{name}")


def run(name: str, out: str | os.PathLike[str] = "runs/examples", lang: str = "en",
        quick: bool = False, seeds: int = 1) -> dict[str, Any]:
    """Run an example: it prints what it finds, and draws into the folder `out`.

    Parameters
    ----------
    name : one of `names`
    out : folder for pictures, made if need be
    lang : "en" or "ja", of texts and labels
    quick : a run of seconds on the bundled digits, whose figures mean nothing
    seeds : how many times a training is done, from different seeds; the median is shown

    Returns
    -------
    dict
        what `Run.results` says, with the title and the seconds that the whole took

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     results = run("one_unit", out=folder)
    One unit, forward
      u = xW + b: [1.3] (as in the report)
    ...
    >>> results["findings"][0]["reached"]
    True
    """
    module = load(name)
    started = time.perf_counter()
    session = Run(name, out, lang, quick, seeds)
    with session:
        print(session.say(*module.TITLE), flush=True)
        module.example(session)
    return {"title": module.TITLE[0], **session.results(),
            "seconds": round(time.perf_counter() - started, 3)}


def results_table(results: Mapping[str, Mapping[str, Any]]) -> str:
    """A Markdown table of what examples found: a line for each figure.

    Parameters
    ----------
    results : what `run` returned, by the names of the examples
    """
    lines = ["| exercise | figure | in the report | ours | goal | reached | time of the script |",
             "| --- | --- | --- | --- | --- | --- | --- |"]
    for number, name in numbered():
        if name not in results:
            continue
        found = results[name]
        first = f"{number} {found['title']}".strip(), f"{found['seconds']:.3g} s"
        for finding in found["findings"]:
            cells = [first[0], finding["what"], _cell(finding["printed"]) or "–",
                     _cell(finding["ours"]), finding["goal"], _REACHED[finding["reached"]],
                     first[1]]
            lines.append(f"| {' | '.join(cells)} |")
            first = "", ""
        lines += [f"| | *{remark}* | | | | | |" for remark in found["remarks"]]
    return "\n".join(lines)


def _cell(text: str) -> str:
    """Text as a cell of a table; of a long matrix the first line."""
    lines = text.split("\n")
    return " <br> ".join(lines if len(lines) <= 3 else [lines[0], "…"])


_REACHED = {True: "yes", False: "**no**", None: ""}
