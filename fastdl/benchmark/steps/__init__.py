"""Whole training steps and predictions, beside PyTorch where it is installed."""

import importlib.util
import statistics
from typing import NamedTuple

from ..text import aligned
from .heats import CHANNELS_LAST, MEMBERS, OURS, TORCH, Turns, heat
from .networks import SMALL, Case

ROUNDS = Turns(rounds=3, block=0.3)


class Row(NamedTuple):
    """A case: seconds of a call, ours and, where it is installed, PyTorch's faster layout."""

    case: Case
    ours: float
    torch: float | None


def compare(threads: int, turns: Turns = ROUNDS, progress: bool = True) -> list[Row]:
    """Time training and inference of the small networks, everyone in a process of its own.

    Parameters
    ----------
    threads : for everybody
    turns : how long everyone is measured
    progress : show a bar

    Raises
    ------
    MemberError
        when a member cannot run a network
    """
    from tqdm import tqdm

    torch = (TORCH, CHANNELS_LAST) if importlib.util.find_spec("torch") else ()
    members = {name: MEMBERS[name] for name in (OURS, *torch)}
    rows = []
    bar = tqdm([Case(network, training) for network in SMALL for training in (True, False)],
               disable=not progress, leave=False)
    for case in bar:
        bar.set_description(case.name)
        seconds = {name: statistics.median(values) for name, values
                   in heat(case, members, threads, turns)["seconds"].items()}
        rows.append(Row(case, seconds[OURS], min((seconds[name] for name in torch), default=None)))
    return rows


def as_table(rows: list[Row]) -> str:
    """`rows` as an aligned text.

    >>> print(as_table([Row(Case(SMALL[0], training=True), 0.002, 0.008)]))
    network, batch              fastdl ms  PyTorch ms  speed
    SimpleConvNet 100 training       2.00        8.00  x4.00
    """
    lines = [("network, batch", "fastdl ms", "PyTorch ms", "speed")]
    for row in rows:
        theirs = ("–", "–") if row.torch is None else (f"{row.torch * 1e3:.2f}",
                                                       f"x{row.torch / row.ours:.2f}")
        lines.append((row.case.name, f"{row.ours * 1e3:.2f}", *theirs))
    return aligned(lines, left=1)
