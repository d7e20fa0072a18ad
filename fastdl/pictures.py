"""Figures: matplotlib, imported when the first is drawn."""

from __future__ import annotations

from os import PathLike
from typing import Any


def new_figure(who: str, width: float, height: float) -> Any:
    """An empty figure of so many inches, for the method `who`.

    Raises
    ------
    ImportError
        without matplotlib; it says how to have it
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(f"{who} needs matplotlib: pip install 'fastdl[plot]'") from error
    return Figure(figsize=(width, height), layout="constrained")


def saved(figure: Any, path: str | PathLike[str] | None) -> Any:
    """The figure, written to `path` if there is one."""
    if path is not None:
        figure.savefig(path, dpi=120)
    return figure
