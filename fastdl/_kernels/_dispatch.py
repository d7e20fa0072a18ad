"""Which implementation runs: policy, lazy loading, reasons.

Selecting walks the table in order; a backend that cannot run the call is rejected with a reason.
The wish with the highest precedence that says something about the operation decides:
argument > context (innermost first) > set_backend > FASTDL_BACKEND > auto.
"""

import importlib
import os
import warnings
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import NamedTuple

import numpy as np

from ..errors import ArgumentError, BackendUnavailableError
from ._table import BACKENDS, OPERATIONS, Backend

AUTO = "auto"
ENVIRONMENT_VARIABLE = "FASTDL_BACKEND"

_PLACES = {"cpu": "the host", "cuda": "the device"}
_HINTS = {"cpu": " (fastdl.cuda.to_device copies them)", "cuda": " (their numpy() copies them)"}
_BACKEND_NAMES = tuple(backend.name for backend in BACKENDS)
_OPERATION_OF = {kernel: name for name, operation in OPERATIONS.items()
                 for kernel in operation.kernels}
_BY_LOOSE_NAME = {kernel.replace("_", ""): name for kernel, name in _OPERATION_OF.items()}


class Wish(NamedTuple):
    """What somebody asked for: a backend for everything, others for single operations."""

    source: str                     # as it is named in messages
    default: str | None             # None: says nothing about operations not in `overrides`
    overrides: tuple[tuple[str, str], ...]      # (operation, backend); hashable, as cache keys are

    def backend_for(self, operation: str) -> str | None:
        """The backend this wish names for `operation`, or None."""
        return dict(self.overrides).get(operation, self.default)


class Candidate(NamedTuple):
    """One row of an explanation: a backend, and why it cannot run, or None."""

    backend: str
    reason: str | None


# ---- wishes ----

def operation_name(name: str) -> str:
    """The operation that `name` means; a kernel's name and missing underscores are understood."""
    try:
        return _BY_LOOSE_NAME[name.lower().replace("_", "")]
    except KeyError:
        raise ArgumentError(f"unknown operation {name!r}; there are: "
                            f"{', '.join(OPERATIONS)}") from None


def make_wish(source: str, default: str | None, overrides: Mapping[str, str]) -> Wish:
    """A wish whose names are known to exist."""
    for backend in (default, *overrides.values()):
        if backend is not None and backend not in (AUTO, *_BACKEND_NAMES):
            raise ArgumentError(f"{source}: unknown backend {backend!r}; there are: "
                                f"{', '.join((AUTO, *_BACKEND_NAMES))}")
    named = {operation_name(name): backend for name, backend in overrides.items()}
    return Wish(source, default, tuple(sorted(named.items())))


def wish_from_text(source: str, text: str, overrides: Mapping[str, str] | None = None) -> Wish:
    """The wish in ``"numba"``, ``"auto,conv2d=cython"`` or ``"conv2d=cython"``."""
    default, overrides = None, dict(overrides or {})
    for part in filter(None, (part.strip() for part in text.split(","))):
        operation, equals, backend = (piece.strip() for piece in part.partition("="))
        if equals:
            overrides[operation] = backend
        else:
            default = operation
    return make_wish(source, default, overrides)


context_wishes: ContextVar[tuple[Wish, ...]] = ContextVar("fastdl_backend", default=())
_global_wish: Wish | None = None
_selected: dict[tuple, Callable] = {}


def set_global_wish(wish: Wish | None) -> None:
    """Replace what `set_backend` asked for."""
    global _global_wish
    _global_wish = wish
    _selected.clear()


def wishes_in_force() -> tuple[object, ...]:
    """All that has been asked for here, to be compared with later."""
    return context_wishes.get(), _global_wish, os.environ.get(ENVIRONMENT_VARIABLE)


def _wishes(argument: str | None):
    """Every wish in force, the highest precedence first."""
    if argument is not None:
        yield make_wish("the argument backend", argument, {})
    yield from reversed(context_wishes.get())
    if _global_wish is not None:
        yield _global_wish
    if text := os.environ.get(ENVIRONMENT_VARIABLE):
        yield wish_from_text(ENVIRONMENT_VARIABLE, text)


def wanted(operation: str, argument: str | None = None) -> tuple[str, str]:
    """The backend asked for (or "auto") and who asked."""
    for wish in _wishes(argument):
        backend = wish.backend_for(operation)
        if backend is not None:
            return backend, wish.source
    return AUTO, "the default"


# ---- what can run ----

def _load(kernel: str, backend: Backend) -> Callable:
    folder = OPERATIONS[_OPERATION_OF[kernel]].folder
    module = importlib.import_module(f".{folder}.{backend.module}", __package__)
    return getattr(module, kernel)


def _reason(kernel: str, backend: Backend, dtype: str, device: str) -> str | None:
    """Why `backend` cannot run `kernel` on such arrays, or None."""
    if device != backend.device:
        return (f"takes arrays on {_PLACES[backend.device]}, not on {_PLACES[device]}"
                f"{_HINTS[device]}")
    if dtype not in backend.dtypes:
        return f"takes {', '.join(backend.dtypes)}, not {dtype}"
    try:
        _load(kernel, backend)
    except ImportError as error:
        own = (error.name or "").startswith(__package__)
        what = "its kernels are not built" if own else str(error)
        return f"{what}; to have it: {backend.remedy}"
    return None


def candidates(kernel: str, dtype: str, device: str = "cpu") -> list[Candidate]:
    """Every backend of that device in ``auto``'s order, with the reason it cannot run, or None."""
    return [Candidate(backend.name, _reason(kernel, backend, dtype, device))
            for backend in BACKENDS if backend.device == device]


def _select(kernel: str, dtype: str, device: str, argument: str | None) -> Callable:
    name, source = wanted(_OPERATION_OF[kernel], argument)
    for backend in BACKENDS:
        if name in (AUTO, backend.name) and _reason(kernel, backend, dtype, device) is None:
            if name == AUTO and backend is BACKENDS[-1]:
                _warn_of_reference(kernel, dtype, device)
            return _load(kernel, backend)
    rows = candidates(kernel, dtype, device)
    reason = next((_reason(kernel, backend, dtype, device) for backend in BACKENDS
                   if backend.name == name), "no backend takes it")
    usable = ", ".join(row.backend for row in rows if row.reason is None) or "none"
    raise BackendUnavailableError(f"{kernel}: backend {name!r}, asked for by {source}, is not "
                                  f"available: {reason}. Usable now: {usable}")


class SlowBackendWarning(UserWarning):
    """``auto`` found nothing faster than the readable NumPy reference."""


_warned: set[str] = set()


def _warn_of_reference(kernel: str, dtype: str, device: str) -> None:
    reasons = "; ".join(f"{row.backend} {row.reason}" for row in candidates(kernel, dtype, device)
                        if row.reason)
    if reasons not in _warned:
        _warned.add(reasons)
        warnings.warn(f"{kernel} runs on the NumPy reference, which is slow: {reasons}",
                      SlowBackendWarning, stacklevel=5)


def device_of(array) -> str:
    """The device that `array` lives on."""
    return "cpu" if isinstance(array, np.ndarray) else "cuda"


def kernel(name: str, array, backend: str | None = None) -> Callable:
    """The implementation of kernel `name` for arrays like `array`."""
    key = (name, array.dtype.char, type(array), backend, context_wishes.get())
    try:
        return _selected[key]
    except KeyError:
        function = _select(name, array.dtype.name, device_of(array), backend)
        _selected[key] = function
        return function
