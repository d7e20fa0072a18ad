"""Attributes that a script may read but the computation does without."""

from collections.abc import Callable
from typing import Any


class lazy:  # noqa: N801  (used as `property` is)
    """A property computed at each reading, which an assignment replaces.

    >>> class Square:
    ...     side = 3
    ...
    ...     @lazy
    ...     def area(self):
    ...         return self.side**2
    >>> square = Square()
    >>> square.side = 4
    >>> square.area
    16
    >>> square.area = 5
    >>> square.area
    5
    """

    def __init__(self, compute: Callable[[Any], Any]) -> None:
        self._compute = compute
        self.__doc__ = compute.__doc__

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else self._compute(instance)
