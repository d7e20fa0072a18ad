"""What a run says: times, ratios within a heat, memory, asked for by case and member."""

import statistics
from collections.abc import Mapping
from typing import Any, NamedTuple

from fastdl.benchmark.steps.networks import CASES, Case

from ..figures import spread
from .members import OTHERS, OURS, PEERS
from .run import VERSUS


class Time(NamedTuple):
    """Of one call of one member."""

    seconds: float
    spread: float               # half the interquartile range, as a part of the median


class Figures:
    """The heats of a run (``run.py``)."""

    def __init__(self, run: Mapping[str, Any]) -> None:
        self.heats: dict[tuple[str, str], dict[str, Any]] = {}
        self.left_out: dict[str, str] = {}
        self.versions: dict[str, str] = {}
        for name, entry in run["cases"].items():
            case, _, other = name.partition(VERSUS)
            if "left_out" in entry:
                self.left_out[name] = entry["left_out"]
            else:
                self.heats[case, other] = entry
                self.versions |= entry["versions"]
        self.cases = [case for case in CASES
                      if any((case.name, other) in self.heats for other in OTHERS)]

    def time(self, case: Case, member: str) -> Time | None:
        """The member's; ours is of all rounds of all heats."""
        seconds = [value for other in OTHERS if member in (OURS, other)
                   for value in self._of(case, other, "seconds", member) or []]
        return Time(statistics.median(seconds), spread(seconds)) if seconds else None

    def _of(self, case: Case, other: str, kind: str, member: str) -> Any:
        return self.heats.get((case.name, other), {}).get(kind, {}).get(member)

    def ratio(self, case: Case, other: str) -> float | None:
        """How many times faster we were in the heat with that member."""
        if (case.name, other) not in self.heats:
            return None
        theirs, ours = (statistics.median(self._of(case, other, "seconds", member))
                        for member in (other, OURS))
        return theirs / ours

    def fastest(self, case: Case) -> tuple[float, str] | None:
        """The least ratio to a peer, and whose it is."""
        return min(((ratio, peer) for peer in PEERS
                    if (ratio := self.ratio(case, peer)) is not None), default=None)

    def resource(self, case: Case, member: str, kind: str) -> float | None:
        """Bytes of memory ("peak") or page faults of a call ("faults"); our largest."""
        found = [resources[kind] for other in OTHERS if member in (OURS, other)
                 if (resources := self._of(case, other, "resources", member))]
        return max(found, default=None)
