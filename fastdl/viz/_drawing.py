"""How pictures are put together."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any, NamedTuple

import numpy as np

from ..pictures import new_figure, saved

Path = str | PathLike[str]


def tiles(images: np.ndarray, columns: int | None = None) -> np.ndarray:
    """Images (n, H, W) or (n, H, W, 3) as one, each scaled to [0, 1], with white lines between.

    >>> tiles(np.arange(8.0).reshape(2, 2, 2)).shape
    (4, 7)
    """
    n, H, W = images.shape[:3]
    columns = columns or math.ceil(math.sqrt(n))
    rows = math.ceil(n / columns)
    mosaic = np.ones((rows * (H + 1) + 1, columns * (W + 1) + 1, *images.shape[3:]))
    for i, image in enumerate(images):
        top, left = i // columns * (H + 1) + 1, i % columns * (W + 1) + 1
        low, high = image.min(), image.max()
        mosaic[top:top + H, left:left + W] = (image - low) / (high - low or 1)
    return mosaic


def draw_pictures(who: str, pictures: Mapping[str, np.ndarray], path: Path | None) -> Any:
    """A figure of panels, at most three in a row."""
    columns = min(len(pictures), 3)
    rows = math.ceil(len(pictures) / columns)
    aspects = [picture.shape[0] / picture.shape[1] for picture in pictures.values()]
    heights = [3 * max(aspects[i * columns:(i + 1) * columns]) + 0.3 for i in range(rows)]
    figure = new_figure(who, 3 * columns, sum(heights))
    panels = figure.subplots(rows, columns, squeeze=False, height_ratios=heights).ravel()
    for axes in panels:
        axes.set_axis_off()
    for axes, (title, picture) in zip(panels, pictures.items(), strict=False):
        axes.imshow(picture, cmap="gray", interpolation="nearest", vmin=0, vmax=1)
        axes.set_title(title, fontsize=10)
    return saved(figure, path)


class Panel(NamedTuple):
    """An image (H, W) or (H, W, 3) with a title; `heat` (H, W), in [0, 1], lies over it."""

    title: str
    image: np.ndarray
    heat: np.ndarray | None = None


def draw_panels(who: str, panels: Sequence[Panel], columns: int, path: Path | None) -> Any:
    """A figure of panels, row by row."""
    columns = min(columns, len(panels))
    rows = math.ceil(len(panels) / columns)
    figure = new_figure(who, 1.5 * columns, 1.75 * rows)
    places = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in places:
        axes.set_axis_off()
    for axes, panel in zip(places, panels, strict=False):
        axes.imshow(panel.image, cmap="gray", interpolation="nearest")
        if panel.heat is not None:
            axes.imshow(panel.heat, cmap="jet", alpha=0.5, vmin=0, vmax=1)
        axes.set_title(panel.title, fontsize=8)
    return saved(figure, path)
