"""``fastdl info``: versions, CPU, instruction set, threads, backends."""

from __future__ import annotations

import argparse

from .. import backend
from .options import Commands


def add(commands: Commands) -> None:
    """Add the command."""
    info = commands.add_parser("info", help="versions, CPU, instruction set, threads, backends")
    info.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print them."""
    backend.show_config()
    return 0
