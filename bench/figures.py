"""What a run says: medians, ratios and parts of limits, asked for by case and member."""

import math
import statistics
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from fastdl.benchmark.cases import CASES, Case
from fastdl.benchmark.shapes import Conv

from .members import AUTO, OURS, PEERS, WINOGRAD
from .run import limit_name


class Best(NamedTuple):
    """The fastest of some variants."""

    seconds: float
    spread: float               # half the interquartile range, as a part of the median
    member: str
    variant: str


def spread(values: list[float]) -> float:
    """Half the interquartile range, as a part of the median."""
    if len(values) < 2:
        return 0.0
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return (high - low) / 2 / statistics.median(values)


def geometric_mean(values: Iterable[float]) -> float:
    """NaN of nothing."""
    logs = [math.log(value) for value in values]
    return math.exp(statistics.fmean(logs)) if logs else math.nan


class Figures:
    """The entries of a run (``run.py``), with the cases they are of."""

    def __init__(self, run: Mapping[str, Any]) -> None:
        self.facts = run["facts"]
        self.threads: int = self.facts["threads"]
        self._entries = run["cases"]
        self.cases = [case for case in CASES if case.name in self._entries]

    def best(self, case: Case, members: Iterable[str], *words: str) -> Best | None:
        """The fastest variant of `members` whose name has all of `words`; None where none ran."""
        times = self._entries.get(case.name, {"times": {}})["times"]
        found = [Best(statistics.median(seconds), spread(seconds), member, variant)
                 for member in members for variant, seconds in times.get(member, {}).items()
                 if set(words) <= set(variant.split())]
        return min(found, default=None)

    def variants(self, case: Case, member: str) -> int:
        """In how many ways `member` ran `case`."""
        return len(self._entries[case.name]["times"].get(member, ()))

    def ours(self, case: Case, *words: str, member: str = OURS) -> Best | None:
        """What fastdl does of its own accord: the algorithm is its choice unless `words` say."""
        by_rule = (isinstance(case.shape, Conv) and case.shape.winograd and member == OURS
                   and not {"direct", WINOGRAD} & set(words))
        return self.best(case, [member], *words, *[AUTO] * by_rule)

    def ratio(self, case: Case, *words: str) -> float | None:
        """How many times faster we are than the fastest peer."""
        ours, peer = self.ours(case, *words), self.best(case, PEERS)
        return peer.seconds / ours.seconds if ours and peer else None

    def ratio_of_sums(self, cases: Iterable[Case]) -> float | None:
        """The same for several passes over one shape, each side in one layout throughout."""
        ours, peer = self._sum(cases, [OURS]), self._sum(cases, PEERS)
        return peer / ours if ours and peer else None

    def _sum(self, cases: Iterable[Case], members: Iterable[str]) -> float | None:
        sums = []
        for member in members:
            for layout in ("NCHW", "channels-last"):
                passes = [self.ours(case, layout) if member == OURS else
                          self.best(case, [member], layout) for case in cases]
                if all(passes):
                    sums.append(sum(best.seconds for best in passes if best))
        return min(sums, default=None)

    def limit(self, case: Case, what: str, member: str = OURS) -> float | None:
        """GFLOP/s or GB/s of the loop that took its turn beside `case`."""
        rates = self._entries[case.name]["limits"].get(limit_name(what, member, self.threads))
        return statistics.median(rates) if rates else None

    def part_of_peak(self, case: Case, best: Best | None) -> float | None:
        """GFLOP/s as a part of the FMA loop of the same instruction set and threads."""
        return best and self._part(case, best, case.dtype, case.flops)

    def part_of_bandwidth(self, case: Case, best: Best | None,
                          streamed: bool = False) -> float | None:
        """GB/s, each byte counted once (or as often as it is `streamed`), as a part of axpy's."""
        return best and self._part(case, best, "memory", case.streamed if streamed else case.bytes)

    def _part(self, case: Case, best: Best, what: str, amount: int) -> float | None:
        limit = self.limit(case, what, best.member if "fastdl" in best.member else OURS)
        return amount / best.seconds * 1e-9 / limit if limit else None

    def memory_bound(self, case: Case) -> bool:
        """Whether moving the bytes takes longer than computing, at the limits."""
        arithmetic = self.limit(case, case.dtype) if case.flops else None
        memory = self.limit(case, "memory")
        if not arithmetic or not memory:
            return not case.flops
        return case.bytes / memory > case.flops / arithmetic

    def left_out(self) -> Iterator[tuple[str, str, str, str]]:
        """(case, member, variant, reason) of what was not timed."""
        for name, entry in self._entries.items():
            for member, variants in entry["left_out"].items():
                for variant, reason in variants.items():
                    yield name, member, variant, reason
