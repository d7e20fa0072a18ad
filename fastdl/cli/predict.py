"""``fastdl predict``: what a trained network sees in images."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .. import datasets, files, models
from ..errors import CheckpointError, DataError
from ..module import Module
from .options import Commands, add_settings, apply_settings
from .train import MODEL


def add(commands: Commands) -> None:
    """Add the command and its options."""
    predict = commands.add_parser("predict", help="classify images with a trained network")
    predict.add_argument("model", type=Path, metavar="MODEL", help="a model.safetensors of train")
    predict.add_argument("images", type=Path, nargs="+", metavar="IMAGE")
    predict.set_defaults(run=run)
    add_settings(predict)


class Trained(NamedTuple):
    """A network that `train` wrote, and what it was trained on."""

    net: Module
    channels: int
    size: int
    dataset: str

    @property
    def class_names(self) -> tuple[str, ...]:
        """Of its data set."""
        return datasets.class_names(self.dataset)

    def read_images(self, paths: Sequence[Path]) -> np.ndarray:
        """Image files as a batch of its images."""
        return np.stack([read_image(path, self.channels, self.size) for path in paths])


def load_model(path: Path) -> Trained:
    """Read what `train` wrote."""
    tensors, metadata = files.read_tensors(path)
    try:
        about = json.loads(metadata["fastdl"])
        options = about["options"]
        net = models.create(about["model"], **options)
        trained = Trained(net, options["in_channels"], options["image_size"], about["dataset"])
        datasets.class_names(trained.dataset)
    except (KeyError, ValueError, TypeError) as error:
        raise CheckpointError(f"{path}: does not say which model it is; predict reads the "
                              f"{MODEL} that fastdl train writes") from error
    net.load_state_dict(tensors)
    return trained


def read_image(path: Path, channels: int, size: int) -> np.ndarray:
    """An image file as (channels, size, size) in [0, 1].

    Grey images are turned light on dark, as the digits' data sets are.
    """
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError as error:
        raise ImportError("reading images needs Pillow: pip install 'fastdl[plot]'") from error
    try:
        with Image.open(path) as image:
            scaled = image.convert("L" if channels == 1 else "RGB").resize((size, size))
            pixels = np.asarray(scaled, np.float32) / 255
    except UnidentifiedImageError:
        raise DataError(f"{path}: not an image that Pillow can read") from None
    if channels == 1 and pixels.mean() > 0.5:
        pixels = 1 - pixels
    return pixels.reshape(size, size, channels).transpose(2, 0, 1)


def run(arguments: argparse.Namespace) -> int:
    """Print the class of each image."""
    apply_settings(arguments)
    trained = load_model(arguments.model)
    scores = trained.net.predict(trained.read_images(arguments.images))
    scores = np.exp(scores - scores.max(axis=1, keepdims=True))
    for path, row in zip(arguments.images, scores / scores.sum(axis=1, keepdims=True),
                         strict=True):
        print(f"{path}: {trained.class_names[row.argmax()]} ({row.max():.1%})")
    return 0
