"""Times that were measured elsewhere, as rounds of pytest-benchmark.

pytest-benchmark runs all rounds of one test, then all of the next. Ours are measured in turns, and
a peer's in its own process; here they are played back on a clock that moves by exactly the seconds
measured, so that its statistics, tables, JSON files and comparisons serve them all.
"""

from collections.abc import Sequence
from typing import Any

_now = 0.0


def clock() -> float:
    """The time on the replayed clock, in seconds."""
    return _now


def record(benchmark: Any, seconds: Sequence[float], group: str, **info: Any) -> None:
    """Enter one round for each of `seconds`; the test must be marked with ``timer=clock``.

    `info` goes into the JSON file for the report, and `group` names the table.
    """
    remaining = iter(seconds)

    def reset() -> None:
        global _now
        _now = 0.0

    def advance() -> None:
        global _now
        _now += next(remaining)

    benchmark.group = group
    benchmark.extra_info.update(info)
    benchmark.pedantic(advance, setup=reset, rounds=len(seconds))
