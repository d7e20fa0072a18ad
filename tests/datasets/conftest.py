"""Tiny data sets written byte by byte, and a world without an internet or a user's cache."""

import gzip
import os
import struct

import numpy as np
import pytest

from fastdl.datasets import _cifar, _sources

REAL_DATA_DIR = os.environ.get("FASTDL_DATA_DIR")  # read before the fixture below hides it


@pytest.fixture(autouse=True)
def isolated(monkeypatch, tmp_path):
    """No user's data, a cache in the test's own folder, and mirrors where nobody listens."""
    monkeypatch.delenv("FASTDL_DATA_DIR", raising=False)
    monkeypatch.setenv("FASTDL_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "*")  # 127.0.0.1 must not go through a proxy
    for name, source in _sources.SOURCES.items():
        nowhere = source._replace(mirrors=("http://127.0.0.1:9/",))
        monkeypatch.setitem(_sources.SOURCES, name, nowhere)


@pytest.fixture
def real_data_dir():
    if not REAL_DATA_DIR:
        pytest.skip("FASTDL_DATA_DIR is not set")
    return REAL_DATA_DIR


def idx_images(count, height=28, width=28, shift=0):
    """Pixel i of the file is (i + shift) % 256."""
    header = struct.pack(">BBBBIII", 0, 0, 8, 3, count, height, width)
    return header + bytes((i + shift) % 256 for i in range(count * height * width))


def idx_labels(*labels):
    return struct.pack(">BBBBI", 0, 0, 8, 1, len(labels)) + bytes(labels)


@pytest.fixture
def idx_files():
    """The four files of a data set of three and two images: name to content."""
    return {
        "train-images-idx3-ubyte": idx_images(3),
        "train-labels-idx1-ubyte": idx_labels(7, 0, 9),
        "t10k-images-idx3-ubyte": idx_images(2, shift=100),
        "t10k-labels-idx1-ubyte": idx_labels(1, 2),
    }


@pytest.fixture
def cifar_files(monkeypatch):
    """The six files with two records each: name to content.

    Record r of file f has label (2 f + r) % 10 and planes filled with f, 100 + r and 255.
    """
    monkeypatch.setattr(_cifar, "RECORDS_PER_FILE", 2)
    names = [f"data_batch_{i}.bin" for i in (1, 2, 3, 4, 5)] + ["test_batch.bin"]
    return {
        name: b"".join(
            bytes([(2 * f + r) % 10]) + bytes([f]) * 1024 + bytes([100 + r]) * 1024 + b"\xff" * 1024
            for r in range(2)
        )
        for f, name in enumerate(names)
    }


@pytest.fixture
def write():
    """``write(folder, files, compress=False)`` makes the folder and the files in it."""

    def write(folder, files, compress=False):
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            if compress:
                (folder / f"{name}.gz").write_bytes(gzip.compress(content))
            else:
                (folder / name).write_bytes(content)
        return folder

    return write


@pytest.fixture
def assert_data_set():
    """``assert_data_set(splits, shape, train, test)`` checks all that every data set promises."""

    def check(splits, item_shape, train_size, test_size):
        for (x, t), size in zip(splits, (train_size, test_size), strict=True):
            assert x.shape == (size, *item_shape)
            assert x.dtype == np.float32
            assert x.flags.c_contiguous
            assert x.flags.writeable
            assert 0 <= x.min() <= x.max() <= 1
            assert t.shape == (size,)
            assert t.dtype == np.int64
            assert t.flags.c_contiguous
            assert t.flags.writeable
            assert 0 <= t.min() <= t.max() <= 9

    return check
