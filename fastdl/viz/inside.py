"""What layers have learned, and what they do: filters, feature maps, histograms."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from .. import losses
from ..errors import ArgumentError, ShapeError
from ..graph import Node
from ..layers.layer import Layer, positive
from ..losses import Loss
from ..module import Module
from ..pictures import new_figure, saved
from ._drawing import Path, draw_pictures, tiles

Kinds = type[Layer] | tuple[type[Layer], ...]


# ---- numbers ----

def activations(net: Module, x: Any, of: Kinds = Layer) -> dict[str, np.ndarray]:
    """What the layers of a network give for a batch, in inference mode.

    Parameters
    ----------
    net : Module
    x : a batch of inputs
    of : the kinds of layers wanted

    Returns
    -------
    dict
        outputs by the paths of the layers, with the kind where a path ends in a number; layers made
        inside of `connect` have their kind alone

    >>> import fastdl as fd
    >>> net = fd.Sequential(fd.layers.Linear(2, 3), fd.layers.ReLU())
    >>> {name: y.shape for name, y in activations(net, np.ones((5, 2))).items()}
    {'0 Linear': (5, 3), '1 ReLU': (5, 3)}
    """
    paths = {layer: path for path, layer in net.named_layers()}
    outputs: dict[str, np.ndarray] = {}

    def watch(node: Node, y: np.ndarray) -> None:
        layer = node.layer
        if layer is not None and isinstance(layer, of):
            outputs[_unused(_named(layer, paths.get(layer, "")), outputs)] = y

    net.graph.forward(net.as_inputs(x), training=False, keep=False, watch=watch)
    return outputs


def gradients(net: Module, x: Any, t: Any,
              loss: str | Loss = "softmax_cross_entropy") -> dict[str, np.ndarray]:
    """The gradients of the weights for a batch, by the names of the parameters.

    Those of `net.grads` are replaced.

    Parameters
    ----------
    net : Module
    x, t : a batch of inputs and targets
    loss : name or `fastdl.losses.Loss`
    """
    loss = losses.get(loss)
    loss.forward(net.forward(x), t)
    net.backward(loss.backward(), need_dx=False)
    return {name: dw.copy() for name, dw in net.grads.items() if dw.ndim > 1}


# ---- figures ----

def filters(weights: np.ndarray | Mapping[str, np.ndarray], path: Path | None = None,
            columns: int | None = None) -> Any:
    """The filters of a convolution as pictures.

    Parameters
    ----------
    weights : (OC, C, KH, KW), or several by their titles, such as before and after training.
        Filters of three channels are drawn in colour, of others the first channel is drawn
    path : where to write the picture; its ending says the format
    columns : filters in a row

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ImportError
        without matplotlib
    """
    panels = weights if isinstance(weights, Mapping) else {"": weights}
    pictures = {}
    for title, weight in panels.items():
        if np.ndim(weight) != 4 or not np.size(weight):
            raise ShapeError(f"viz.filters: weights must be (OC, C, KH, KW), got {title or 'one'} "
                             f"of {np.shape(weight)}")
        colour = weight.shape[1] == 3
        pictures[title] = tiles(weight.transpose(0, 2, 3, 1) if colour else weight[:, 0], columns)
    return draw_pictures("viz.filters", pictures, path)


def feature_maps(net: Module, x: Any, path: Path | None = None, of: Kinds = Layer,
                 columns: int | None = None) -> Any:
    """The feature maps that one image becomes, layer after layer.

    Parameters
    ----------
    net : Module
    x : an image (C, H, W), or a batch whose first is drawn
    path : where to write the picture
    of : the kinds of layers to draw, as far as they give maps
    columns : maps in a row

    Returns
    -------
    matplotlib.figure.Figure
    """
    x = np.asarray(x)
    batch = x[None] if x.ndim == 3 else x[:1]
    maps = {name: tiles(y[0], columns) for name, y in activations(net, batch, of).items()
            if y.ndim == 4}
    if not maps:
        raise ArgumentError("viz.feature_maps: no layer of these kinds gives feature maps")
    return draw_pictures("viz.feature_maps", maps, path)


def activation_histograms(nets: Module | Mapping[str, Module], x: Any, path: Path | None = None,
                          of: Kinds = Layer, bins: int = 40) -> Any:
    """Histograms of what the layers give for a batch: a row, of one scale, for each network.

    Parameters
    ----------
    nets : a network, or several by their titles, such as one for each initialisation
    x : a batch of inputs
    path : where to write the picture
    of : the kinds of layers to draw
    bins : of each histogram

    Returns
    -------
    matplotlib.figure.Figure
    """
    positive("viz.activation_histograms", bins=bins)
    return _histograms("viz.activation_histograms",
                       {title: activations(net, x, of) for title, net in _by_title(nets)},
                       path, bins, one_scale=True)


def gradient_histograms(nets: Module | Mapping[str, Module], x: Any, t: Any,
                        path: Path | None = None, loss: str | Loss = "softmax_cross_entropy",
                        bins: int = 40) -> Any:
    """Histograms of the weights' gradients for a batch, layer by layer: a row for each network.

    Each has a scale of its own, so that gradients which vanish towards the first layer show as ever
    smaller numbers there.

    Parameters
    ----------
    nets : a network, or several by their titles
    x, t : a batch of inputs and targets
    path : where to write the picture
    loss : name or `fastdl.losses.Loss`
    bins : of each histogram

    Returns
    -------
    matplotlib.figure.Figure
    """
    positive("viz.gradient_histograms", bins=bins)
    return _histograms("viz.gradient_histograms",
                       {title: gradients(net, x, t, loss) for title, net in _by_title(nets)},
                       path, bins, one_scale=False)


# ---- how they are drawn ----

def _by_title(nets: Module | Mapping[str, Module]) -> Iterable[tuple[str, Module]]:
    return nets.items() if isinstance(nets, Mapping) else [("", nets)]


def _named(layer: Layer, path: str) -> str:
    """What a layer is called: by its path, unless that is a mere number, or by its kind."""
    if path and not path.rpartition(".")[2].isdigit():
        return path
    return f"{path} {type(layer).__name__}".strip()


def _unused(name: str, taken: Mapping[str, Any]) -> str:
    """`name`, numbered if it is taken."""
    numbered, count = name, 1
    while numbered in taken:
        count += 1
        numbered = f"{name} {count}"
    return numbered


def _histograms(who: str, rows: Mapping[str, Mapping[str, np.ndarray]], path: Path | None,
                bins: int, one_scale: bool) -> Any:
    """A figure with a row of histograms for each network."""
    columns = max((len(row) for row in rows.values()), default=0)
    if not columns:
        raise ArgumentError(f"{who}: there is nothing of these kinds to draw")
    figure = new_figure(who, max(3.0, 2.1 * columns), 0.4 + 1.6 * len(rows))
    panels = figure.subplots(len(rows), columns, squeeze=False)
    for line, (title, row) in zip(panels, rows.items(), strict=True):
        for axes in line:
            axes.set_axis_off()
        ends = [end(values) for values in row.values() for end in (np.min, np.max)]
        limits = (min(ends), max(ends)) if one_scale else None
        for axes, (name, values) in zip(line, row.items(), strict=False):
            axes.set_axis_on()
            axes.hist(values.ravel(), bins=bins, range=limits)
            axes.set_title(name, fontsize=9)
            axes.tick_params(labelsize=7)
            axes.ticklabel_format(axis="both", style="sci", scilimits=(-3, 4))
            axes.xaxis.get_offset_text().set_fontsize(7)
            axes.yaxis.get_offset_text().set_fontsize(7)
        line[0].set_ylabel(title, fontsize=9)
    return saved(figure, path)
