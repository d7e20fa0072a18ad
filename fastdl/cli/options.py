"""Options that several commands have, and the parser that reads them all."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from typing import Any, NoReturn, TypeAlias

from .. import backend

INTERRUPTED = 130               # what a shell reports after Ctrl-C
Commands: TypeAlias = "argparse._SubParsersAction[Parser]"      # what a command adds itself to


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {message} (--help says more)\n")


def number(kind: type, low: float, *, above: bool = False) -> Callable[[str], Any]:
    """An option's type: a number of at least (or above) `low`."""
    def parse(text: str) -> Any:
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is None or not (low < value if above else low <= value) or value == math.inf:
            noun = "an integer" if kind is int else "a number"
            raise argparse.ArgumentTypeError(
                f"expected {noun} {'above' if above else 'of at least'} {low}, got {text!r}")
        return value
    return parse


def add_settings(command: Parser, *, which_backend: bool = True) -> None:
    """``--threads`` and ``--backend``, which `apply_settings` obeys."""
    if which_backend:
        command.add_argument("--backend", metavar="NAME",
                             help='"cython", "numba", "reference", or "auto,conv2d=numba"')
    command.add_argument("--threads", type=number(int, 1), metavar="N")


def apply_settings(arguments: argparse.Namespace) -> None:
    """Set the backend and the number of threads that the command line asks for."""
    if getattr(arguments, "backend", None):
        backend.set_backend(arguments.backend)
    if arguments.threads:
        backend.set_num_threads(arguments.threads)
