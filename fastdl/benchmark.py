"""How fast the backends are on this machine: the cases, a fair way to time them, a table.

``fastdl bench`` prints the short comparison made here. The full suite in ``bench/`` times the
same `CASES`, the same way, beside PyTorch.
"""

import math
import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from . import ops
from ._kernels._table import BACKENDS
from .errors import ArgumentError, BackendUnavailableError, FastdlError

REFERENCE = "reference"
TOLERANCE = 1e-4                # of the largest expected value; float32 sums of 10^5 terms fit
PAUSE = 0.15                    # s; idle threads of OpenBLAS were seen to spin for about 0.08 s


# ---- what is timed ----

class Case(NamedTuple):
    """An operation on arrays of fixed shapes; with a gradient, forward and backward together."""

    operation: str
    shape: str                                          # for people
    make: Callable[[np.random.Generator], tuple]        # new random arrays
    run: Callable[..., tuple]                           # (*arrays, backend=, **options) -> results
    options: Mapping[str, Any] = {}
    flops: int = 0                                      # of the direct algorithm; 0: memory-bound
    bytes: int = 0                                      # that must be read and written at least

    @property
    def name(self) -> str:
        """The operation and the shape."""
        return f"{self.operation} {self.shape}"

    def arrays(self) -> tuple:
        """New arguments, the same at every call."""
        return self.make(np.random.default_rng(0))


def _normal(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.standard_normal(shape, np.float32)


def _floats(*sizes: int) -> int:
    """Bytes of so many float32 values."""
    return 4 * sum(sizes)


def _gemm(M: int, K: int, N: int) -> Case:
    def run(a, b, *, backend):
        return (ops.gemm(a, b, backend=backend),)

    return Case("gemm", f"M{M} K{K} N{N}", lambda rng: (_normal(rng, M, K), _normal(rng, K, N)),
                run, flops=2 * M * N * K)


def _conv2d(N: int, C: int, H: int, W: int, OC: int, K: int, padding: int) -> Case:
    OH, OW = H + 2 * padding - K + 1, W + 2 * padding - K + 1

    def make(rng):
        return (_normal(rng, N, C, H, W), _normal(rng, OC, C, K, K), _normal(rng, OC),
                _normal(rng, N, OC, OH, OW))

    def run(x, w, b, dy, *, padding, backend):
        y = ops.conv2d(x, w, b, padding=padding, backend=backend)
        return (y, *ops.conv2d_backward(dy, x, w, padding=padding, backend=backend))

    return Case("conv2d", f"N{N} C{C} {H}x{W} OC{OC} {K}x{K} pad{padding}", make, run,
                {"padding": padding}, flops=3 * 2 * N * OC * OH * OW * C * K * K)


def _max_pool2d(x, dy, *, kernel_size, backend):
    y, argmax = ops.max_pool2d(x, kernel_size, return_indices=True, backend=backend)
    return y, ops.max_pool2d_backward(dy, argmax, x.shape, kernel_size, backend=backend)


def _avg_pool2d(x, dy, *, kernel_size, backend):
    y = ops.avg_pool2d(x, kernel_size, backend=backend)
    return y, ops.avg_pool2d_backward(dy, x.shape, kernel_size, backend=backend)


def _pool(run: Callable[..., tuple], argmax_bytes: int, N: int, C: int, H: int, W: int,
          K: int) -> Case:
    x, y = (N, C, H, W), (N, C, H // K, W // K)
    return Case(run.__name__.removeprefix("_"), f"N{N} C{C} {H}x{W} {K}x{K}",
                lambda rng: (_normal(rng, *x), _normal(rng, *y)), run, {"kernel_size": K},
                bytes=2 * _floats(math.prod(x), math.prod(y)) + 2 * argmax_bytes * math.prod(y))


def _batch_norm(N: int, C: int, H: int, W: int) -> Case:
    def make(rng):
        x, dy = _normal(rng, N, C, H, W), _normal(rng, N, C, H, W)
        weight, bias, mean, var = _normal(rng, 4, C)
        return x, weight, bias, mean, var ** 2, dy

    def run(x, weight, bias, running_mean, running_var, dy, *, backend):
        y, mean, rstd = ops.batch_norm(x, weight, bias, running_mean, running_var,
                                       return_stats=True, backend=backend)
        return (y, *ops.batch_norm_backward(dy, x, weight, mean, rstd, backend=backend))

    return Case("batch_norm", f"N{N} C{C} {H}x{W}", make, run, bytes=5 * _floats(N * C * H * W))


def _relu(x, *, backend):
    return (ops.relu(x, backend=backend),)


def _sigmoid(x, *, backend):
    return (ops.sigmoid(x, backend=backend),)


def _dropout(x, *, p, backend):
    return (ops.dropout(x, p, seed=1, backend=backend),)


def _map(run: Callable[..., tuple], N: int, C: int, H: int, W: int, **options: float) -> Case:
    return Case(run.__name__.removeprefix("_"), f"N{N} C{C} {H}x{W}",
                lambda rng: (_normal(rng, N, C, H, W),), run, options,
                bytes=2 * _floats(N * C * H * W))


def _softmax_cross_entropy(N: int, C: int) -> Case:
    def run(x, t, *, backend):
        loss, p = ops.softmax_cross_entropy(x, t, return_probabilities=True, backend=backend)
        return loss, ops.softmax_cross_entropy_backward(p, t, backend=backend)

    return Case("softmax_cross_entropy", f"N{N} C{C}",
                lambda rng: (_normal(rng, N, C), rng.integers(0, C, N)), run,
                bytes=4 * _floats(N * C))


def _im2col(N: int, C: int, H: int, W: int, K: int, padding: int) -> Case:
    def run(x, *, backend, **window):
        return (ops.im2col(x, transpose=False, backend=backend, **window),)

    OH, OW = H + 2 * padding - K + 1, W + 2 * padding - K + 1
    return Case("im2col", f"N{N} C{C} {H}x{W} {K}x{K} pad{padding}",
                lambda rng: (_normal(rng, N, C, H, W),), run,
                {"kernel_size": K, "padding": padding},
                bytes=_floats(N * C * H * W, N * C * K * K * OH * OW))


def _col2im(N: int, C: int, H: int, W: int, K: int, padding: int) -> Case:
    def run(col, *, size, backend, **window):
        return (ops.col2im(col, (N, C, *size), transpose=False, backend=backend, **window),)

    pixels = (H + 2 * padding - K + 1) * (W + 2 * padding - K + 1)
    return Case("col2im", f"N{N} C{C} {H}x{W} {K}x{K} pad{padding}",
                lambda rng: (_normal(rng, N, C * K * K, pixels),), run,
                {"size": (H, W), "kernel_size": K, "padding": padding},
                bytes=_floats(N * C * H * W, N * C * K * K * pixels))


def _adam_update(size: int) -> Case:
    def make(rng):
        w, dw, m, v = _normal(rng, 4, size)
        return w, dw, m, v ** 2

    def run(w, dw, m, v, *, lr, backend):
        ops.adam_update(w, dw, m, v, step=1, lr=lr, backend=backend)
        return w, m, v

    return Case("adam_update", f"{size} parameters", make, run, {"lr": 1e-3},
                bytes=7 * _floats(size))


def _sgd_update(size: int) -> Case:
    def run(w, dw, *, lr, backend):
        ops.sgd_update(w, dw, lr=lr, backend=backend)
        return (w,)

    return Case("sgd_update", f"{size} parameters", lambda rng: tuple(_normal(rng, 2, size)), run,
                {"lr": 1e-3}, bytes=3 * _floats(size))


CASES = (
    _gemm(512, 512, 512),
    _gemm(1024, 1024, 1024),
    _gemm(100, 4320, 100),
    _conv2d(32, 32, 28, 28, OC=32, K=3, padding=1),
    _conv2d(100, 1, 28, 28, OC=30, K=5, padding=0),
    _conv2d(100, 16, 28, 28, OC=16, K=3, padding=1),
    _pool(_max_pool2d, 1, 32, 32, 28, 28, K=2),
    _pool(_avg_pool2d, 0, 32, 32, 28, 28, K=2),
    _batch_norm(32, 32, 28, 28),
    _map(_relu, 32, 32, 28, 28),
    _map(_sigmoid, 32, 32, 28, 28),
    _map(_dropout, 32, 32, 28, 28, p=0.5),
    _softmax_cross_entropy(256, 1000),
    _im2col(32, 32, 28, 28, K=3, padding=1),
    _col2im(32, 32, 28, 28, K=3, padding=1),
    _adam_update(1_000_000),
    _sgd_update(1_000_000),
)

# What `compare` times unless told: one case of each of these.
REPRESENTATIVE = ("gemm", "conv2d", "max_pool2d", "batch_norm", "relu", "softmax_cross_entropy",
                  "im2col", "adam_update")


def cases(operations: Iterable[str]) -> list[Case]:
    """The first case of each of `operations`."""
    first: dict[str, Case] = {}
    for case in CASES:
        first.setdefault(case.operation, case)
    try:
        return [first[operation] for operation in operations]
    except KeyError as error:
        raise ArgumentError(f"benchmark: no case of operation {error}; there are: "
                            f"{', '.join(first)}") from None


# ---- how it is timed ----

def check(case: Case, who: str, results: Iterable[Any], expected: Iterable[Any]) -> None:
    """Raise unless all `results` are what the reference gives."""
    for i, (got, wanted) in enumerate(zip(results, expected, strict=True)):
        got, wanted = np.asarray(got), np.asarray(wanted)
        if got.shape != wanted.shape:
            raise FastdlError(f"benchmark: {case.name}: result {i} of {who} is {got.shape}, "
                              f"expected {wanted.shape}")
        error = np.max(np.abs(got - wanted), initial=0)
        # Written so that a NaN fails.
        if not error <= TOLERANCE * np.max(np.abs(wanted), initial=0):
            raise FastdlError(f"benchmark: {case.name}: result {i} of {who} is wrong: it differs "
                              f"from the reference by up to {error:.3g}")


def runners(case: Case) -> dict[str, Callable[[], tuple]]:
    """A function for each backend that is usable here and gives the right results."""
    def runner(backend: str) -> Callable[[], tuple]:
        return partial(case.run, *case.arrays(), backend=backend, **case.options)

    expected = runner(REFERENCE)()
    usable = {REFERENCE: runner(REFERENCE)}
    for name in (backend.name for backend in BACKENDS if backend.name != REFERENCE):
        try:
            results = runner(name)()
        except BackendUnavailableError:
            continue
        check(case, name, results, expected)
        usable[name] = runner(name)
    return usable


def seconds_per_call(function: Callable[[], Any], calls: int) -> float:
    """Mean time of `calls` calls, after one that is not timed (cold caches, sleeping threads)."""
    function()
    start = time.perf_counter()
    for _ in range(calls):
        function()
    return (time.perf_counter() - start) / calls


def interleaved(timers: Mapping[str, Callable[[int], float]], rounds: int,
                block: float) -> dict[str, list[float]]:
    """Time everyone in turn, `rounds` times, so that a busy moment of the machine hits all.

    Parameters
    ----------
    timers : functions from a number of calls to the mean seconds of one call
    block : about how many seconds one turn takes

    Returns
    -------
    for each timer, the seconds of one call in each round
    """
    calls = {name: max(1, math.ceil(block / max(timer(1), 1e-6)))
             for name, timer in timers.items()}
    seconds: dict[str, list[float]] = {name: [] for name in timers}
    for _ in range(rounds):
        for name, timer in timers.items():
            time.sleep(PAUSE)
            seconds[name].append(timer(calls[name]))
    return seconds


# ---- the short comparison ----

class Row(NamedTuple):
    """One backend on one case."""

    operation: str
    shape: str
    backend: str
    seconds: float              # median over the rounds
    ratio: float                # how many times faster than the reference


def compare(operations: Iterable[str] | None = None, repeats: int = 3,
            progress: bool = True) -> list[Row]:
    """Time every usable backend on one case of each operation; each result is checked first.

    Parameters
    ----------
    operations : names of operations; a representative handful unless given
    repeats : rounds in which the backends take turns
    progress : show a bar

    Raises
    ------
    ArgumentError
        when there is no case of an operation, or no repeats
    FastdlError
        when a backend's results differ from the reference

    >>> rows = compare(["sgd_update"], repeats=1, progress=False)
    >>> rows[0].backend, rows[0].ratio
    ('reference', 1.0)
    """
    from tqdm import tqdm

    if repeats < 1:
        raise ArgumentError(f"benchmark: repeats must be at least 1, got {repeats}")
    rows = []
    bar = tqdm(cases(REPRESENTATIVE if operations is None else operations), disable=not progress,
               leave=False)
    for case in bar:
        bar.set_description(case.operation)
        timers = {name: partial(seconds_per_call, run) for name, run in runners(case).items()}
        medians = {name: statistics.median(seconds) for name, seconds
                   in interleaved(timers, repeats, block=0.01).items()}
        rows += [Row(case.operation, case.shape, name, median, medians[REFERENCE] / median)
                 for name, median in medians.items()]
    return rows


def as_table(rows: Iterable[Row]) -> str:
    """`rows` as an aligned text.

    >>> print(as_table([Row("relu", "N1", "reference", 0.002, 1.0),
    ...                 Row("relu", "N1", "cython", 0.0005, 4.0)]))
    operation  shape  backend    median ms  speed
    relu       N1     reference      2.000  x1.00
                      cython         0.500  x4.00
    """
    lines = [("operation", "shape", "backend", "median ms", "speed")]
    previous = None
    for row in rows:
        what = (row.operation, row.shape)
        lines.append((*(("", "") if what == previous else what), row.backend,
                      f"{row.seconds * 1e3:.3f}", f"x{row.ratio:.2f}"))
        previous = what
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) if i < 3 else cell.rjust(width)
                  for i, (cell, width) in enumerate(zip(line, widths, strict=True)))
        for line in lines)
