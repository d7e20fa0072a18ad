"""Reading and writing files so that nothing is ever left half-written."""

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from os import PathLike
from pathlib import Path
from typing import BinaryIO

import numpy as np

from .errors import CheckpointError


@contextmanager
def replacing(path: str | PathLike[str]) -> Iterator[BinaryIO]:
    """A file to write, which takes the place of `path` only when it is complete."""
    path = Path(path)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, _mode_of(path))
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise


def _mode_of(path: Path) -> int:
    """Permissions of the file to replace, or those that a new file gets."""
    with suppress(OSError):
        return path.stat().st_mode & 0o777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


def write_text(path: str | PathLike[str], text: str) -> None:
    """Write a text file in UTF-8."""
    with replacing(path) as file:
        file.write(text.encode())


def write_tensors(path: str | PathLike[str], tensors: Mapping[str, np.ndarray],
                  metadata: Mapping[str, str]) -> None:
    """Write arrays and texts to a safetensors file."""
    from safetensors.numpy import save

    data = save({name: np.ascontiguousarray(array).reshape(array.shape)
                 for name, array in tensors.items()}, dict(metadata))
    with replacing(path) as file:
        file.write(data)


def read_tensors(path: str | PathLike[str]) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Arrays and texts of a safetensors file.

    Raises
    ------
    CheckpointError
        when there is no such file, or it is not whole
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(os.fspath(path), framework="numpy") as file:
            names = file.keys()
            return {name: file.get_tensor(name) for name in names}, file.metadata() or {}
    except FileNotFoundError:
        raise CheckpointError(f"{os.fspath(path)}: no such file") from None
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{os.fspath(path)}: not a readable safetensors file "
                              f"({error})") from error
