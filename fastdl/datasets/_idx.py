"""The IDX format of MNIST and Fashion-MNIST: four files, each plain or gzip-compressed.

A file is four bytes (0, 0, 8 for uint8, the number of axes), one big-endian uint32 for the length
of each axis, and the values in C order.
"""

import math
import struct
from pathlib import Path

import numpy as np

from fastdl.errors import DataError

from ._raw import check_labels, is_file, read_bytes

FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
FORMS = "each plain or as .gz"


def find(folder: Path) -> dict[str, Path]:
    """Those of `FILES` that lie in `folder`, under their plain names."""
    found = {}
    for name in FILES:
        for path in (folder / name, folder / f"{name}.gz"):
            if is_file(path):
                found[name] = path
                break
    return found


def to_download(found: dict[str, Path]) -> list[str]:
    """The published files that complete `found`."""
    return [f"{name}.gz" for name in FILES if name not in found]


def read(found: dict[str, Path]) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    """Images uint8 (N, 1, 28, 28) and labels uint8 (N,): training, then test."""
    paths = [found[name] for name in FILES]
    return _read_split(*paths[:2]), _read_split(*paths[2:])


def _read_split(images_path: Path, labels_path: Path) -> tuple[np.ndarray, np.ndarray]:
    images = _read_array(images_path, (28, 28))
    labels = _read_array(labels_path, ())
    if len(images) != len(labels):
        raise DataError(
            f"{labels_path} has {len(labels)} labels, {images_path} has {len(images)} images"
        )
    check_labels(labels, str(labels_path))
    return images[:, None], labels


def _read_array(path: Path, item_shape: tuple[int, ...]) -> np.ndarray:
    """The array of one file: uint8 (N, *item_shape)."""
    content = read_bytes(path)
    rank = 1 + len(item_shape)
    magic, header_size = bytes([0, 0, 8, rank]), 4 + 4 * rank
    if len(content) < header_size:
        raise DataError(
            f"{path} is cut off: {len(content)} bytes, its header alone takes {header_size}"
        )
    if content[:4] != magic:
        raise DataError(
            f"{path} starts with the bytes {content[:4].hex(' ')}, expected {magic.hex(' ')} "
            f"(IDX, uint8, {rank} axes)"
        )
    shape = struct.unpack_from(f">{rank}I", content, 4)
    if shape[0] == 0 or shape[1:] != item_shape:
        expected = ", ".join(["N > 0", *map(str, item_shape)])
        raise DataError(f"{path} holds an array of shape {shape}, expected ({expected})")
    size = header_size + math.prod(shape)
    if len(content) != size:
        problem = "is cut off" if len(content) < size else "goes on after its array"
        raise DataError(f"{path} {problem}: {len(content)} bytes, its header says {size}")
    return np.frombuffer(content, np.uint8, offset=header_size).reshape(shape)
