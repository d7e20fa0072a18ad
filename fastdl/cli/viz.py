"""``fastdl viz``: pictures of the inside of a trained network, and of what it decides."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .. import datasets, viz
from ..errors import ArgumentError
from ..layers import Conv2d
from .options import Commands, Parser, add_settings, apply_settings, number
from .predict import Trained, load_model

Draw = Callable[[Trained, argparse.Namespace], Any]


class Kind(NamedTuple):
    """What can be drawn: its help, what draws it, and what it is drawn of."""

    help: str
    draw: Draw
    images: int = 0             # how many the data set gives, unless image files are given
    labels: int = 0             # how many with their classes: of the data set, always


def _filters(trained: Trained, arguments: argparse.Namespace) -> Any:
    convs = {path: layer for path, layer in trained.net.named_layers() if isinstance(layer, Conv2d)}
    if not convs:
        raise ArgumentError("viz filters: the network has no convolution")
    path = arguments.layer or next(iter(convs))
    if path not in convs:
        raise ArgumentError(f"viz filters: no convolution {path!r}; there are: {', '.join(convs)}")
    return viz.filters({path: convs[path].weight})


def _features(trained: Trained, arguments: argparse.Namespace) -> Any:
    return viz.feature_maps(trained.net, _images(trained, arguments)[0])


def _activations(trained: Trained, arguments: argparse.Namespace) -> Any:
    return viz.activation_histograms(trained.net, _images(trained, arguments))


def _gradients(trained: Trained, arguments: argparse.Namespace) -> Any:
    return viz.gradient_histograms(trained.net, *_test_data(trained, arguments.limit))


def _saliency(trained: Trained, arguments: argparse.Namespace) -> Any:
    return viz.saliency(trained.net, _images(trained, arguments), class_names=trained.class_names)


def _grad_cam(trained: Trained, arguments: argparse.Namespace) -> Any:
    return viz.grad_cam(trained.net, _images(trained, arguments), layer=arguments.layer,
                        class_names=trained.class_names)


def _errors(trained: Trained, arguments: argparse.Namespace) -> Any:
    return viz.misclassified(trained.net, *_test_data(trained, arguments.limit),
                             class_names=trained.class_names)


def _confusion(trained: Trained, arguments: argparse.Namespace) -> Any:
    return viz.confusion_matrix(trained.net, *_test_data(trained, arguments.limit),
                                class_names=trained.class_names)


KINDS = {
    "filters": Kind("the filters of a convolution", _filters),
    "features": Kind("the feature maps that an image becomes", _features, images=1),
    "activations": Kind("histograms of what the layers give", _activations, images=100),
    "gradients": Kind("histograms of the weights' gradients", _gradients, labels=100),
    "saliency": Kind("how much each pixel moves the score", _saliency, images=8),
    "gradcam": Kind("where an image speaks for its class (Grad-CAM)", _grad_cam, images=8),
    "errors": Kind("the images that are classified wrong", _errors, labels=10_000),
    "confusion": Kind("which classes are taken for which", _confusion, labels=10_000),
}
WITH_LAYER = ("filters", "gradcam")


def add(commands: Commands) -> None:
    """Add the command, its own commands, and their options."""
    command = commands.add_parser("viz", help="look inside a trained network")
    kinds = command.add_subparsers(required=True, metavar="KIND")
    for name, kind in KINDS.items():
        _add_kind(kinds.add_parser(name, help=kind.help), name, kind)


def _add_kind(parser: Parser, name: str, kind: Kind) -> None:
    parser.add_argument("model", type=Path, metavar="MODEL", help="a model.safetensors of train")
    if kind.images:
        parser.add_argument("images", type=Path, nargs="*", metavar="IMAGE",
                            help="of the data set's test images unless given")
    if kind.images or kind.labels:
        count = kind.images or kind.labels
        parser.add_argument("--limit", type=number(int, 1), metavar="N", default=count,
                            help=f"test images of the data set (default {count})")
    if name in WITH_LAYER:
        parser.add_argument("--layer", metavar="PATH", help="which layer, such as conv1")
    parser.add_argument("--out", type=Path, metavar="FILE", default=Path(f"{name}.png"),
                        help=f"the picture (default {name}.png)")
    parser.set_defaults(run=run, draw=kind.draw)
    add_settings(parser)


def _test_data(trained: Trained, limit: int) -> tuple[np.ndarray, np.ndarray]:
    _, (x, t) = datasets.load(trained.dataset)
    return x[:limit], t[:limit]


def _images(trained: Trained, arguments: argparse.Namespace) -> np.ndarray:
    if arguments.images:
        return trained.read_images(arguments.images)
    return _test_data(trained, arguments.limit)[0]


def run(arguments: argparse.Namespace) -> int:
    """Draw, and write the picture."""
    apply_settings(arguments)
    figure = arguments.draw(load_model(arguments.model), arguments)
    try:
        figure.savefig(arguments.out, dpi=120)
    except ValueError as error:                 # a suffix that matplotlib does not know
        raise ArgumentError(f"viz: {error}") from error
    print(f"wrote {arguments.out}")
    return 0
