"""Learning-rate schedules: what the learning rate is multiplied by as a training goes on.

A schedule is a function of progress: 0 before the trainer's first epoch, 1 after the last one that
`Trainer.fit` was asked for.
"""

import math
from collections.abc import Callable
from typing import TypeAlias

from .errors import ArgumentError

Schedule: TypeAlias = Callable[[float], float]


def constant(progress: float) -> float:
    """Always 1."""
    return 1.0


def cosine(progress: float) -> float:
    """Half a cosine from 1 to 0 (Loshchilov & Hutter, 2017).

    >>> cosine(0.0), cosine(0.5), cosine(1.0)
    (1.0, 0.5, 0.0)
    """
    return round((1 + math.cos(math.pi * progress)) / 2, 15)


_BY_NAME: dict[str, Schedule] = {"constant": constant, "cosine": cosine}


def names() -> tuple[str, ...]:
    """The names that `get` knows."""
    return tuple(_BY_NAME)


def get(schedule: str | Schedule) -> Schedule:
    """The schedule of that name, or the function given."""
    if callable(schedule):
        return schedule
    try:
        return _BY_NAME[schedule]
    except (KeyError, TypeError):
        raise ArgumentError(f"unknown schedule {schedule!r}; there are: {', '.join(_BY_NAME)}, "
                            "or a function of progress") from None
