"""Parameters in the pickle files of the course, read without running what is in them."""

import pickle
from os import PathLike
from typing import Any

from ...errors import CheckpointError

_ARRAY_MODULES = ("numpy", "numpy.core.multiarray", "numpy._core.multiarray",
                  "numpy.core.numeric", "numpy._core.numeric")
_ARRAY_NAMES = ("ndarray", "dtype", "scalar", "_reconstruct", "_frombuffer")


class _ArraysOnly(pickle.Unpickler):
    """Makes NumPy's arrays, numbers, and the containers of Python; nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        """What a pickle names, if arrays are made of it."""
        is_array = module in _ARRAY_MODULES and name in _ARRAY_NAMES
        # Python 3 writes the bytes of an array so where it writes for Python 2.
        if is_array or (module, name) == ("_codecs", "encode"):
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"it names {module}.{name}")


def load_arrays(path: str | PathLike[str]) -> dict[str, Any]:
    """A dict of arrays from a pickle file.

    Raises
    ------
    CheckpointError
        when the file is missing, damaged, or has something else than arrays in it
    """
    try:
        with open(path, "rb") as file:
            arrays = _ArraysOnly(file, encoding="latin1").load()
    except (OSError, EOFError, ValueError, pickle.UnpicklingError) as error:
        raise CheckpointError(f"{path}: not a pickle of arrays ({error})") from error
    if not isinstance(arrays, dict):
        raise CheckpointError(f"{path}: expected a dict of arrays, got {type(arrays).__name__}")
    return arrays


def save_arrays(path: str | PathLike[str], arrays: dict[str, Any]) -> None:
    """What `load_arrays` reads, and ``pickle.load`` too."""
    with open(path, "wb") as file:
        pickle.dump(dict(arrays), file)
