"""The binary format of CIFAR-10: six files, or the archive that holds them.

A file is a row of 10,000 records: one byte for the label, then 1,024 bytes each for the red, green
and blue plane, row by row.
"""

import gzip
import tarfile
from pathlib import Path, PurePosixPath

import numpy as np

from fastdl.errors import DataError

from ._raw import UNREADABLE, check_labels, is_file, read_bytes

FILES = (*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin")
ARCHIVE = "cifar-10-binary.tar.gz"
SUBFOLDER = "cifar-10-batches-bin"
FORMS = f"also in a sub-folder {SUBFOLDER}, or all in {ARCHIVE}"

IMAGE_SHAPE = (3, 32, 32)
RECORD_SIZE = 1 + 3 * 32 * 32
# There is no header: only the count tells a file that was cut off between two records.
RECORDS_PER_FILE = 10_000


def find(folder: Path) -> dict[str, Path]:
    """Those of `FILES` that lie in `folder`; where they are not all there, the archive for each."""
    found: dict[str, Path] = {}
    for place in (folder, folder / SUBFOLDER):
        here = {name: place / name for name in FILES if is_file(place / name)}
        if len(here) > len(found):
            found = here
    if len(found) < len(FILES) and is_file(folder / ARCHIVE):
        return dict.fromkeys(FILES, folder / ARCHIVE)
    return found


def to_download(found: dict[str, Path]) -> list[str]:
    """The published file that completes `found`: there is only the archive."""
    return [] if len(found) == len(FILES) else [ARCHIVE]


def read(found: dict[str, Path]) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    """Images uint8 (N, 3, 32, 32) and labels uint8 (N,): training, then test."""
    first = found[FILES[0]]
    if first.name == ARCHIVE:
        batches = _read_archive(first)
    else:
        batches = {name: _split(read_bytes(path), str(path)) for name, path in found.items()}
    train = [batches[name] for name in FILES[:-1]]
    images = np.concatenate([images for images, _ in train])
    labels = np.concatenate([labels for _, labels in train])
    return (images, labels), batches[FILES[-1]]


def _split(content: bytes, origin: str) -> tuple[np.ndarray, np.ndarray]:
    """The records of one file as images (N, 3, 32, 32) and labels (N,), both uint8 views."""
    _check_size(len(content), origin)
    records = np.frombuffer(content, np.uint8).reshape(RECORDS_PER_FILE, RECORD_SIZE)
    labels, pixels = records[:, 0], records[:, 1:]
    check_labels(labels, origin)
    return pixels.reshape(-1, *IMAGE_SHAPE), labels


def _check_size(size: int, origin: str) -> None:
    expected = RECORDS_PER_FILE * RECORD_SIZE
    if size != expected:
        raise DataError(
            f"{origin} has {size} bytes, "
            f"expected {RECORDS_PER_FILE} records of {RECORD_SIZE} = {expected}"
        )


def _read_archive(path: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The batches in the archive. Nothing is extracted, so no path in it can do harm."""
    batches: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    try:
        with gzip.open(path) as stream:
            with tarfile.open(fileobj=stream, mode="r:") as archive:
                for member in archive:
                    name = PurePosixPath(member.name).name
                    if name not in FILES or not member.isfile():
                        continue
                    origin = f"{path} ({name})"
                    if name in batches:
                        raise DataError(f"{origin}: the archive holds this file twice")
                    _check_size(member.size, origin)  # before it fills the memory
                    content = archive.extractfile(member)
                    assert content is not None  # it is only for what is no regular file
                    batches[name] = _split(content.read(), origin)
            # gzip compares its checksum when it meets the end, where tarfile never goes.
            while rest := stream.read(1 << 20):
                if rest.strip(b"\0"):
                    raise DataError(f"{path} goes on after the end of its archive")
    except DataError:
        raise  # an OSError too, but one that already says everything
    except (*UNREADABLE, tarfile.TarError) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    missing = [name for name in FILES if name not in batches]
    if missing:
        raise DataError(f"{path} lacks {', '.join(missing)}")
    return batches
