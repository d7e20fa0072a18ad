"""``fastdl bench``: what the backends are worth on this machine."""

from __future__ import annotations

import argparse

from .. import backend
from .options import Commands, add_settings, apply_settings


def add(commands: Commands) -> None:
    """Add the command and its options."""
    bench = commands.add_parser("bench", help="compare the backends on this machine")
    bench.add_argument("--steps", action="store_true",
                       help="time training and predicting with small networks instead, beside "
                            "PyTorch if it is installed")
    bench.set_defaults(run=run)
    add_settings(bench, which_backend=False)


def run(arguments: argparse.Namespace) -> int:
    """Print the table."""
    from .. import benchmark

    apply_settings(arguments)
    if arguments.steps:
        from ..benchmark import steps

        print(steps.as_table(steps.compare(backend.get_num_threads())))
    else:
        print(benchmark.as_table(benchmark.compare()))
    return 0
