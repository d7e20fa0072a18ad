"""The one source of random numbers: initial weights, shuffling, dropout seeds.

It is a NumPy generator that starts from fresh entropy; `seed` makes runs repeat.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np

_generator: np.random.Generator | None = None           # made when first needed
_of_block: ContextVar[np.random.Generator | None] = ContextVar("fastdl.random", default=None)


def seed(value: int | None = None) -> None:
    """Start the generator anew.

    Parameters
    ----------
    value : any integer of at least 0; None takes fresh entropy

    >>> import fastdl as fd
    >>> fd.seed(0)
    >>> first = fd.random.generator().random()
    >>> fd.seed(0)
    >>> fd.random.generator().random() == first
    True
    """
    global _generator
    if _of_block.get() is not None:
        _of_block.set(np.random.default_rng(value))
    else:
        _generator = np.random.default_rng(value)


@contextmanager
def seeded(value: Any) -> Iterator[None]:
    """A block that draws from a generator of its own; what others draw is not touched by it.

    Parameters
    ----------
    value : what ``numpy.random.default_rng`` takes: an integer of at least 0, or several

    >>> import fastdl as fd
    >>> with fd.random.seeded(0):
    ...     first = fd.random.generator().random()
    >>> with fd.random.seeded(0):
    ...     fd.random.generator().random() == first
    True
    """
    token = _of_block.set(np.random.default_rng(value))
    try:
        yield
    finally:
        _of_block.reset(token)


def generator() -> np.random.Generator:
    """The generator that everything draws from; inside of `seeded`, the block's."""
    global _generator
    if (own := _of_block.get()) is not None:
        return own
    if _generator is None:
        _generator = np.random.default_rng()
    return _generator


def draw_seed() -> int:
    """A 64-bit seed for a counter-based kernel."""
    return int(generator().bit_generator.random_raw())      # quicker than `integers`, and the same


def get_state() -> dict[str, Any]:
    """The generator's state, of plain numbers and strings."""
    return dict(generator().bit_generator.state)


def set_state(state: dict[str, Any]) -> None:
    """Go on from a state that `get_state` returned."""
    generator().bit_generator.state = state
