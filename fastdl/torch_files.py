"""Reading PyTorch's files of weights without PyTorch, and without trusting them.

``torch.save`` writes a pickle, and a pickle may run any code. The reader here knows the few names
of which state dicts are made, builds arrays from them, and refuses everything else.

Two formats are read. Since PyTorch 1.6 a file is a zip archive: ``data.pkl`` is the pickle, in
which storages are named, and ``data/0``, ``data/1``, … are their bytes. Files from before (many of
torchvision's) are five pickles in a row, then the storages, each behind its length.
"""

from __future__ import annotations

import collections
import io
import math
import os
import pickle
import zipfile
from collections.abc import Callable
from os import PathLike
from typing import Any, BinaryIO, Literal, NamedTuple

import numpy as np

from .errors import CheckpointError

_MAGIC = 0x1950A86A20F9469CFC6C         # of files from before the zip format
_DTYPES = {"FloatStorage": "f4", "DoubleStorage": "f8", "HalfStorage": "f2",
           "BFloat16Storage": "bfloat16", "LongStorage": "i8", "IntStorage": "i4",
           "ShortStorage": "i2", "CharStorage": "i1", "ByteStorage": "u1", "BoolStorage": "?"}
_STATE_KEYS = ("state_dict", "model_state_dict", "model")       # of checkpoints that hold more


class _RefusedError(Exception):
    """What a file holds besides tensors."""


class _Storage(NamedTuple):
    """The name of a run of numbers, and what they are."""

    key: str
    dtype: str
    size: int


class _Tensor(NamedTuple):
    """A view of a storage, as the pickle describes it."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _RebuildTensor:
    """Stands for ``torch._utils._rebuild_tensor_v2``; has no state that a pickle could change."""

    __slots__ = ()

    def __call__(self, storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> _Tensor:
        if not isinstance(storage, _Storage):
            raise _RefusedError("a tensor without a storage")
        return _Tensor(storage, offset, tuple(shape), tuple(strides))


class _RebuildParameter:
    """Stands for ``torch._utils._rebuild_parameter``: a tensor with a flag."""

    __slots__ = ()

    def __call__(self, tensor: Any, *_: Any) -> Any:
        return tensor


_KNOWN: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): _RebuildTensor(),
    ("torch._utils", "_rebuild_parameter"): _RebuildParameter(),
    **{("torch", name): dtype for name, dtype in _DTYPES.items()}}


class _Unpickler(pickle.Unpickler):
    """Finds the names of `_KNOWN` and no others."""

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _KNOWN[module, name]
        except KeyError:
            raise _RefusedError(f"{module}.{name}") from None

    def persistent_load(self, pid: Any) -> _Storage:
        kind, dtype, key, _, count = pid[:5]
        if kind != "storage" or dtype not in _DTYPES.values() or pid[5:] not in ((), (None,)):
            raise _RefusedError(f"a storage of an unknown kind: {kind!r}")
        return _Storage(str(key), dtype, int(count))


def read_state_dict(path: str | PathLike[str]) -> dict[str, np.ndarray]:
    """The arrays of a ``.pth`` or ``.pt`` file that ``torch.save`` wrote of a state dict.

    Parameters
    ----------
    path : file; of a checkpoint that holds more, its ``state_dict``, ``model_state_dict`` or
        ``model`` is read

    Raises
    ------
    CheckpointError
        when there is no such file, when it is damaged, and when it holds anything but tensors
    """
    name = os.fspath(path)
    try:
        with open(name, "rb") as file:
            if zipfile.is_zipfile(file):
                tree, load = _open_zip(file)
            else:
                file.seek(0)
                tree, load = _open_old(file)
            return {key: _as_array(tensor, load) for key, tensor in _tensors(tree).items()}
    except FileNotFoundError:
        raise CheckpointError(f"{name}: no such file") from None
    except _RefusedError as error:
        raise CheckpointError(f"{name}: refused, because it holds {error}; a file of weights has "
                              "tensors by name and nothing else") from None
    except Exception as error:      # whatever a damaged pickle can make of the unpickler
        raise CheckpointError(f"{name}: not a readable file of PyTorch's "
                              f"({type(error).__name__}: {error})") from error


Load = Callable[[_Storage], np.ndarray]
Order = Literal["<", ">"]


def _open_zip(file: BinaryIO) -> tuple[Any, Load]:
    archive = zipfile.ZipFile(file)
    (pickled,) = (n for n in archive.namelist() if n.rpartition("/")[2] == "data.pkl")
    folder = pickled.removesuffix("data.pkl")
    order: Order = "<"
    if f"{folder}byteorder" in archive.namelist() and (
            archive.read(f"{folder}byteorder") == b"big"):
        order = ">"
    tree = _Unpickler(io.BytesIO(archive.read(pickled))).load()
    return tree, lambda storage: _numbers(archive.read(f"{folder}data/{storage.key}"), storage,
                                          order)


def _open_old(file: BinaryIO) -> tuple[Any, Load]:
    magic, version, system = (_Unpickler(file).load() for _ in range(3))
    if magic != _MAGIC or version != 1001:
        raise ValueError("it begins with something else")
    order: Order = "<" if system.get("little_endian", True) else ">"
    found: dict[str, _Storage] = {}

    class Collecting(_Unpickler):
        def persistent_load(self, pid: Any) -> _Storage:
            storage = super().persistent_load(pid)
            return found.setdefault(storage.key, storage)

    tree = Collecting(file).load()
    arrays = {}
    for key in _Unpickler(file).load():
        storage = found[key]
        (count,) = np.frombuffer(file.read(8), order + "i8")
        if count != storage.size:
            raise ValueError(f"storage {key} has {count} numbers, expected {storage.size}")
        size = np.dtype(_native(storage.dtype)).itemsize
        arrays[key] = _numbers(file.read(storage.size * size), storage, order)
    return tree, lambda storage: arrays[storage.key]


def _native(dtype: str) -> str:
    return "u2" if dtype == "bfloat16" else dtype


def _numbers(data: bytes, storage: _Storage, order: Order) -> np.ndarray:
    numbers = np.frombuffer(data, np.dtype(_native(storage.dtype)).newbyteorder(order))
    if len(numbers) < storage.size:
        raise ValueError(f"storage {storage.key} is cut off")
    numbers = numbers.astype(numbers.dtype.newbyteorder("="), copy=False)
    if storage.dtype == "bfloat16":         # the upper half of a float32
        numbers = (numbers.astype(np.uint32) << np.uint32(16)).view(np.float32)
    return numbers


def _tensors(tree: Any) -> dict[str, _Tensor]:
    if isinstance(tree, dict):
        inner = next((tree[key] for key in _STATE_KEYS if isinstance(tree.get(key), dict)), None)
        tree = tree if inner is None else inner
    if not isinstance(tree, dict):
        raise _RefusedError(f"a {type(tree).__name__}")
    for key, value in tree.items():
        if not isinstance(key, str) or not isinstance(value, _Tensor):
            raise _RefusedError(f"{key!r} of type {type(value).__name__}")
    return tree


def _as_array(tensor: _Tensor, load: Load) -> np.ndarray:
    """A copy of the view, which must lie inside its storage and repeat nothing."""
    storage, offset, shape, strides = tensor
    if not all(isinstance(n, int) and n >= 0 for n in (offset, *shape, *strides)) or (
            len(shape) != len(strides)):
        raise ValueError(f"a tensor of shape {shape} and strides {strides}")
    size = math.prod(shape)
    last = offset + sum((n - 1) * stride for n, stride in zip(shape, strides, strict=True))
    if size > storage.size or (size and last >= storage.size):
        raise ValueError(f"a tensor of shape {shape} does not fit into its storage")
    if not size:
        return np.empty(shape, np.float32 if storage.dtype == "bfloat16" else storage.dtype)
    numbers = load(storage)
    view = np.lib.stride_tricks.as_strided(
        numbers[offset:], shape, [stride * numbers.itemsize for stride in strides],
        writeable=False)
    return view.copy()
