"""The command line, one file for each command: ``fastdl run``, ``train``, ``examples``, and so on.

What goes wrong in a foreseeable way ends in one line and a non-zero status.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from ..errors import FastdlError
from . import bench, examples, info, predict, run, search, train, viz
from .options import INTERRUPTED, Parser

# In the order of ``fastdl --help``.
COMMANDS = (run, train, predict, search, viz, examples, bench, info)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    arguments = _parser().parse_args(argv)
    try:
        return arguments.run(arguments)
    except KeyboardInterrupt:
        print("\nfastdl: interrupted", file=sys.stderr)
        return INTERRUPTED
    except (FastdlError, OSError, ImportError) as error:
        print(f"fastdl: error: {error}", file=sys.stderr)
        return 1


def _parser() -> Parser:
    from .. import __version__

    parser = Parser(
        prog="fastdl",
        description="Neural networks from NumPy arrays at the speed of the hardware.")
    parser.add_argument("--version", action="version", version=f"fastdl {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add(commands)
    return parser
