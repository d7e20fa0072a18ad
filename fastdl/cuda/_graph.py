"""Work that is the same each time, as one graph, which is put into the stream by one call."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from functools import partial
from itertools import groupby
from typing import Any

from ._driver import driver
from ._memory import Pool, apart, release
from ._precision import tf32_allowed


class Replay:
    """Calls of kernels that are made the first time, and captured the second.

    What is captured are launches, with their arrays and their numbers: what shall differ from one
    run to the next must lie on the device.

    Parameters
    ----------
    alone : numbers of calls that the host makes itself each time, between two graphs
    """

    def __init__(self, alone: Sequence[int] = ()) -> None:
        self._alone = frozenset(alone)
        self._key: Hashable = None
        self._runs = 0
        self._parts: list[Callable[[], Any]] = []       # replays, and calls made alone
        self._graphs: list[Any] = []
        self._pool: Pool | None = None

    def run(self, calls: Sequence[Callable[[], Any]], key: Hashable = None) -> None:
        """Do the work of all calls; another key says that they are others than before."""
        key = key, tf32_allowed()       # which chooses the kernels
        if key != self._key:
            self._forget()
            self._key, self._runs = key, 0
        self._runs += 1
        if self._runs == 1:             # kernels are compiled now, which no capture allows
            for call in calls:
                call()
            return
        if not self._parts:
            release()               # what the first run used: the graph gets memory of its own
            with apart() as self._pool:
                self._parts = self._captured(calls)
        for part in self._parts:
            part()

    def _captured(self, calls: Sequence[Callable[[], Any]]) -> list[Callable[[], Any]]:
        parts: list[Callable[[], Any]] = []
        for is_alone, group in groupby(enumerate(calls), lambda pair: pair[0] in self._alone):
            if is_alone:
                parts += [call for _, call in group]
            else:
                self._graphs.append(self._capture([call for _, call in group]))
                parts.append(partial(driver().replay, self._graphs[-1]))
        return parts

    def _capture(self, calls: Sequence[Callable[[], Any]]) -> Any:
        device = driver()
        device.begin_capture()
        try:
            for call in calls:
                call()
        finally:
            graph = device.end_capture()
        return graph

    def _forget(self) -> None:
        for graph in self._graphs:
            driver().forget(graph)
        self._graphs, self._parts = [], []
        if self._pool is not None:
            self._pool.close()
            self._pool = None

    def __del__(self) -> None:
        self._forget()
