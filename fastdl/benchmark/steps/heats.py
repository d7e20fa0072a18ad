"""Heats: two members on one case, each in a process of its own, taking turns.

Ratios are those of one heat, so that a busy minute of the machine hits both. A heat has processes
of its own, because the most memory that a process ever had belongs to one case then; and two at a
time fit into memory whatever the network.
"""

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ..processes import MEMORY_KEPT, Line, MemberError
from ..timing import interleaved
from .networks import Case, description


class Member(NamedTuple):
    """How one of those compared is run."""

    module: str                                     # see `worker`
    options: Mapping[str, Any] = {}                 # of the module
    environment: Mapping[str, str] = MEMORY_KEPT
    only: tuple[str, ...] = ()                      # titles of networks; all unless given
    optional: bool = False                          # only where asked for


HERE = __name__.rpartition(".")[0]
OURS, EAGER = "fastdl", "fastdl, eager"
TORCH, CHANNELS_LAST = "PyTorch", "PyTorch, channels-last"
MEMBERS = {
    OURS: Member(f"{HERE}.with_fastdl"),
    EAGER: Member(f"{HERE}.with_fastdl", {"eager": True}),
    TORCH: Member(f"{HERE}.with_torch"),
    CHANNELS_LAST: Member(f"{HERE}.with_torch", {"channels_last": True}),
}


class Turns(NamedTuple):
    """How long everyone is measured."""

    rounds: int = 5
    block: float = 0.5          # seconds a turn; a longer step is a turn of its own


def heat(case: Case, members: Mapping[str, Member], threads: int, turns: Turns,
         folder: Path | None = None) -> dict[str, Any]:
    """Seconds of a call in each round, resources and first losses, by member.

    Raises
    ------
    MemberError
        when one of them is not there, does not train, or ends; it says who
    """
    layers = description(case.network.build().graph)
    with contextlib.ExitStack() as stack:
        lines = {name: stack.enter_context(_Contender(name, member, threads, folder))
                 for name, member in members.items()}
        losses = {name: line.ask(command="prepare", network=case.network, layers=layers,
                                 training=case.training) for name, line in lines.items()}
        seconds = interleaved({name: line.time for name, line in lines.items()}, turns.rounds,
                              turns.block)
        versions: dict[str, str] = {}
        for line in lines.values():
            versions |= line.facts["versions"]
        return {"seconds": seconds, "losses": losses, "versions": versions,
                "resources": {name: line.ask(command="resources")
                              for name, line in lines.items()}}


class _Contender(Line):
    """A member's process, whose errors say whose they are."""

    def __init__(self, name: str, member: Member, threads: int, folder: Path | None) -> None:
        self._name = name
        options = json.dumps({**member.options, "threads": threads})
        super().__init__(f"{HERE}.worker", [member.module, options], member.environment, threads,
                         folder)

    def ask(self, **request: Any) -> Any:
        try:
            return super().ask(**request)
        except MemberError as error:
            raise MemberError(f"{self._name}: {error}") from None

    def time(self, calls: int) -> float:
        """Seconds of one call."""
        return self.ask(command="time", calls=calls)
