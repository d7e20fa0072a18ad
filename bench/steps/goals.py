"""The goals that whole steps were built towards, each with what a run has measured."""

from collections.abc import Iterator

from fastdl.benchmark.steps.networks import LARGE, SMALL, Case, Network

from ..figures import geometric_mean
from .figures import Figures
from .members import COURSE, COURSES_NETWORKS, OURS, PEERS

LEAST = {"SimpleConvNet": 4.0, "DeepConvNet": 2.5, "MLP 784-100×6-10": 5.0, "CIFAR net": 2.5,
         "MNIST net": 2.0}
LEAST_LARGE, LEAST_MEAN, LEAST_COURSE = 1.2, 1.5, 35.0
MOST_MEMORY = 0.8

Row = list[str]


def _row(what: str, least: str, measured: str, met: bool) -> Row:
    return [what, least, measured, "yes" if met else "**no**"]


def _missing(what: str, least: str) -> Row:
    return [what, least, "not measured", "–"]


def _against_peers(figures: Figures, case: Case, least: float) -> Row:
    what, found = f"{case.name}, against the fastest peer", figures.fastest(case)
    if found is None:
        return _missing(what, f"{least:g}×")
    ratio, peer = found
    return _row(what, f"{least:g}×", f"{ratio:.2f}× ({peer})", ratio >= least)


def _mean(figures: Figures, cases: list[Case]) -> Row:
    what = "224 × 224, training: geometric mean"
    ratios = [found[0] for case in cases if (found := figures.fastest(case))]
    if not ratios:
        return _missing(what, f"{LEAST_MEAN:g}×")
    mean = geometric_mean(ratios)
    return _row(what, f"{LEAST_MEAN:g}×", f"{mean:.2f}× of {len(ratios)}", mean >= LEAST_MEAN)


def _against_course(figures: Figures, network: Network) -> Row:
    case = Case(network, training=True)
    what, ratio = f"{case.name}, against {COURSE}", figures.ratio(case, COURSE)
    if ratio is None:
        return _missing(what, f"{LEAST_COURSE:g}×")
    return _row(what, f"{LEAST_COURSE:g}×", f"{ratio:.1f}×", ratio >= LEAST_COURSE)


def _memory(figures: Figures, case: Case) -> Row:
    what, most = f"{case.name}, peak memory, of PyTorch's least", f"≤ {MOST_MEMORY:.0%}"
    ours = figures.resource(case, OURS, "peak")
    theirs = [peak for peer in PEERS if peer.startswith("PyTorch")
              if (peak := figures.resource(case, peer, "peak"))]
    if not ours or not theirs:
        return _missing(what, most)
    part = ours / min(theirs)
    return _row(what, most, f"{part:.0%}", part <= MOST_MEMORY)


def _faults(figures: Figures) -> Row:
    what = "page faults of a warm training step, every network"
    faults = [(count, case.name) for case in figures.cases if case.training
              if (count := figures.resource(case, OURS, "faults")) is not None]
    if not faults:
        return _missing(what, "0")
    most, case = max(faults)
    return _row(what, "0", f"at most {most:.3g} ({case})", most == 0)


def goals(figures: Figures) -> Iterator[Row]:
    """Every goal, in the order of the table: what, at least, measured, reached."""
    for network in SMALL:
        yield _against_peers(figures, Case(network, training=True), LEAST[network.title])
    large = [Case(network, training=True) for network in LARGE]
    for case in large:
        yield _against_peers(figures, case, LEAST_LARGE)
    yield _mean(figures, large)
    for network in LARGE:
        yield _against_peers(figures, Case(network, training=False), LEAST_LARGE)
    for network in SMALL:
        if network.title in COURSES_NETWORKS:
            yield _against_course(figures, network)
    yield from (_memory(figures, case) for case in large if case.network.title == "ResNet-50")
    yield _faults(figures)
