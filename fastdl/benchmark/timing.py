"""Checking before timing, and timing in turns."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import FastdlError
from .cases import Case

PAUSE = 0.15                    # s; idle threads of OpenBLAS were seen to spin for about 0.08 s
ROUNDINGS = 8                   # of the size that sums of random terms have; Winograd's needs most


def check(case: Case, who: str, results: Sequence[np.ndarray],
          expected: Sequence[np.ndarray]) -> None:
    """Raise unless every value of `results` is as expected, up to rounding.

    The error that is let pass is `ROUNDINGS` units in the last place of the largest expected
    value, times the square root of the number of terms behind a value.
    """
    for i, (got, wanted) in enumerate(zip(results, expected, strict=True)):
        if got.shape != wanted.shape:
            raise FastdlError(f"benchmark: {case.name}: result {i} of {who} is {got.shape}, "
                              f"expected {wanted.shape}")
        error = np.max(np.abs(got - wanted), initial=0)
        allowed = ROUNDINGS * np.finfo(case.dtype).eps * math.sqrt(case.terms)
        # Written so that a NaN fails.
        if not error <= allowed * np.max(np.abs(wanted), initial=0):
            raise FastdlError(f"benchmark: {case.name}: result {i} of {who} is wrong: it differs "
                              f"from what is expected by up to {error:.3g}")


def seconds_per_call(function: Callable[[], Any], calls: int) -> float:
    """Mean time of `calls` calls, after one that is not timed (cold caches, sleeping threads)."""
    function()
    start = time.perf_counter()
    for _ in range(calls):
        function()
    return (time.perf_counter() - start) / calls


def interleaved(timers: Mapping[str, Callable[[int], float]], rounds: int, block: float,
                pause: float = PAUSE) -> dict[str, list[float]]:
    """Time everyone in turn, `rounds` times, so that a busy moment of the machine hits all.

    Parameters
    ----------
    timers : functions from a number of calls to the mean seconds of one call
    block : about how many seconds one turn takes
    pause : seconds before each turn, in which the threads of the one before fall asleep

    Returns
    -------
    for each timer, the seconds of one call in each round
    """
    calls = {name: max(1, math.ceil(block / max(timer(1), 1e-6)))
             for name, timer in timers.items()}
    seconds: dict[str, list[float]] = {name: [] for name in timers}
    for _ in range(rounds):
        for name, timer in timers.items():
            time.sleep(pause)
            seconds[name].append(timer(calls[name]))
    return seconds
