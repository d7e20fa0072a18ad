"""MNIST as the course loads it, from where `fastdl.datasets` finds it."""

import gzip
import os
import pickle
import urllib.request
from typing import Any

import numpy as np

from ... import files
from ...datasets import _files
from ...datasets._sources import SOURCES

__all__ = [
    "dataset_dir", "download_mnist", "gzip", "img_dim", "img_size", "init_mnist", "key_file",
    "load_mnist", "np", "os", "pickle", "save_file", "test_num", "train_num", "url_base", "urllib",
]

url_base = SOURCES["mnist"].mirrors[0]

key_file = {
    "train_img": "train-images-idx3-ubyte.gz",
    "train_label": "train-labels-idx1-ubyte.gz",
    "test_img": "t10k-images-idx3-ubyte.gz",
    "test_label": "t10k-labels-idx1-ubyte.gz",
}
dataset_dir = str(_files.folder("mnist"))
save_file = dataset_dir + "/mnist.pkl"          # written by `init_mnist`, read by scripts alone
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
    """Write all examples to `save_file`: a pickled dict of flat images and labels, uint8."""
    (images, labels), (test_images, test_labels) = _files.read("mnist")
    with files.replacing(save_file) as file:
        pickle.dump({"train_img": images.reshape(-1, img_size), "train_label": labels,
                     "test_img": test_images.reshape(-1, img_size), "test_label": test_labels},
                    file, pickle.HIGHEST_PROTOCOL)
