"""One block of memory for all arrays of a plan: those that never live at once share bytes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from ..ops._arrays import LARGE, Array, empty
from .step import Step
from .value import Value

LINE = 64       # bytes; arrays begin where a line of the cache does


def lifetimes(steps: Sequence[Step], inputs: Iterable[Value],
              outputs: Iterable[Value]) -> dict[Value, tuple[int, int]]:
    """For each value of the arena, the first and the last step that touches it.

    Inputs are there before the first step, outputs are wanted after the last.
    """
    lives: dict[Value, tuple[int, int]] = dict.fromkeys(inputs, (-1, -1))
    for number, step in enumerate(steps):
        for value in step.values():
            root = value.root
            if root.in_arena:
                first, _ = lives.get(root, (number, number))
                lives[root] = first, number
    for value in outputs:
        if value.root in lives:
            lives[value.root] = lives[value.root][0], len(steps)
    return lives


def offsets(lives: Mapping[Value, tuple[int, int]]) -> tuple[dict[Value, int], int]:
    """A place for each value, and how many bytes that takes.

    The largest first, each into the lowest gap among those that live at the same time (as "greedy
    by size" in Pisarchyk & Lee, 2020).
    """
    placed: list[tuple[int, int, Value]] = []           # (begin, end, value)
    places: dict[Value, int] = {}
    for value in sorted(lives, key=lambda v: (-v.nbytes, lives[v])):
        first, last = lives[value]
        size = -(-value.nbytes // LINE) * LINE
        begin = 0
        for other_begin, other_end, other in placed:    # in order of `begin`
            other_first, other_last = lives[other]
            if other_last < first or last < other_first:
                continue
            if other_begin - begin >= size:
                break
            begin = max(begin, other_end)
        places[value] = begin
        placed.append((begin, begin + size, value))
        placed.sort(key=lambda entry: entry[:2])
    return places, max((end for _, end, _ in placed), default=0)


def allocate(places: Mapping[Value, int], size: int,
             like: Array | None = None) -> Array:
    """Give every value its array, in an arena of `size` bytes where `like` lies; returns it."""
    arena = empty((max(size, LARGE),), np.uint8, like)      # large ones begin at a line
    for value, offset in places.items():
        value.place(arena, offset)
    return arena
