"""Which of two ways to compute the same is faster: measured once on a device, kept on its disk.

So a program computes the same numbers each time that it runs there, and measures nothing anew.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable
from functools import cache
from pathlib import Path

from ..errors import DeviceMemoryError
from ._driver import driver
from ._graph import Replay
from ._launch import digest_of_sources, keep, kept_in

_ROUNDS, _CALLS = 5, 3


def is_faster(case: str, one: Callable[[], None], other: Callable[[], None]) -> bool:
    """Whether `one` is faster than `other`; not where that cannot be measured now.

    It cannot while a graph is captured.

    Parameters
    ----------
    case : what they compute, with all that matters for how long it takes
    """
    known = _known()
    if case not in known:
        if driver().capturing:
            return False
        try:
            known[case] = seconds(one) < seconds(other)
        except DeviceMemoryError:       # there is none left to find out; it may be another time
            return False
        keep(_path(), json.dumps(known, indent=0, sort_keys=True))
    return known[case]


def seconds(call: Callable[[], None]) -> float:
    """That the device takes for a call, whatever the host takes: the median of a few rounds."""
    device, graph, calls, times = driver(), Replay(), [call] * _CALLS, []
    for _ in range(2):                  # made, then captured
        graph.run(calls)
    for _ in range(_ROUNDS):
        begin = device.mark()
        graph.run(calls)
        times.append(device.seconds(begin, device.mark()))
    return statistics.median(times) / _CALLS


@cache
def _known() -> dict[str, bool]:
    try:
        return dict(json.loads(_path().read_text()))
    except (OSError, ValueError):       # there is none yet, or it was cut off
        return {}


def _path() -> Path:
    device = driver()
    name = "".join(c if c.isalnum() else "-" for c in f"{device.name}-{device.driver_version}")
    return kept_in() / f"faster-{name}-{digest_of_sources()[:8]}.json"
