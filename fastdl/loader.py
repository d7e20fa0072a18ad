"""Batches of a data set: in an order drawn anew each epoch, transformed, ready when asked for."""

from __future__ import annotations

import contextvars
import math
import sys
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from . import random, transforms
from .errors import ArgumentError, ShapeError
from .transforms import AnyTransform

if TYPE_CHECKING:
    from concurrent.futures import Future

_AHEAD = 2                      # groups of batches that a worker has under way or ready
_GROUP_BYTES = 1 << 21          # of samples; these and the interpreter stay in the caches

Pair = tuple[np.ndarray, np.ndarray]


class DataLoader:
    """Batches ``(x, t)`` of arrays, one epoch each time it is iterated over.

    What is random is drawn from `fastdl.random` when an epoch begins: its order, and a seed. Each
    batch has a generator of its own, from that seed and its number, so batches are the same
    whatever the number of workers.

    Parameters
    ----------
    x, t : samples and targets, first dimension N
    batch_size : the last batch of an epoch may be smaller
    shuffle : draw a new order each epoch
    transform : a callable ``(x, generator) -> x`` (see `fastdl.transforms`)
        With several workers it is called by several threads at once.
    workers : threads that make the next batches while one is worked on
        0 makes each when it is asked for. Unless given, there is one thread where it pays: where
        there is a transform.
    drop_last : leave out a last batch that is smaller

    Raises
    ------
    ShapeError, ArgumentError
        Whatever a transform raises comes out of the loop, when its batch's turn has come.

    >>> import numpy as np
    >>> import fastdl as fd
    >>> loader = DataLoader(np.arange(5), np.arange(5), batch_size=2)
    >>> [x.tolist() for x, t in loader]
    [[0, 1], [2, 3], [4]]
    """

    def __init__(self, x: Any, t: Any, batch_size: int = 1, shuffle: bool = False, *,
                 transform: AnyTransform | None = None, workers: int | None = None,
                 drop_last: bool = False) -> None:
        self.x, self.t = np.asarray(x), np.asarray(t)
        if self.x.ndim < 1 or self.t.ndim < 1 or len(self.x) != len(self.t):
            raise ShapeError("DataLoader: x and t must have as many samples: "
                             f"x {self.x.shape}, t {self.t.shape}")
        if not isinstance(batch_size, int | np.integer) or batch_size < 1:
            raise ArgumentError("DataLoader: batch_size must be an integer of at least 1, got "
                                f"{batch_size!r}")
        if workers is not None and (not isinstance(workers, int | np.integer) or workers < 0):
            raise ArgumentError("DataLoader: workers must be an integer of at least 0, got "
                                f"{workers!r}")
        if transform is not None and not callable(transform):
            raise ArgumentError("DataLoader: transform must be callable, got "
                                f"{type(transform).__name__}")
        self.batch_size, self.shuffle, self.drop_last = batch_size, shuffle, drop_last
        self.transform, self.workers = transform, workers
        size = self.x.itemsize * math.prod(self.x.shape[1:]) * batch_size
        # Made one right after another, small batches take a fraction of the time that each takes
        # after a step, which has driven the interpreter and all that it needs out of the caches.
        self._group = min(max(_GROUP_BYTES // max(size, 1), 1), max(len(self), 1))
        # Groups ahead and in use; the caller's last batch, and the one on its way to him.
        self._memory = _Memory(self._group * (_AHEAD * self._useful_workers() + 1) + 2)

    def __len__(self) -> int:
        """Batches of an epoch."""
        whole, rest = divmod(len(self.x), self.batch_size)
        return whole + bool(rest and not self.drop_last)

    def __iter__(self) -> Iterator[Pair]:
        return self.epoch()

    def epoch(self, out: Sequence[np.ndarray] | None = None, *,
              seed: int | None = None) -> Generator[Pair, None, None]:
        """The batches of one epoch.

        Parameters
        ----------
        out : arrays (batch_size, ...), C-contiguous or channels-last
            Where to write the samples: batch i goes into ``out[i % len(out)]``, a smaller one into
            its beginning. It stays there until the next batch is asked for. With two, one is
            written while the other is read.
        seed : what transforms draw from; taken from `fastdl.random` unless given

        Yields
        ------
        x, t
            Without `out` yours to keep, but for this: without shuffling and without a transform
            they are views of the data.
        """
        if out is not None and not len(out):
            raise ArgumentError("DataLoader: out must be at least one array, got none")
        order = random.generator().permutation(len(self.x)) if self.shuffle else None
        if seed is None:
            seed = random.draw_seed() if self.transform is not None else 0

        def make(number: int) -> Pair:
            start = number * self.batch_size
            part = slice(start, min(start + self.batch_size, len(self.x)))
            if order is None and self.transform is None and out is None:
                return self.x[part], self.t[part]
            rows = np.arange(part.start, part.stop) if order is None else order[part]
            target = None if out is None else out[number % len(out)][:len(rows)]
            return self._samples(rows, [seed, number], target), self.t[rows]

        workers, group = self._useful_workers(), self._group
        ahead = _AHEAD * workers
        if out is not None:
            group = min(group, max(len(out) // 2, 1))
            ahead = min(ahead, len(out) // group - 1)
        groups = [range(i, min(i + group, len(self))) for i in range(0, len(self), group)]
        return _in_groups(make, groups, workers, ahead)

    def _useful_workers(self) -> int:
        if self.workers is None:
            return int(self.transform is not None)
        return int(self.workers)

    def _samples(self, rows: np.ndarray, seed: list[int], out: np.ndarray | None) -> np.ndarray:
        batch = transforms.Batch(self.x, rows)
        if self.transform is not None:
            batch = transforms.extend(self.transform, batch, np.random.default_rng(seed))
        if out is None:
            out = self._memory.empty(batch.shape, batch.dtype)
        elif out.shape != batch.shape:
            raise ShapeError(f"DataLoader: out must be {batch.shape}, got {out.shape}")
        return batch.images(out)


def _in_groups(make: Callable[[int], Pair], groups: Sequence[range], workers: int,
               ahead: int) -> Generator[Pair, None, None]:
    """``make(number)`` for the numbers of one group after another.

    With workers, these make up to `ahead` more groups than the one whose turn it is.
    """
    def make_all(numbers: range) -> list[Pair]:
        return [make(number) for number in numbers]

    if not workers:
        for numbers in groups:
            yield from make_all(numbers)
        return
    from concurrent.futures import ThreadPoolExecutor

    begun: deque[Future[list[Pair]]] = deque()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="fastdl-loader")
    try:
        for turn in range(len(groups)):
            for numbers in groups[turn + len(begun):turn + ahead + 1]:
                # In the caller's context: backends chosen there hold in the thread as well.
                begun.append(pool.submit(contextvars.copy_context().run, make_all, numbers))
            yield from begun.popleft().result()
    finally:                    # at the end, after an error, and when the caller went away
        pool.shutdown(wait=True, cancel_futures=True)


class _Memory:
    """Memory for arrays, used again when nobody holds the array that was there, nor a part of it.

    The same few pieces serve all batches then, unless somebody keeps these.
    """

    _LINE = 64                  # bytes; arrays begin at a line of the cache
    _HELD_HERE = 2              # references to an unused piece: the list's, and the question's own

    def __init__(self, pieces: int) -> None:
        self._pieces: deque[np.ndarray] = deque(maxlen=pieces)      # then the oldest is let go
        self._lock = threading.Lock()

    def empty(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """`numpy.empty`."""
        size = math.prod(shape) * dtype.itemsize + self._LINE
        with self._lock:
            for i in range(len(self._pieces)):
                if (sys.getrefcount(self._pieces[i]) <= self._HELD_HERE
                        and self._pieces[i].size >= size):
                    piece = self._pieces[i]
                    break
            else:
                piece = np.empty(size, np.uint8)
                self._pieces.append(piece)
            return np.ndarray(shape, dtype, piece, -piece.ctypes.data % self._LINE)
