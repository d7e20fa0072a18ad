"""Runs a script as ``python script.py`` does, in this process."""

from __future__ import annotations

import builtins
import io
import os
import sys
from collections.abc import Iterator, Sequence
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType, TracebackType

from .finder import HERE

INTERRUPTED = 130                   # what a shell reports after Ctrl-C
OURS = str(HERE.parent) + os.sep


def run(script: str, arguments: Sequence[str] = ()) -> int:
    """Run `script` as the process's ``__main__``; returns the exit status.

    ``sys.argv``, ``sys.path[0]``, ``__file__`` and so on are what the script expects, and stay so:
    threads and exit functions of the script may outlive it. ``SystemExit`` is let through; other
    errors are shown as Python shows them, without the frames of fastdl.
    """
    with io.open_code(os.path.abspath(script)) as file:
        source = file.read()
    sys.argv = [script, *arguments]
    if not sys.flags.safe_path:
        sys.path[0] = str(Path(script).resolve().parent)
    try:
        main = vars(_main_module(os.path.abspath(script)))
        exec(compile(source, main["__file__"], "exec", dont_inherit=True), main)
    except SystemExit:
        raise
    except BaseException as error:
        _clean(error, set())
        _explain(error)
        sys.excepthook(type(error), error, error.__traceback__)
        return INTERRUPTED if isinstance(error, KeyboardInterrupt) else 1
    return 0


def _main_module(path: str) -> ModuleType:
    """A new, empty ``__main__``, with the attributes that a script's has."""
    main = ModuleType("__main__")
    vars(main).update(__file__=path, __cached__=None, __annotations__={},
                      __builtins__=builtins, __loader__=SourceFileLoader("__main__", path))
    sys.modules["__main__"] = main
    return main


def _clean(error: BaseException, seen: set[int]) -> None:
    """Take the frames of fastdl out of an error's traceback, and out of those it came from."""
    if id(error) in seen:
        return
    seen.add(id(error))
    traceback = None
    for entry in reversed(list(_entries(error.__traceback__))):
        if not entry.tb_frame.f_code.co_filename.startswith(OURS):
            traceback = TracebackType(traceback, entry.tb_frame, entry.tb_lasti, entry.tb_lineno)
    error.__traceback__ = traceback
    related = (error.__cause__, error.__context__, *getattr(error, "exceptions", ()))
    for other in related:
        if other is not None:
            _clean(other, seen)


def _explain(error: BaseException) -> None:
    """Say what there is, where a script imports a name that a module of fastdl does not have."""
    where = getattr(error, "name", None) or ""
    if type(error) is ImportError and where.startswith(f"{__package__}."):
        profile, _, module = where.removeprefix(f"{__package__}.").partition(".")
        there_are = ", ".join(sorted(getattr(sys.modules[where], "__all__", ())))
        name = error.msg.split("'")[1]          # error.name_from, since Python 3.12
        error.msg = f"{module} of profile {profile} has no {name!r}; it has: {there_are}"


def _entries(traceback: TracebackType | None) -> Iterator[TracebackType]:
    while traceback is not None:
        yield traceback
        traceback = traceback.tb_next
