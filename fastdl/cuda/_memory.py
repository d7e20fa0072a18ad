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

    __slots__ = ("__weakref__", "address", "owner", "pool", "size")

    def __init__(self, address: int, size: int, owner: object = None,
                 pool: Pool | None = None) -> None:
        self.address, self.size, self.owner, self.pool = address, size, owner, pool

    def __del__(self) -> None:
        if self.pool is not None:
            self.pool.take_back(self.address, self.size)


class Pool:
    """Pieces that nobody uses now, by their sizes."""

    def __init__(self) -> None:
        self.kept: dict[int, list[int]] = defaultdict(list)

    def take_back(self, address: int, size: int) -> None:
        """Keep a piece for later."""
        global _used
        with _lock:
            self.kept[size].append(address)
            _used -= size

    def close(self) -> None:
        """Hand everything, also what is still in use, over to the common pool."""
        with _lock:
            for size, addresses in self.kept.items():
                _common.kept[size] += addresses
            self.kept = _common.kept


class Statistics(NamedTuple):
    """Bytes of the device: in fastdl's arrays, kept for later ones, free, and all."""

    used: int
    kept: int
    free: int
    total: int


_used = 0
_lock = threading.RLock()                               # arrays may die in any thread
_common = Pool()
_pools = [_common]                                      # the last is the one in use


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
        pool = _pools[-1]
        address = pool.kept[piece].pop() if pool.kept[piece] else device.allocate(piece)
        if address is None and not device.capturing:        # a capture lets nothing be given back
            release()
            address = device.allocate(piece)
        if address is None:
            raise out_of_memory(size, _used, *device.memory())
        _used += piece
    return Memory(address, piece, None, pool)


def release() -> None:
    """Give all memory that no array uses back to the driver."""
    with _lock:
        device = driver()
        device.synchronize()
        for addresses in _common.kept.values():
            while addresses:
                device.free(addresses.pop())


@contextmanager
def apart() -> Iterator[Pool]:
    """A pool of its own for all that is allocated inside.

    A graph keeps it: its kernels use that memory at each replay. Inside of the graph a piece may
    serve several kernels, one after another.
    """
    pool = Pool()
    _pools.append(pool)
    try:
        yield pool
    finally:
        _pools.remove(pool)


def statistics() -> Statistics:
    """How the memory is used."""
    free, total = driver().memory()
    kept = sum(size * len(addresses) for size, addresses in _common.kept.items())
    return Statistics(_used, kept, free, total)
