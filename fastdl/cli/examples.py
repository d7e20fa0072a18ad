"""``fastdl examples``: the exercises of the course reports."""

from __future__ import annotations

import argparse
import json

from ..errors import ArgumentError
from ..examples import COURSE, load, names, numbered, results_table
from ..examples import run as run_example
from ..examples.kit import add_options
from ..files import write_text
from .options import Commands


def add(commands: Commands) -> None:
    """Add the command, its own commands, and their options."""
    examples = commands.add_parser("examples", help="the exercises of the course reports")
    actions = examples.add_subparsers(required=True, metavar="ACTION")

    listing = actions.add_parser("list", help="their names and titles")
    listing.set_defaults(run=show)

    chosen = actions.add_parser("run", help="run one of them, or all")
    chosen.add_argument("names", nargs="*", metavar="NAME")
    chosen.add_argument("--all", action="store_true",
                        help="run all; results.json in DIR then says what they found")
    add_options(chosen)
    chosen.set_defaults(run=run)


def show(arguments: argparse.Namespace) -> int:
    """Print the list."""
    for number, name in numbered():
        english, japanese = load(name).TITLE
        print(f"{number:>4}  {name:<20}{english}" + (f" ({japanese})" * (english != japanese)))
    print(f"The reports' listings, for fastdl run: {COURSE}")
    return 0


def run(arguments: argparse.Namespace) -> int:
    """Run what was asked for."""
    if arguments.all == bool(arguments.names):
        raise ArgumentError("examples run: give names, or --all "
                            "(`fastdl examples list` has the names)")
    chosen = names() if arguments.all else arguments.names
    for name in chosen:
        load(name)                      # a name that is wrong is said before anything runs
    results = {name: run_example(name, arguments.out, arguments.lang, arguments.quick,
                                 arguments.seeds) for name in chosen}
    if arguments.all:
        path = arguments.out / "results.json"
        write_text(path, json.dumps(results, indent=1, ensure_ascii=False) + "\n")
        print(f"\n{results_table(results)}\n\nwrote {path}")
    return 0
