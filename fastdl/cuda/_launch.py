"""Kernels of the device: Python functions, compiled for it when first launched, kept on disk.

A kernel's parameters are pointers and numbers, as its annotations say:

    @kernel()
    def _double(x: floats, y: floats, n: int32):
        for i in range(cuda.grid(1), n, cuda.gridsize(1)):
            y[i] = x[i] + x[i]

    _double[blocks_for(n)](x, y, n)

Compiled kernels are text (PTX), which the driver makes a program of and keeps by itself.
"""

from __future__ import annotations

import ctypes
import hashlib
import inspect
import os
import sys
from collections.abc import Callable
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DeviceError
from . import _compat
from ._array import Array
from ._compat import SIMULATED, cuda
from ._driver import driver

THREADS = 4 if SIMULATED else 256       # of a block, unless told; a power of two

_CTYPES = {"int32": ctypes.c_int32, "int64": ctypes.c_int64,
           "uint64": ctypes.c_uint64, "float32": ctypes.c_float}

device = cuda.jit(device=True) if SIMULATED else cuda.jit(device=True, inline="always")
device.__doc__ = "Decorator of functions that kernels call; they are compiled into them."

kernels: list[Kernel] = []              # all that have been defined


def kernel(threads: int = THREADS, blocks: int = 1, constants: tuple = ()) -> Callable[..., Kernel]:
    """Decorator that makes a kernel of a function.

    Parameters
    ----------
    threads : of a block
    blocks : that a multiprocessor holds at least; bounds the registers of a thread
    constants : what the function depends on beside its source: numbers, names
    """
    return lambda function: Kernel(function, threads, blocks, constants)


class Kernel:
    """A kernel; ``kernel[blocks](*arguments)`` launches it."""

    def __init__(self, function: Callable, threads: int, blocks: int, constants: tuple) -> None:
        self.function, self.threads, self.blocks = function, threads, blocks
        self.constants = constants
        self.__doc__, self.__name__ = function.__doc__, function.__name__
        self.kinds = tuple(inspect.signature(function, eval_str=True).parameters.values())
        self.types = tuple(p.annotation for p in self.kinds)
        self._convert = [_simulated(t) if SIMULATED else _for_driver(t) for t in self.types]
        kernels.append(self)

    def __getitem__(self, blocks: int | tuple[int, ...]) -> Callable[..., None]:
        return partial(self.launch, blocks)

    def launch(self, blocks: int | tuple[int, ...], *arguments: Any) -> None:
        """Put it into the stream; without blocks there is nothing to do."""
        grid = (blocks,) if isinstance(blocks, int) else blocks
        if not all(grid):
            return
        values = [convert(a) for convert, a in zip(self._convert, arguments, strict=True)]
        driver().launch(self.program, (*grid, 1, 1)[:3], self.threads, values)

    @cached_property
    def program(self) -> Any:
        """What the driver launches."""
        if SIMULATED:
            return cuda.jit(self.function)
        return driver().load(self.ptx(driver().capability))

    def ptx(self, capability: tuple[int, int]) -> str:
        """Compiled for this compute capability, or read from the disk."""
        path = kept_in() / f"{self.__name__}-{self._digest(capability)}.ptx"
        try:
            return path.read_text()
        except OSError:
            _say_that_it_takes_time(capability)
            ptx = self.compiled(capability)
        keep(path, ptx)
        return ptx

    def compiled(self, capability: tuple[int, int]) -> str:
        """Compiled now."""
        return _compat.compile_ptx(self.function, self.types, capability, self.threads, self.blocks)

    def _digest(self, capability: tuple[int, int]) -> str:
        source = inspect.getsourcefile(self.function) or ""
        about = repr((self.function.__qualname__, self.types, self.threads, self.blocks,
                      self.constants, capability, _compat.version(), digest_of_sources()))
        return hashlib.sha256(Path(source).read_bytes() + about.encode()).hexdigest()[:24]


@cache
def _say_that_it_takes_time(capability: tuple[int, int]) -> None:
    """Once in a process."""
    # It writes beside progress bars that are being shown.
    from tqdm import tqdm

    tqdm.write("cuda: compiling kernels for compute capability {}.{}, a few seconds each; they are "
               "kept in {}".format(*capability, kept_in()), file=sys.stderr)


@cache
def digest_of_sources() -> str:
    """Of what kernels share."""
    here = Path(__file__).parent
    shared = [here / name for name in ("_compat.py", "_launch.py", "_device.py", "_elementwise.py",
                                       "_sums.py", "_tensor_core.py", "_tile.py")]
    return hashlib.sha256(b"".join(path.read_bytes() for path in shared)).hexdigest()


def keep(path: Path, text: str) -> None:
    """Write a file at once; a disk that cannot be written costs time and nothing else."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_suffix(f".{os.getpid()}")
        beside.write_text(text)
        beside.replace(path)
    except OSError:
        pass


def kept_in() -> Path:
    """The directory of what is kept from one process to the next."""
    if given := os.environ.get("FASTDL_CUDA_CACHE"):
        return Path(given)
    from platformdirs import user_cache_dir

    return Path(user_cache_dir("fastdl")) / "cuda"


def blocks_for(work: int, threads: int = THREADS) -> int:
    """How many blocks for so many independent pieces of work, of which a thread may do several."""
    if work >= 1 << 32:
        raise DeviceError(f"cuda: an array of {work} elements is too large for one kernel; there "
                          "may be 2**32")
    return min(-(-work // threads), 16 * driver().processors)


# ---- arguments ----

def _for_driver(kind: Any) -> Callable[[Any], Any]:
    if (number := _CTYPES.get(str(kind))) is not None:
        plain: Any = float if str(kind) == "float32" else int        # ctypes takes no NumPy numbers
        return lambda value: number(plain(value))
    return lambda array: ctypes.c_void_p(0 if array is None else array.address)


def _simulated(kind: Any) -> Callable[[Any], Any]:
    if str(kind) == "float32":
        return np.float32
    if str(kind) in _CTYPES:
        return int
    return lambda array: None if array is None else Pointer(array)


class Pointer:
    """What a pointer is in the simulator: memory that ends where its array does."""

    def __init__(self, array: Array) -> None:
        size = array.extent
        memory = (ctypes.c_uint8 * (size * array.dtype.itemsize)).from_address(array.address)
        self._cells = np.frombuffer(memory, array.dtype) if size else np.empty(0, array.dtype)
        self._array = array                             # lives as long as this

    def __getitem__(self, i: Any) -> Any:
        if i < 0:
            raise IndexError(f"read before the beginning, at {i}")
        return self._cells[i]

    def __setitem__(self, i: Any, value: Any) -> None:
        if i < 0:
            raise IndexError(f"written before the beginning, at {i}")
        self._cells[i] = value
