"""Steps of the course's networks: fastdl's drop-in modules beside plain NumPy.

    python -m bench.dropin                              # under a minute
    python -m bench.dropin -o docs/results.md           # into its place in the page

A step is what the course's trainer does with a batch of 100: gradients, an update, and the loss
once more. The plain NumPy is what the tests hold the drop-in to, as ``python`` runs it; ours is
as ``fastdl run`` runs it, which lets the process keep freed memory. Each member runs in a process
of its own, since threads of one disturb another, and they take turns; the figure is the best
round's median.
"""

import argparse
import datetime
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import fastdl as fd

from . import pages
from .record import facts_of_the_machine

NAME = "bench.dropin"
BATCH, WARM, ROUNDS = 100, 2, 3
MEMBERS = ("plain NumPy", "fastdl float64", "fastdl float32")
STEPS = {"DeepConvNet": 10, "SimpleConvNet": 20, "MultiLayerNet 784-100×4-10": 100}
SIGMOID_SIZES = (1, 4, 16, 256, 1024, 4096, 65536)


Makers = tuple[list[Callable[[], Any]], Callable[[], Any]]


def plain_makers() -> Makers:
    """Of the networks, in the order of `STEPS`, and of an optimizer for each."""
    from .course import networks, optimizers

    return [networks.DeepConvNet, lambda: networks.ShallowConvNet([(30, 5, 0)]),
            lambda: networks.MultiLayer([784, *[100] * 4, 10])], lambda: optimizers.Adam(0.001)


def dropin_makers() -> Makers:
    """The same of the drop-in."""
    from fastdl.dropin.studyai.deep_convolution_network import DeepConvNet
    from fastdl.dropin.studyai.simple_convolution_network import SimpleConvNet
    from fastdl.dropin.zero1.common.multi_layer_net import MultiLayerNet
    from fastdl.dropin.zero1.common.optimizer import Adam

    return [DeepConvNet, SimpleConvNet, lambda: MultiLayerNet(784, [100] * 4, 10)], Adam


def step_time(network: Any, optimizer: Any, x: np.ndarray, t: np.ndarray, steps: int) -> float:
    """Seconds, the median of so many steps."""
    times = []
    for _ in range(WARM + steps):
        begin = time.perf_counter()
        optimizer.update(network.params, network.gradient(x, t))
        network.loss(x, t)
        times.append(time.perf_counter() - begin)
    return statistics.median(times[WARM:])


def call_time(function: Callable[[Any], Any], x: np.ndarray) -> float:
    """Seconds of a call, in a loop of them."""
    repeats = max(20, 20000 // max(1, x.size // 16))
    begin = time.perf_counter()
    for _ in range(repeats):
        function(x)
    return (time.perf_counter() - begin) / repeats


def measured(member: str) -> list[float]:
    """Seconds of a step for each network, then of `sigmoid` for each size."""
    random = np.random.default_rng(0)
    t = random.integers(10, size=BATCH).astype(np.uint8)
    images = random.random((BATCH, 1, 28, 28), dtype=np.float32)

    def sigmoid(x: Any) -> Any:
        return 1 / (1 + np.exp(-x))

    if member == "plain NumPy":
        (networks, optimizer), count_of = plain_makers(), lambda steps: max(3, steps // 4)
    else:
        from fastdl.dropin import engine
        from fastdl.dropin.zero1.common.functions import sigmoid

        fd.backend.keep_freed_memory()
        engine.dtype = np.dtype(np.float32) if member.endswith("32") else None
        (networks, optimizer), count_of = dropin_makers(), int
    times = []
    for make, (name, steps) in zip(networks, STEPS.items(), strict=True):
        x = images.reshape(BATCH, -1) if name.startswith("Multi") else images
        times.append(step_time(make(), optimizer(), x, t, count_of(steps)))
    return times + [call_time(sigmoid, random.standard_normal((1, size)))
                    for size in SIGMOID_SIZES]


def all_rounds() -> dict[str, list[float]]:
    """What `measured` gives for each member, the best of all rounds."""
    best: dict[str, list[float]] = {}
    for _ in range(ROUNDS):
        for member in MEMBERS:
            done = subprocess.run([sys.executable, "-m", "bench.dropin", member], check=True,
                                  capture_output=True, text=True)
            times = json.loads(done.stdout)
            best[member] = list(map(min, times, best.get(member, times)))
    return best


def markdown(best: dict[str, list[float]]) -> str:
    """The section of a page."""
    plain, double, single = (best[member] for member in MEMBERS)
    steps = [[name, f"{plain[i] * 1e3:.2f} ms",
              *(f"{times[i] * 1e3:.2f} ms, {plain[i] / times[i]:.1f}×"
                for times in (double, single))] for i, name in enumerate(STEPS)]
    calls = [[str(size), f"{plain[i] * 1e6:.2f} µs", f"{double[i] * 1e6:.2f} µs"]
             for i, size in enumerate(SIGMOID_SIZES, len(STEPS))]
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    run = {"facts": facts_of_the_machine(fd.get_num_threads()), "cases": {"all": {"at": now}}}
    lines = [*pages.header(run, {"fastdl": fd.__version__, "numpy": np.__version__}),
             f"- batch {BATCH}; the best of {ROUNDS} rounds' medians; × is how many times faster"]
    return pages.with_sections(lines, [
        ("A step", pages.table(["network", *MEMBERS], steps)),
        ("A call of `sigmoid`", pages.table(["elements", *MEMBERS[:2]], calls))])


def main() -> None:
    """The command line of ``python -m bench.dropin``."""
    parser = argparse.ArgumentParser(prog=f"python -m {NAME}", description=__doc__)
    parser.add_argument("member", nargs="?", choices=MEMBERS,
                        help="measure this one alone, and print its figures as JSON")
    parser.add_argument("-o", "--output", type=Path,
                        help="write the section here, not to stdout; where the file has a place "
                             "for it, only that is replaced")
    chosen = parser.parse_args()
    if chosen.member:
        print(json.dumps(measured(chosen.member)))
    else:
        pages.publish(markdown(all_rounds()), NAME, chosen.output)


if __name__ == "__main__":
    main()
