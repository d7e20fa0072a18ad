"""Why a network decides as it does, and where it errs: saliency, Grad-CAM, errors, confusion."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .. import ops
from ..errors import ArgumentError, ShapeError
from ..graph import Node
from ..layers import Conv2d
from ..layers.layer import Layer, positive
from ..module import Module
from ..pictures import new_figure, saved
from ._drawing import Panel, Path, draw_panels

Watch = Callable[[Node, np.ndarray], None]


# ---- numbers ----

def saliency_maps(net: Module, x: Any, classes: Any = None) -> np.ndarray:
    """How much each pixel moves the score of a class: the magnitude of the score's gradient.

    The largest one of the channels, in inference mode (Simonyan, Vedaldi & Zisserman, 2013, arXiv
    1312.6034).

    Parameters
    ----------
    net : Module
        It gives scores (N, n_classes); its gradients are left as they are.
    x : images (N, C, H, W)
    classes : of the scores, one number or one for each image; those that win unless given

    Returns
    -------
    (N, H, W)

    >>> import fastdl as fd
    >>> net = fd.Sequential(fd.layers.Flatten(), fd.layers.Linear(4, 2))
    >>> net.params["1.weight"] = np.array([[1, -2, 0, 3], [0, 0, 0, 0]])
    >>> saliency_maps(net, np.ones((1, 1, 2, 2)), classes=0)
    array([[[1., 2.],
            [0., 3.]]], dtype=float32)
    """
    x = _images("saliency_maps", x)
    _, dx = _backward(net, x, classes)
    return np.abs(dx).max(axis=1)


def grad_cam_maps(net: Module, x: Any, classes: Any = None,
                  layer: str | Layer | None = None) -> np.ndarray:
    """Where an image speaks for a class: Grad-CAM (Selvaraju et al., 2017, arXiv 1610.02391).

    Feature maps are added up, each weighted by the mean of the score's gradient over its pixels,
    and what is below 0 is cut off. The result is interpolated to the size of the image.

    Parameters
    ----------
    net : Module
        It gives scores (N, n_classes); its gradients are left as they are.
    x : images (N, C, H, W)
    classes : of the scores, one number or one for each image; those that win unless given
    layer : whose maps, by its path or itself
        Unless given, the last maps of the last convolution's size: behind the norm, the ReLU and
        the addition that follow it, and before the pooling.

    Returns
    -------
    (N, H, W), from 0 up
    """
    x = _images("grad_cam_maps", x)
    maps: list[tuple[Node, np.ndarray]] = []
    gradients: dict[Node, np.ndarray] = {}

    def keep(node: Node, y: np.ndarray) -> None:
        if y.ndim == 4:
            maps.append((node, y))

    _backward(net, x, classes, keep, gradients.setdefault)
    node, y = _maps_of(net, maps, layer)
    if node not in gradients:
        raise ArgumentError("grad_cam_maps: the scores do not depend on the maps of this layer")
    weights = gradients[node].mean(axis=(2, 3))
    heat = np.maximum(np.einsum("nchw,nc->nhw", y, weights), 0)
    return ops.interpolate(heat[:, None], x.shape[2:], mode="bilinear")[:, 0]


def confusion(net: Module, x: Any, t: Any) -> np.ndarray:
    """How many samples of each class (row) the network takes for which (column).

    Parameters
    ----------
    net : Module
        It gives scores (N, n_classes).
    x, t : samples, and their classes (N,)

    >>> import fastdl as fd
    >>> net = fd.Sequential(fd.layers.Linear(3, 3, bias=False))
    >>> net.params["0.weight"] = np.eye(3)
    >>> confusion(net, np.eye(3)[[0, 1, 1, 2]], [0, 1, 2, 2])
    array([[1, 0, 0],
           [0, 1, 0],
           [0, 1, 1]])
    """
    y, t = _scores("confusion", net, x, t)
    counts = np.zeros((y.shape[1], y.shape[1]), int)
    np.add.at(counts, (t, y.argmax(axis=1)), 1)
    return counts


# ---- figures ----

def saliency(net: Module, x: Any, path: Path | None = None, classes: Any = None,
             class_names: Sequence[str] | None = None, columns: int = 8) -> Any:
    """Images, and beside each how much its pixels move the score: `saliency_maps`.

    Parameters
    ----------
    net : Module
    x : an image (C, H, W), or several
    path : where to write the picture; its ending says the format
    classes : of the scores, see `saliency_maps`
    class_names : of all classes
    columns : pictures in a row

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ImportError
        without matplotlib
    """
    x = _images("viz.saliency", x)
    maps = saliency_maps(net, x, classes)
    panels = [panel for image, heat, title in zip(x, maps, _titles(net, x, class_names),
                                                  strict=True)
              for panel in (Panel(title, _picture(image)), Panel("saliency", heat))]
    return draw_panels("viz.saliency", panels, _even("viz.saliency", columns), path)


def grad_cam(net: Module, x: Any, path: Path | None = None, classes: Any = None,
             layer: str | Layer | None = None, class_names: Sequence[str] | None = None,
             columns: int = 8) -> Any:
    """Images, and beside each where it speaks for its class: `grad_cam_maps`.

    Parameters
    ----------
    net : Module
    x : an image (C, H, W), or several
    path : where to write the picture; its ending says the format
    classes, layer : see `grad_cam_maps`
    class_names : of all classes
    columns : pictures in a row

    Returns
    -------
    matplotlib.figure.Figure
    """
    x = _images("viz.grad_cam", x)
    maps = grad_cam_maps(net, x, classes, layer)
    panels = [panel for image, heat, title in zip(x, maps, _titles(net, x, class_names),
                                                  strict=True)
              for panel in (Panel(title, _picture(image)),
                            Panel("Grad-CAM", _picture(image), heat / (heat.max() or 1)))]
    return draw_panels("viz.grad_cam", panels, _even("viz.grad_cam", columns), path)


def misclassified(net: Module, x: Any, t: Any, path: Path | None = None,
                  class_names: Sequence[str] | None = None, count: int = 32,
                  columns: int = 8) -> Any:
    """The images that the network gets wrong, those first of which it is surest.

    Parameters
    ----------
    net : Module
    x, t : images (N, C, H, W) and their classes (N,)
    path : where to write the picture; its ending says the format
    class_names : of all classes
    count : how many are drawn at most
    columns : pictures in a row

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ArgumentError
        when the network gets all of them right
    """
    positive("viz.misclassified", count=count, columns=columns)
    x = _images("viz.misclassified", x)
    y, t = _scores("viz.misclassified", net, x, t)
    sure, guess = ops.softmax(y).max(axis=1), y.argmax(axis=1)
    wrong = np.flatnonzero(guess != t)
    if not wrong.size:
        raise ArgumentError(f"viz.misclassified: all {len(x)} images are classified right")
    wrong = wrong[np.argsort(-sure[wrong], kind="stable")][:count]
    panels = [Panel(f"{_name(class_names, guess[i])} ({sure[i]:.0%}),\n"
                    f"is {_name(class_names, t[i])}", _picture(x[i])) for i in wrong]
    return draw_panels("viz.misclassified", panels, columns, path)


def confusion_matrix(net: Module, x: Any, t: Any, path: Path | None = None,
                     class_names: Sequence[str] | None = None) -> Any:
    """The matrix of `confusion`: a row for each true class, a column for each predicted one.

    Colours are shares of the row; the numbers are counts.

    Parameters
    ----------
    net : Module
    x, t : samples, and their classes (N,)
    path : where to write the picture; its ending says the format
    class_names : of all classes

    Returns
    -------
    matplotlib.figure.Figure
    """
    counts = confusion(net, x, t)
    n = len(counts)
    figure = new_figure("viz.confusion_matrix", 1.6 + 0.5 * n, 1.2 + 0.5 * n)
    axes = figure.subplots()
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), number in np.ndenumerate(counts):
        if number:
            axes.text(column, row, str(number), ha="center", va="center", fontsize=8,
                      color="white" if shares[row, column] > 0.5 else "black")
    names = [_name(class_names, i) for i in range(n)]
    long = any(len(name) > 2 for name in names)
    axes.set_xticks(range(n), names, rotation=90 if long else 0, fontsize=8)
    axes.set_yticks(range(n), names, fontsize=8)
    right = np.trace(counts) / max(counts.sum(), 1)
    axes.set(xlabel="predicted", ylabel="true", title=f"accuracy {right:.2%}")
    return saved(figure, path)


# ---- what they share ----

def _images(who: str, x: Any) -> np.ndarray:
    """A batch, of one image perhaps."""
    x = np.asarray(x)
    x = x[None] if x.ndim == 3 else x
    if x.ndim != 4 or not x.size:
        raise ShapeError(f"{who}: x must be images (N, C, H, W), at least one, got {x.shape}")
    return x


def _backward(net: Module, x: np.ndarray, classes: Any, on_output: Watch | None = None,
              on_gradient: Callable[[Node, np.ndarray], Any] | None = None,
              ) -> tuple[np.ndarray, np.ndarray]:
    """The scores, and the gradients of one score of each image, in inference mode."""
    graph = net.inference_graph
    (y,), tape = graph.forward(net.as_inputs(x), training=False, watch=on_output)
    if y.ndim != 2:
        raise ShapeError(f"viz: the network must give scores (N, n_classes), got {y.shape}")
    chosen = np.broadcast_to(y.argmax(axis=1) if classes is None else classes, len(y))
    if chosen.min() < 0 or chosen.max() >= y.shape[1]:
        raise ArgumentError(f"viz: classes must be from 0 to {y.shape[1] - 1}, got {classes!r}")
    dy = np.zeros_like(y)
    dy[np.arange(len(y)), chosen] = 1
    (dx,), _ = graph.backward(tape, [dy], watch=on_gradient)
    assert dx is not None
    return y, dx


def _maps_of(net: Module, maps: Sequence[tuple[Node, np.ndarray]],
             layer: str | Layer | None) -> tuple[Node, np.ndarray]:
    """The node whose maps Grad-CAM weighs, and the maps."""
    if layer is not None:
        wanted = dict(net.named_layers()).get(layer) if isinstance(layer, str) else layer
        of_layer = [(node, y) for node, y in maps if node.layer is wanted]
        if not of_layer:
            raise ArgumentError(f"grad_cam_maps: no layer {layer!r} gives feature maps; see the "
                                "network's summary")
        return of_layer[-1]
    last = next((y for node, y in reversed(maps) if isinstance(node.layer, Conv2d)), None)
    if last is None:
        raise ArgumentError("grad_cam_maps: the network has no Conv2d; say which layer")
    return next((node, y) for node, y in reversed(maps) if y.shape == last.shape)


def _scores(who: str, net: Module, x: Any, t: Any) -> tuple[np.ndarray, np.ndarray]:
    x, t = np.asarray(x), np.asarray(t)
    if t.ndim != 1 or t.dtype.kind not in "iu" or len(x) != len(t) or not len(t):
        raise ShapeError(f"{who}: t must be the classes of the samples, integers (N,): "
                         f"x {x.shape}, t {t.dtype} {t.shape}")
    y = net.predict(x)
    if y.ndim != 2 or t.min() < 0 or t.max() >= y.shape[1]:
        raise ShapeError(f"{who}: the network must give scores of all classes, got {y.shape} for "
                         f"classes from {t.min()} to {t.max()}")
    return y, t


def _picture(image: np.ndarray) -> np.ndarray:
    """An image (C, H, W) as matplotlib draws it: in colour, or its first channel."""
    low, high = image.min(), image.max()
    scaled = (image - low) / (high - low or 1)
    return scaled.transpose(1, 2, 0) if len(image) == 3 else scaled[0]


def _titles(net: Module, x: np.ndarray, names: Sequence[str] | None) -> list[str]:
    """What the network takes the images for, and how sure it is."""
    p = ops.softmax(net.predict(x))
    return [f"{_name(names, row.argmax())} ({row.max():.0%})" for row in p]


def _name(names: Sequence[str] | None, number: Any) -> str:
    return str(number) if names is None else names[int(number)]


def _even(who: str, columns: int) -> int:
    """So many columns, but pairs stay in a row."""
    positive(who, columns=columns)
    return max(columns // 2 * 2, 2)
