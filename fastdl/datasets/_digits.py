"""The bundled digits; `data/README.md` says where they come from."""

import importlib.resources

import numpy as np

from fastdl.errors import DataError

TRAIN_SIZE = 1437
WHITE = 16  # the largest pixel value: how many of a cell's 4x4 pixels are ink


def read() -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Images uint8 (N, 1, 8, 8) and labels uint8 (N,): training, then test."""
    bundled = importlib.resources.files(__package__) / "data" / "digits.npz"
    try:
        with bundled.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            images, labels = arrays["images"][:, None], arrays["labels"]
    except FileNotFoundError as error:
        raise DataError(f"digits: {bundled} is missing; install fastdl again") from error
    return (images[:TRAIN_SIZE], labels[:TRAIN_SIZE]), (images[TRAIN_SIZE:], labels[TRAIN_SIZE:])
