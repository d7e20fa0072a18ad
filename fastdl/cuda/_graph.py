"""Work that is the same each time, as one graph, which is put into the stream by one call."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any

from ._driver import driver
from ._memory import Pool, apart


class Replay:
    """Calls of kernels that are made the first time, and captured the second.

    What is captured are launches, with their arrays and their numbers: what shall differ from one
    run to the next must lie on the device.
    """

    def __init__(self) -> None:
        self._key: Hashable = None
        self._runs = 0
        self._graph: Any = None
        self._pool: Pool | None = None

    def run(self, calls: Sequence[Callable[[], Any]], key: Hashable = None) -> None:
        """Do the work of all calls; another key says that they are others than before."""
        if key != self._key:
            self._forget()
            self._key, self._runs = key, 0
        self._runs += 1
        if self._runs == 1:             # kernels are compiled now, which no capture allows
            for call in calls:
                call()
            return
        if self._graph is None:
            self._capture(calls)
        driver().replay(self._graph)

    def _capture(self, calls: Sequence[Callable[[], Any]]) -> None:
        device = driver()
        with apart() as self._pool:
            device.begin_capture()
            try:
                for call in calls:
                    call()
            finally:
                graph = device.end_capture()
        self._graph = graph

    def _forget(self) -> None:
        if self._graph is not None:
            driver().forget(self._graph)
            self._graph = None
        if self._pool is not None:
            self._pool.close()
            self._pool = None

    def __del__(self) -> None:
        self._forget()
