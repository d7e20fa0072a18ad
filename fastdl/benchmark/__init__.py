"""How fast the backends are on this machine: the cases, a fair way to time them, a table.

``fastdl bench`` prints the short comparison made here. The full suite in ``bench/`` of the
repository times the same kernels, the same way, beside PyTorch and the limits of the machine.

=============  =========================================
``shapes``     the data files
``cases``      what is timed, and how much work it is
``runs``       how fastdl does it
``timing``     checking and taking turns
=============  =========================================
"""

import statistics
from collections.abc import Callable, Iterable
from functools import partial
from typing import NamedTuple

from .._kernels._table import BACKENDS
from ..errors import ArgumentError, BackendUnavailableError
from .cases import Case, short
from .runs import comparable, prepared
from .text import aligned
from .timing import check, interleaved, seconds_per_call

REFERENCE = "reference"


def runners(case: Case) -> dict[str, Callable[[], tuple]]:
    """A function for each backend that is usable here and gives the right results."""
    def runner(backend: str) -> Callable[[], tuple]:
        return prepared(case, case.arrays(), backend=backend)

    arrays = case.arrays()
    expected = comparable(case, arrays, runner(REFERENCE)())
    usable = {REFERENCE: runner(REFERENCE)}
    for name in (backend.name for backend in BACKENDS
                 if backend.device == "cpu" and backend.name != REFERENCE):
        try:
            results = runner(name)()
        except BackendUnavailableError:
            continue
        check(case, name, comparable(case, arrays, results), expected)
        usable[name] = runner(name)
    return usable


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
    operations : names of kernels; a representative handful unless given
    repeats : rounds in which the backends take turns
    progress : show a bar

    Raises
    ------
    ArgumentError
        when there is no case of an operation, or no repeats
    FastdlError
        when a backend's results differ from the reference

    >>> rows = compare(["relu"], repeats=1, progress=False)
    >>> rows[0].backend, rows[0].ratio
    ('reference', 1.0)
    """
    from tqdm import tqdm

    if repeats < 1:
        raise ArgumentError(f"benchmark: repeats must be at least 1, got {repeats}")
    rows = []
    bar = tqdm(_chosen(operations), disable=not progress, leave=False)
    for case in bar:
        bar.set_description(case.operation)
        timers = {name: partial(seconds_per_call, run) for name, run in runners(case).items()}
        medians = {name: statistics.median(seconds) for name, seconds
                   in interleaved(timers, repeats, block=0.01).items()}
        rows += [Row(case.operation, str(case.shape), name, median, medians[REFERENCE] / median)
                 for name, median in medians.items()]
    return rows


def _chosen(operations: Iterable[str] | None) -> list[Case]:
    cases = {case.operation: case for case in short()}
    if operations is None:
        return list(cases.values())
    try:
        return [cases[operation] for operation in operations]
    except KeyError as error:
        raise ArgumentError(f"benchmark: no case of operation {error}; there are: "
                            f"{', '.join(cases)}") from None


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
    return aligned(lines, left=3)
