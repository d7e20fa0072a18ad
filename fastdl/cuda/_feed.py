"""Batches on their way to the device: the next one is copied while it works on the last.

Two slots take turns. A batch is written into a slot's page-locked memory of the host; a stream of
its own copies it from there into the slot's memory of the device, where the step reads it. Each
waits for the one that had the memory before:

    the host writes                 when the slot's last copy has ended     (event `copied`)
    the stream of copies copies     when the step that read it has ended    (event `used`)
    the stream of work reads        when the slot's copy has ended          (event `copied`)

Only the first holds up the host, and by then that copy is a whole step old.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from ._array import Array, empty
from ._driver import driver


class Feed:
    """What brings batches; to be closed when there are no more.

    Who takes a batch puts the step into the stream, calls `bring_next`, and only then waits for
    what the step gives.
    """

    def __init__(self) -> None:
        self._last, self._following = _Slot(), _Slot()
        self._batches: Iterator[tuple[Any, Any]] = iter(())
        self._coming: tuple[Array, Any] | None = None

    def over(self, batches: Iterable[tuple[Any, Any]]) -> Iterator[tuple[Array, Any]]:
        """Batches ``(x, t)`` with x on the device, as float32; t stays as it is.

        An x may be used by what is put into the stream before the next is asked for, or brought.
        """
        self._batches, self._coming = iter(batches), None
        while True:
            self.bring_next()
            if self._coming is None:
                return
            batch, self._coming = self._coming, None
            driver().wait(self._last.copied, driver().stream)
            yield batch

    def bring_next(self) -> None:
        """Begin to copy the next batch, if there is one and this has not begun."""
        if self._coming is not None:
            return
        driver().record(self._last.used, driver().stream)       # behind the step that reads it
        for x, t in self._batches:
            self._coming = self._following.bring(x), t
            self._last, self._following = self._following, self._last
            return

    def close(self) -> None:
        """Give the memory back."""
        for slot in (self._last, self._following):
            slot.close()


class _Slot:
    """Memory for one batch, on both sides; it grows with the batches."""

    def __init__(self) -> None:
        device = driver()
        self.copied, self.used = device.event(), device.event()
        self._here = np.empty(0, np.float32)
        self._there: Array | None = None

    def bring(self, x: np.ndarray) -> Array:
        """Where on the device `x` will be when `copied` has come."""
        device = driver()
        device.wait_here(self.copied)
        if self._there is None or x.size > self._there.size:
            self._there = self._grown(x.size)
        here = self._here[:x.size].reshape(x.shape)
        there = self._there[:x.size].reshape(x.shape)
        np.copyto(here, x, casting="unsafe")
        device.wait(self.used, device.copies)
        device.copy_in_beside(there.address, here)
        device.record(self.copied, device.copies)
        return there

    def _grown(self, size: int) -> Array:
        device = driver()
        self._here = device.page_locked(size)
        there = empty((size,))
        # Work that had this memory before may still be under way, in the stream of work.
        device.record(self.used, device.stream)
        return there

    def close(self) -> None:
        """Give the memory back, when nothing is copied any more."""
        device = driver()
        device.wait_here(self.copied)
        self._here, self._there = np.empty(0, np.float32), None
        for event in (self.copied, self.used):
            device.forget_event(event)
