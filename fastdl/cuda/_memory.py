"""Memory of the device, kept and handed out again: asking the driver for it stops the device.

Sizes are rounded up to a few classes, so that pieces fit again. All work goes to one stream in
order, so a piece may be handed out again while a kernel that was given it before still runs.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from ._driver import driver, out_of_memory

LINE = 256                      # bytes; the driver's own pieces begin at multiples of it


class Memory:
    """A piece; it goes back when nobody refers to it any more."""

    __slots__ = ("__weakref__", "address", "owner", "size")

    def __init__(self, address: int, size: int, owner: object = None) -> None:
        self.address, self.size, self.owner = address, size, owner

    def __del__(self) -> None:
        if self.owner is None:
            _give_back(self.address, self.size)


class Statistics(NamedTuple):
    """Bytes of the device: in fastdl's arrays, kept for later ones, free, and all."""

    used: int
    kept: int
    free: int
    total: int


_kept: dict[int, list[int]] = defaultdict(list)         # size: addresses
_used = 0
_lock = threading.RLock()                               # arrays may die in any thread
_held: list[list[Memory]] = []


def rounded(size: int) -> int:
    """The size of the piece for `size` bytes: at most a quarter more, beyond a line."""
    size = max(size, LINE)
    step = max(LINE, 1 << (size.bit_length() - 3))
    return -(-size // step) * step


def allocate(size: int) -> Memory:
    """`size` bytes.

    Raises
    ------
    DeviceMemoryError
        says how much was asked for, used and free
    """
    global _used
    piece = rounded(size)
    device = driver()
    with _lock:
        address = _kept[piece].pop() if _kept[piece] else device.allocate(piece)
        if address is None:
            release()
            address = device.allocate(piece)
        if address is None:
            raise out_of_memory(size, _used, *device.memory())
        _used += piece
    memory = Memory(address, piece)
    for pieces in _held:
        pieces.append(memory)
    return memory


def _give_back(address: int, size: int) -> None:
    global _used
    with _lock:
        _kept[size].append(address)
        _used -= size


def release() -> None:
    """Give all memory that no array uses back to the driver."""
    with _lock:
        device = driver()
        device.synchronize()
        for addresses in _kept.values():
            while addresses:
                device.free(addresses.pop())


@contextmanager
def holding() -> Iterator[list[Memory]]:
    """Collect what is allocated inside: a graph keeps it, for its kernels use it at each replay."""
    pieces: list[Memory] = []
    _held.append(pieces)
    try:
        yield pieces
    finally:
        _held.remove(pieces)


def statistics() -> Statistics:
    """How the memory is used."""
    free, total = driver().memory()
    kept = sum(size * len(addresses) for size, addresses in _kept.items())
    return Statistics(_used, kept, free, total)
