"""Steps of the course's networks: fastdl's drop-in modules beside plain NumPy.

    python -m bench.dropin

A step is what the course's trainer does with a batch of 100: gradients, an update, and the loss
once more. The plain NumPy is what the tests hold the drop-in to, tests/dropin/plain. Each member
runs in a process of its own, since threads of one disturb another, and they take turns; the figure
is the best round's median.
"""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from fastdl.benchmark.text import aligned

BATCH, WARM, ROUNDS = 100, 3, 3
MEMBERS = ("plain NumPy", "fastdl float64", "fastdl float32")
STEPS = {"DeepConvNet": 8, "SimpleConvNet": 20, "MultiLayerNet 784-100×4-10": 100}
SIGMOID_SIZES = (1, 4, 16, 256, 1024, 4096, 65536)


def plain_networks() -> list[tuple[Any, Any]]:
    """Networks and their optimizers, in the order of `STEPS`."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "dropin"))
    from plain import networks, optimizers

    made = [networks.DeepConvNet(), networks.ShallowConvNet([(30, 5, 0)]),
            networks.MultiLayer([784, *[100] * 4, 10])]
    return [(network, optimizers.Adam(0.001)) for network in made]


def dropin_networks() -> list[tuple[Any, Any]]:
    """The same of the drop-in."""
    from fastdl.dropin.studyai.deep_convolution_network import DeepConvNet
    from fastdl.dropin.studyai.simple_convolution_network import SimpleConvNet
    from fastdl.dropin.zero1.common.multi_layer_net import MultiLayerNet
    from fastdl.dropin.zero1.common.optimizer import Adam

    made = [DeepConvNet(), SimpleConvNet(), MultiLayerNet(784, [100] * 4, 10)]
    return [(network, Adam()) for network in made]


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
        pairs, count_of = plain_networks(), lambda steps: max(3, steps // 3)
    else:
        from fastdl.dropin import engine
        from fastdl.dropin.zero1.common.functions import sigmoid

        engine.dtype = np.dtype(np.float32) if member.endswith("32") else None
        pairs, count_of = dropin_networks(), int
    times = []
    for (network, optimizer), (name, steps) in zip(pairs, STEPS.items(), strict=True):
        x = images.reshape(BATCH, -1) if name.startswith("Multi") else images
        times.append(step_time(network, optimizer, x, t, count_of(steps)))
    return times + [call_time(sigmoid, random.standard_normal((1, size)))
                    for size in SIGMOID_SIZES]


def table() -> str:
    """Both tables, after all rounds."""
    best: dict[str, list[float]] = {}
    for _ in range(ROUNDS):
        for member in MEMBERS:
            done = subprocess.run([sys.executable, "-m", "bench.dropin", member], check=True,
                                  capture_output=True, text=True)
            times = json.loads(done.stdout)
            best[member] = list(map(min, times, best.get(member, times)))
    plain, double, single = (best[member] for member in MEMBERS)
    networks = [["network", MEMBERS[0], MEMBERS[1], "", MEMBERS[2], ""]]
    for i, name in enumerate(STEPS):
        row = [name, f"{plain[i] * 1e3:.2f} ms"]
        for times in (double, single):
            row += [f"{times[i] * 1e3:.2f} ms", f"{plain[i] / times[i]:.1f}×"]
        networks.append(row)
    calls = [["sigmoid of", MEMBERS[0], "fastdl"]]
    for i, size in enumerate(SIGMOID_SIZES, len(STEPS)):
        calls.append([str(size), f"{plain[i] * 1e6:.2f} µs", f"{double[i] * 1e6:.2f} µs"])
    return f"{aligned(networks, 1)}\n\n{aligned(calls, 1)}"


if __name__ == "__main__":
    print(json.dumps(measured(sys.argv[1])) if sys.argv[1:] else table())
