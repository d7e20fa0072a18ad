"""Where the time of a script went, and what plain NumPy code would have taken.

While a `Report` is open, the layers and optimizers of a profile are timed. A few calls of each kind
are repeated with `plain`'s NumPy code on the same arrays; that time is left out of everything.
"""

from __future__ import annotations

import importlib
import statistics
import time
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from typing import Any, NamedTuple

import numpy as np

from ..benchmark.text import aligned
from . import plain
from .finder import tell

SAMPLES = 3             # calls of one kind that are repeated in plain NumPy
MOST_IMAGES = 100       # of a sampled call; a larger batch counts by its share
MOST_ROWS = 20          # of the printed table


class Kind(NamedTuple):
    """Calls that should take equally long: of one class, on one shape, in one direction."""

    name: str
    shape: tuple[int, ...]
    weights: tuple[int, ...]

    def __str__(self) -> str:
        filters = f" {'×'.join(map(str, self.weights))}" if self.weights else ""
        return f"{self.name}{filters} on {self.shape}"


class Times:
    """What was measured of one kind and direction."""

    def __init__(self) -> None:
        self.calls = 0
        self.seconds = 0.0
        self.plain: list[float] = []

    @property
    def in_plain_numpy(self) -> float | None:
        """Seconds that all calls would have taken, if it is known."""
        # The first sample also pays for memory that later ones find.
        return self.calls * statistics.median(self.plain[1:] or self.plain) if self.plain else None


class Report:
    """Times a profile's layers and optimizers while it is open; prints a table when it closes.

    Parameters
    ----------
    profile : whose layers
    float32 : the layers compute in float32, where the course would in float64
    """

    def __init__(self, profile: str, *, float32: bool = False) -> None:
        self.profile = profile
        self.float32 = float32
        self.times: dict[tuple[Kind, str], Times] = {}
        self._undo: list[Callable[[], None]] = []
        self._last: dict[int, tuple[Kind, Any, float]] = {}     # of each layer's last forward
        self._inside = False
        self._aside = 0.0                   # seconds spent on samples

    # ---- around a script ----

    def __enter__(self) -> Report:
        self._wrap("layers", {"forward": self._forward, "backward": self._backward})
        self._wrap("optimizer", {"update": self._update})
        self._start = time.perf_counter()
        return self

    def __exit__(self, *error: object) -> None:
        self.seconds = time.perf_counter() - self._start - self._aside
        for undo in reversed(self._undo):
            undo()
        tell(str(self))

    def _wrap(self, module: str, methods: dict[str, Callable]) -> None:
        space = importlib.import_module(f"{__package__}.{self.profile}.common.{module}")
        for kind in {kind for kind in vars(space).values() if isinstance(kind, type)}:
            if all(callable(getattr(kind, name, None)) for name in methods):
                for name, timed in methods.items():
                    self._replace(kind, name, timed)

    def _replace(self, kind: type, name: str, timed: Callable) -> None:
        inherited = name not in vars(kind)
        original = getattr(kind, name)

        @wraps(original)
        def method(layer: Any, *args: Any, **options: Any) -> Any:
            if self._inside:                # called by a layer that is being timed
                return original(layer, *args, **options)
            self._inside = True
            try:
                start = time.perf_counter()
                result = original(layer, *args, **options)
                seconds = time.perf_counter() - start
                # What cannot be repeated is not compared.
                with suppress(Exception), np.errstate(all="ignore"):
                    timed(layer, seconds, args, options)
                self._aside += time.perf_counter() - start - seconds
            finally:
                self._inside = False
            return result

        setattr(kind, name, method)
        self._undo.append(lambda: delattr(kind, name) if inherited
                          else setattr(kind, name, original))

    # ---- one call ----

    def _count(self, kind: Kind, direction: str, seconds: float) -> Times:
        times = self.times.setdefault((kind, direction), Times())
        times.calls += 1
        times.seconds += seconds
        return times

    def _forward(self, layer: Any, seconds: float, args: tuple, options: dict) -> None:
        x = np.asarray(args[0])
        weights = tuple(getattr(getattr(layer, "W", None), "shape", ()))
        kind = Kind(type(layer).__name__, x.shape, weights)
        times = self._count(kind, "forward", seconds)
        self._last[id(layer)] = kind, None, 1.0
        if len(times.plain) < SAMPLES and kind.name in plain.LAYERS:
            forward, _ = plain.LAYERS[kind.name]
            cut, share = _cut(len(x))
            parts = [self._as_the_course(np.asarray(arg)[cut]) if np.ndim(arg) else arg
                     for arg in args]
            (_, saved), took = _timed(forward, layer, *parts, **options)
            times.plain.append(took * share)
            self._last[id(layer)] = kind, saved, share

    def _backward(self, layer: Any, seconds: float, args: tuple, options: dict) -> None:
        kind, saved, share = self._last[id(layer)]
        times = self._count(kind, "backward", seconds)
        if saved is not None and len(times.plain) < SAMPLES:
            _, backward = plain.LAYERS[kind.name]
            dy = np.asarray(args[0] if args else 1.0)
            cut, _ = _cut(len(dy)) if dy.ndim else (..., 1)
            dy = self._as_the_course(dy[cut])
            times.plain.append(share * _timed(backward, layer, dy, saved)[1])
            self._last[id(layer)] = kind, None, share

    def _as_the_course(self, x: np.ndarray) -> np.ndarray:
        """The array that the course's code would have had here."""
        widened = self.float32 and x.dtype == np.float32
        return np.ascontiguousarray(x, np.float64 if widened else x.dtype)

    def _update(self, optimizer: Any, seconds: float, args: tuple, options: dict) -> None:
        params, grads = args
        name = type(optimizer).__name__
        kind = Kind(name, (sum(np.size(w) for w in params.values()),), ())
        times = self._count(kind, "update", seconds)
        if len(times.plain) < SAMPLES and name in plain.UPDATES:
            update, kept = plain.UPDATES[name]
            arrays = [[self._as_the_course(np.array(array)) for array in (params[key], grads[key])]
                      for key in params]
            state = [[np.zeros_like(w) for _ in range(kept)] for w, _ in arrays]

            def all_of_them() -> None:
                for (w, dw), more in zip(arrays, state, strict=True):
                    update(w, dw, 0.0, *more)

            times.plain.append(_timed(all_of_them)[1])

    # ---- the table ----

    def __str__(self) -> str:
        if not self.times:
            return f"report: {self.seconds:.1f} s; no layer of the course was called"
        compared = [(times.seconds, times.in_plain_numpy) for times in self.times.values()
                    if times.in_plain_numpy is not None]
        plain_seconds = self.seconds + sum(theirs - ours for ours, theirs in compared)
        lines = [("where", "", "calls", "s", "%", "plain NumPy, s", "times faster")]
        ranked = sorted(self.times.items(), key=lambda item: -item[1].seconds)
        for (kind, direction), times in ranked[:MOST_ROWS]:
            theirs = times.in_plain_numpy
            lines.append((str(kind), direction, str(times.calls),
                          *self._share(times.seconds),
                          *((f"{theirs:.2f}", f"{theirs / times.seconds:.1f}")
                            if theirs is not None else ("", ""))))
        rest = sum(times.seconds for _, times in ranked[MOST_ROWS:])
        if rest:
            lines.append((f"{len(ranked) - MOST_ROWS} more", "", "", *self._share(rest), "", ""))
        outside = self.seconds - sum(times.seconds for times in self.times.values())
        lines.append(("outside of layers", "", "", *self._share(outside), "", ""))
        return (f"report: {self.seconds:.1f} s\n{aligned(lines, left=2)}\n"
                f"plain NumPy code would have taken about {plain_seconds:.1f} s, "
                f"{plain_seconds / self.seconds:.1f} times as long "
                f"(by up to {SAMPLES} calls of each kind, repeated in NumPy)")

    def _share(self, seconds: float) -> tuple[str, str]:
        return f"{seconds:.2f}", f"{100 * seconds / self.seconds:.0f}"


def _cut(N: int) -> tuple[slice, float]:
    """The part of a batch that is repeated, and how many times as large the whole is."""
    return slice(MOST_IMAGES), max(1.0, N / MOST_IMAGES)


def _timed(function: Callable, *args: Any, **options: Any) -> tuple[Any, float]:
    start = time.perf_counter()
    result = function(*args, **options)
    return result, time.perf_counter() - start
