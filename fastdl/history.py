"""Curves of a training: numbers by epoch, as JSON and as a plot."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from os import PathLike
from typing import Any

from . import files
from .errors import ArgumentError, DataError
from .pictures import new_figure, saved


class History(Mapping[str, list[float]]):
    """Lists of numbers, one an epoch, by name: ``loss``, ``accuracy``, ``val_loss``, ….

    Parameters
    ----------
    curves : lists to start from

    >>> history = History()
    >>> history.append({"loss": 0.5, "val_loss": 0.6})
    >>> history.append({"loss": 0.4, "val_loss": 0.5})
    >>> history["loss"]
    [0.5, 0.4]
    >>> history.epochs
    2
    """

    def __init__(self, curves: Mapping[str, list[float]] | None = None) -> None:
        self._curves = {name: list(values) for name, values in (curves or {}).items()}

    def __getitem__(self, name: str) -> list[float]:
        return self._curves[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._curves)

    def __len__(self) -> int:
        return len(self._curves)

    def __repr__(self) -> str:
        last = ", ".join(f"{name} {values[-1]:.4g}" for name, values in self.items() if values)
        return f"<History: {self.epochs} epochs; last {last or 'nothing'}>"

    @property
    def epochs(self) -> int:
        """How many epochs there are."""
        return max((len(values) for values in self.values()), default=0)

    def append(self, epoch: Mapping[str, float]) -> None:
        """Add the numbers of one epoch."""
        for name, value in epoch.items():
            self._curves.setdefault(name, []).append(float(value))

    def to_json(self, path: str | PathLike[str] | None = None) -> str:
        """The curves as JSON; also written to `path` if given."""
        text = json.dumps(self._curves, indent=1)
        if path is not None:
            files.write_text(path, text + "\n")
        return text

    @classmethod
    def from_json(cls, path: str | PathLike[str]) -> History:
        """Read what `to_json` wrote."""
        try:
            with open(path, encoding="utf-8") as file:
                curves = json.load(file)
            return cls({name: [float(v) for v in values] for name, values in curves.items()})
        except (ValueError, AttributeError, TypeError) as error:
            raise DataError(f"{path}: not a history in JSON ({error})") from error

    def plot(self, path: str | PathLike[str] | None = None) -> Any:
        """Draw loss and accuracy by epoch, training and validation in one panel each.

        Parameters
        ----------
        path : where to write the picture; its ending says the format

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        ArgumentError
            when there is nothing to draw
        ImportError
            without matplotlib (``pip install 'fastdl[plot]'``)
        """
        panels = [name for name in ("loss", "accuracy") if self.get(name)]
        if not panels:
            raise ArgumentError("History.plot: there is no loss or accuracy to draw yet")
        figure = new_figure("History.plot", 5 * len(panels), 3.6)
        for axes, name in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels,
                              strict=True):
            for key, label in ((name, "training"), (f"val_{name}", "validation")):
                if key in self:
                    axes.plot(range(1, len(self[key]) + 1), self[key], marker="o", markersize=3,
                              label=label)
            axes.set(title=name, xlabel="epoch")
            axes.xaxis.get_major_locator().set_params(integer=True)
            axes.grid(alpha=0.3)
            axes.legend()
        return saved(figure, path)
