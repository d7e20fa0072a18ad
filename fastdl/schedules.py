"""Learning-rate schedules: what the learning rate is multiplied by as a training goes on.

A schedule is a function of progress: 0 before the trainer's first epoch, 1 after the last one that
`Trainer.fit` was asked for. What depends on the metrics is a callback: see
`fastdl.callbacks.ReduceLROnPlateau`.
"""

import math
from collections.abc import Callable, Sequence
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


def linear(progress: float) -> float:
    """A straight line from 1 to 0."""
    return 1.0 - progress


def step(at: Sequence[float] = (0.5, 0.75), gamma: float = 0.1) -> Schedule:
    """A schedule that multiplies the rate by `gamma` when each progress of `at` is reached.

    The default is that of He et al. (2016) for CIFAR-10.

    >>> schedule = step((0.5, 0.75), gamma=0.1)
    >>> schedule(0.49), schedule(0.5), round(schedule(0.8), 6)
    (1.0, 0.1, 0.01)
    """
    places = tuple(float(place) for place in at)
    if not all(0 <= place <= 1 for place in places):
        raise ArgumentError(f"step: at must be progress from 0 to 1, got {at!r}")
    return lambda progress: float(gamma) ** sum(progress >= place for place in places)


def warm_up(share: float, then: str | Schedule = "cosine") -> Schedule:
    """A schedule that rises from 0 to 1 over `share` of the training (Goyal et al., 2017).

    Parameters
    ----------
    share : below 1
    then : the schedule of the rest, which is its whole progress

    >>> schedule = warm_up(0.2)
    >>> schedule(0.1), schedule(0.2), schedule(0.6)
    (0.5, 1.0, 0.5)
    """
    if not 0 <= share < 1:
        raise ArgumentError(f"warm_up: share must be in [0, 1), got {share!r}")
    rest = get(then)

    def schedule(progress: float) -> float:
        if progress < share:
            return progress / share
        return rest(min((progress - share) / (1 - share), 1.0))

    return schedule


_BY_NAME: dict[str, Schedule] = {"constant": constant, "cosine": cosine, "linear": linear,
                                 "step": step()}


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
