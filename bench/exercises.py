"""The exercises of the course reports: runs them all, then writes the table of what they found.

``python -m bench.exercises --plots docs/img -o docs/results.md`` runs what the file of
results does not have yet; ``--saved`` runs nothing.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib
import numpy
from PIL import Image

import fastdl
from fastdl import examples

from . import pages
from .record import facts_of_the_machine, record

NAME = "bench.exercises"
SHOWN = ("vanishing_gradient", "optimizers", "overfitting", "deep_convnet", "cifar_activity",
         "cifar_resnet", "filters", "feature_maps", "activations")     # pictures for the page
COLOURS = 128


def markdown(measured: dict[str, Any]) -> str:
    """The page on a run."""
    results = measured["cases"]
    lines = pages.header(measured, measured["facts"]["versions"])
    lines.append(f"- median of {measured['rounds']} seeds where something is trained; the time of "
                 "a script is that of all seeds, loading of data and drawing")
    return "\n".join([*lines, "", examples.results_table(results), ""])


def shrink(source: Path, target: Path) -> None:
    """Copy a picture in few colours, which is a fraction of its bytes."""
    with Image.open(source) as image:
        image.convert("RGB").quantize(COLOURS).save(target, optimize=True)


def _entry(name: str, pictures: Path, seeds: int) -> Callable[[], dict[str, Any]]:
    return lambda: examples.run(name, pictures, seeds=seeds)


def main(arguments: list[str] | None = None) -> None:
    """The command line of ``python -m bench.exercises``."""
    parser = argparse.ArgumentParser(prog="python -m bench.exercises", description=__doc__)
    pages.add_options(parser, Path("exercises.json"), rounds=3)
    parser.add_argument("--pictures", type=Path, default=Path("runs/examples"), metavar="FOLDER",
                        help="where the examples draw")
    chosen = parser.parse_args(arguments)
    if chosen.saved:
        measured = json.loads(chosen.path.read_text(encoding="utf-8"))
    else:
        fastdl.set_num_threads(chosen.threads)
        versions = {"fastdl": fastdl.__version__, "numpy": numpy.__version__,
                    "matplotlib": matplotlib.__version__}
        measured = record(
            chosen.path, {name: _entry(name, chosen.pictures, chosen.rounds)
                          for name in examples.names()},
            facts_of_the_machine(chosen.threads) | {"versions": versions}, chosen.rounds,
            chosen.budget)
    pages.publish(markdown(measured), NAME, chosen.output)
    if chosen.plots:
        for name in SHOWN:
            shrink(chosen.pictures / f"{name}.png", chosen.plots / f"{name}.png")


if __name__ == "__main__":
    main()
