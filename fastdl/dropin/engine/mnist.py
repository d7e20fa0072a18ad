"""MNIST as the course loads it, from where `fastdl.datasets` finds it."""

import gzip
import os
import pickle
from typing import Any

import numpy as np

from ...datasets import _files

__all__ = [
    "download_mnist", "gzip", "img_dim", "img_size", "init_mnist", "key_file", "load_mnist", "np",
    "os", "pickle", "test_num", "train_num",
]

key_file = {
    "train_img": "train-images-idx3-ubyte.gz",
    "train_label": "train-labels-idx1-ubyte.gz",
    "test_img": "t10k-images-idx3-ubyte.gz",
    "test_label": "t10k-labels-idx1-ubyte.gz",
}
train_num, test_num = 60000, 10000
img_dim, img_size = (1, 28, 28), 784


def load_mnist(normalize: bool = True, flatten: bool = True, one_hot_label: bool = False) -> Any:
    """Images and labels for training and for testing.

    Parameters
    ----------
    normalize : bool
        float32 from 0 to 1, rather than uint8 from 0 to 255.
    flatten : bool
        (N, 784), rather than (N, 1, 28, 28).
    one_hot_label : bool
        float64 (N, 10), rather than uint8 (N,).

    Returns
    -------
    (x_train, t_train), (x_test, t_test)
    """
    def arrays(images: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        x = np.divide(images, np.float32(255), dtype=np.float32) if normalize else images
        x = x.reshape(-1, img_size) if flatten else x.reshape(-1, *img_dim)
        return x, np.eye(10)[labels] if one_hot_label else labels

    train, test = _files.read("mnist")
    return arrays(*train), arrays(*test)


def download_mnist() -> None:
    """Make sure that the files are on this machine."""
    _files.read("mnist")


def init_mnist() -> None:
    """The same; there is nothing to convert."""
    download_mnist()
