"""What a plan is a list of."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from .value import Value


@dataclass(eq=False)
class Step:
    """A call of a kernel, or of a function in Python, on values.

    Attributes
    ----------
    name : str
        Of the kernel, or of what the function does.
    where : str
        The layers whose work it is, by their paths.
    function : callable
        Takes `arguments`, arrays in place of values.
    arguments : tuple
        Values, lists of values, and whatever else the function takes.
    phase : str
        "forward", "loss", "backward" or "update".
    flops : float
        Floating-point operations.
    notes : str
        What is fused into it, and how it is computed.
    """

    name: str
    where: str
    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    phase: str
    flops: float = 0.0
    notes: str = ""

    def values(self) -> Iterator[Value]:
        """The values it touches, each as often as it is named."""
        for argument in self.arguments:
            if isinstance(argument, Value):
                yield argument
            elif isinstance(argument, list):
                yield from (part for part in argument if isinstance(part, Value))

    @property
    def bytes(self) -> int:
        """What it must move at least: each array once."""
        return sum({value.root: value.nbytes for value in self.values()}.values())

    def bind(self) -> Callable[[], Any]:
        """The call, ready to be made any number of times; the arena must be there."""
        return partial(self.function, *map(_resolved, self.arguments))


def _resolved(argument: Any) -> Any:
    if isinstance(argument, Value):
        return argument.resolve()
    if isinstance(argument, list):
        return [_resolved(part) for part in argument]
    return argument
