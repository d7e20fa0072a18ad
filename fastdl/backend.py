"""Which implementation runs, by which algorithm, how many threads it uses, and why.

Precedence: the argument ``backend=`` > `use_backend` > `set_backend` > the environment variable
``FASTDL_BACKEND`` > ``"auto"``.
"""

import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from . import cuda
from ._kernels import _dispatch
from ._kernels._table import OPERATIONS
from .errors import ArgumentError


def _wish(source: str, default: str | None, operations: dict[str, str]) -> _dispatch.Wish:
    if not isinstance(default, str):
        return _dispatch.make_wish(source, default, operations)
    return _dispatch.wish_from_text(source, default, operations)


@contextmanager
def use_backend(default: str | None = None, /, **operations: str) -> Iterator[None]:
    """Choose backends inside a ``with`` block (and in nobody else's thread or task).

    Parameters
    ----------
    default : "auto", "cython", "numba" or "reference"; None leaves other operations as they are.
        A list such as "auto,conv2d=numba", as in ``FASTDL_BACKEND``, is understood too.
    operations : backends of single operations, by name: ``conv2d="cython"``

    Raises
    ------
    ArgumentError
        for a name that does not exist
    BackendUnavailableError
        later, when an operation runs whose backend cannot: an explicit choice never falls back

    >>> import fastdl as fd
    >>> with fd.use_backend("reference", conv2d="cython"):
    ...     y = fd.ops.relu(np.array([-1.0, 1.0]))
    >>> y
    array([0., 1.])
    """
    wish = _wish("use_backend", default, operations)
    token = _dispatch.context_wishes.set((*_dispatch.context_wishes.get(), wish))
    try:
        yield
    finally:
        _dispatch.context_wishes.reset(token)


def set_backend(default: str | None = None, /, **operations: str) -> None:
    """Choose backends for the whole process; ``set_backend()`` takes the choice back."""
    given = default is not None or operations
    _dispatch.set_global_wish(_wish("set_backend", default, operations) if given else None)


class Text:
    """A text that prints itself where an interpreter shows its value."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __str__(self) -> str:
        return self._text

    __repr__ = __str__


def explain(operation: str, x: Any = None) -> Text:
    """Say which backend runs `operation` on arrays like `x`, and why not the others.

    >>> print(explain("conv2d"))  # doctest: +SKIP
    conv2d on float32 arrays (cpu)
    wanted: auto, by the default
    * cython     runs
      numba      could run
      reference  could run
    """
    if not isinstance(operation, str):
        raise ArgumentError(f"explain: expected the name of an operation "
                            f"({', '.join(OPERATIONS)}), got {type(operation).__name__}")
    name = _dispatch.operation_name(operation)
    dtype, device = "float32", "cpu"
    if x is not None:
        x = x if hasattr(x, "dtype") else np.asarray(x)
        device = _dispatch.device_of(x)
        dtype = x.dtype.name if x.dtype.kind == "f" else "float32"
    wanted, source = _dispatch.wanted(name)
    lines = [f"{name} on {dtype} arrays ({device})", f"wanted: {wanted}, by {source}"]
    chosen = None
    for backend, reason in _dispatch.candidates(OPERATIONS[name].kernels[0], dtype, device):
        runs = chosen is None and reason is None and wanted in (_dispatch.AUTO, backend)
        chosen = backend if runs else chosen
        verdict = "runs" if runs else f"no: {reason}" if reason else "could run"
        lines.append(f"{'*' if runs else ' '} {backend:<10} {verdict}")
    if chosen is None:
        lines.append(f"nothing runs: {wanted} was asked for, and an explicit choice never falls "
                     "back")
    return Text("\n".join(lines))


CONV_ALGORITHMS = ("auto", "direct", "winograd", "im2col")
_conv_algorithm = "auto"


def known_conv_algorithm(source: str, name: str) -> str:
    """`name`, if it is that of a convolution algorithm; errors name `source`."""
    if not isinstance(name, str) or name not in CONV_ALGORITHMS:
        raise ArgumentError(f"{source}: unknown algorithm {name!r}; there are: "
                            f"{', '.join(CONV_ALGORITHMS)}")
    return name


def set_conv_algorithm(name: str) -> None:
    """Choose how the whole process computes convolutions and their gradients.

    The argument ``algorithm=`` of `fastdl.ops.conv2d` chooses for one call.

    Parameters
    ----------
    name : "auto", "direct", "winograd" or "im2col"
        - "auto": the fastest, by a rule made from measurements.
        - "direct": sums of products as the definition has them, in any case.
        - "winograd": fewer multiplications (Lavin & Gray, 2016), at a few more bits of rounding,
          for 3x3 and 5x5 filters with stride 1, dilation 1 and one group in float32; the rest is
          direct. As the argument of a call with another window, it is an error. Relative to the
          result, the error's root mean square is below 4e-6 at 64 channels and 9e-6 at 512 for
          normally distributed data; NaN and infinities spread to neighbouring pixels.
        - "im2col": all receptive fields are written out, then one matrix product is made.
          It takes much memory; here for comparison, and because it is how the method is taught.

        float64 is never computed by Winograd's algorithm. The backends "numba" and "reference"
        have one way beside im2col, and take it whichever of the other names is chosen.

    Raises
    ------
    ArgumentError
        for a name that does not exist

    >>> import fastdl as fd
    >>> fd.set_conv_algorithm("direct")
    >>> fd.get_conv_algorithm()
    'direct'
    >>> fd.set_conv_algorithm("auto")
    """
    global _conv_algorithm
    _conv_algorithm = known_conv_algorithm("set_conv_algorithm", name)


def get_conv_algorithm() -> str:
    """The name that `set_conv_algorithm` was given last; "auto" before."""
    return _conv_algorithm


def _native() -> Any:
    """The native module, or None in a build without it."""
    try:
        return importlib.import_module("._kernels.native._native", __package__)
    except ImportError:
        return None


def set_num_threads(threads: int) -> None:
    """Let kernels use at most `threads` threads.

    ``OMP_NUM_THREADS`` and threadpoolctl are honoured too; the lowest limit holds.
    """
    if not isinstance(threads, int | np.integer) or threads < 1:
        raise ArgumentError(f"set_num_threads: threads must be at least 1, got {threads!r}")
    if native := _native():
        native.set_num_threads(int(threads))
    if numba := sys.modules.get("numba"):
        numba.set_num_threads(min(int(threads), numba.config.NUMBA_NUM_THREADS))


def get_num_threads() -> int:
    """How many threads a large native kernel uses now."""
    native = _native()
    return native.get_num_threads() if native else 1


def keep_freed_memory() -> bool:
    """Let this process keep up to 512 MiB of freed memory for its next arrays.

    Each step of a training makes and frees the same large arrays. Usually the C library hands
    them back to the system each time, and fresh pages cost a fifth to a third of a step
    (docs/results.md). It is a setting of the whole process, so a program asks for it;
    ``fastdl train`` does.

    Returns
    -------
    bool
        False where it cannot be set (a C library other than glibc, or no native kernels)
    """
    native = _native()
    return bool(native and native.keep_freed_memory())


def _cpu_name() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            for line in lines:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    import platform

    return platform.processor() or platform.machine()


def _version() -> str:
    from importlib import metadata

    try:
        return metadata.version("fastdl")
    except metadata.PackageNotFoundError:
        return "not installed: run from its source"


def config() -> dict[str, Any]:
    """The facts that `show_config` prints: versions, CPU, instruction set, threads, backends."""
    import platform

    native = _native()
    return {
        "fastdl": _version(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "platform": platform.platform(),
        "cpu": f"{_cpu_name()} ({os.cpu_count()} cores)",
        "instruction set": native.isa() if native else "none: native kernels are not built",
        "instruction sets built": ", ".join(native.isa_names()) if native else "none",
        "threads": get_num_threads(),
        "OpenMP": bool(native and native.has_openmp()),
        "convolution algorithm": get_conv_algorithm(),
        "backends": {row.backend: row.reason or "available"
                     for row in _dispatch.candidates("relu", "float32")}
        | {"cuda": cuda.why_not() or f"available ({cuda.describe()['device']})"},
        "FASTDL_BACKEND": os.environ.get(_dispatch.ENVIRONMENT_VARIABLE, "not set"),
    }


def show_config() -> None:
    """Print versions, CPU, instruction set, threads, and the backends with reasons."""
    for key, value in config().items():
        if isinstance(value, dict):
            print(f"{key}:")
            for name, text in value.items():
                print(f"  {name:<10} {text}")
        else:
            print(f"{key}: {value}")
