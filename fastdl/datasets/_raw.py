"""What the file formats share: finding and reading files, and the check of labels."""

import gzip
import os
import zlib
from pathlib import Path

import numpy as np

from fastdl.errors import DataError

UNREADABLE = (OSError, EOFError, zlib.error)
"""What reading a missing, forbidden, cut off or damaged file raises, compressed or not."""


def is_file(path: Path) -> bool:
    """Whether there is such a file; `Path.is_file` raises for one in a forbidden folder."""
    return os.path.isfile(path)


def read_bytes(path: Path) -> bytes:
    """The content of a file, decompressed if its name ends in .gz."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            return file.read()
    except UNREADABLE as error:
        raise DataError(f"{path} cannot be read: {error}") from error


def check_labels(labels: np.ndarray, origin: str) -> None:
    """Every data set here has ten classes."""
    wrong = np.flatnonzero(labels > 9)
    if wrong.size:
        first = wrong[0]
        raise DataError(f"{origin}: label {first} is {labels[first]}, expected 0 to 9")
