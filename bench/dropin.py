"""Steps of the course's networks: fastdl's drop-in modules beside plain NumPy.

    python -m bench.dropin

A step is what the course's trainer does with a batch of 100: gradients, an update, and the loss
once more. The plain NumPy is what the tests hold the drop-in to, tests/dropin/plain.
"""

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from fastdl.benchmark.text import aligned
from fastdl.dropin import engine
from fastdl.dropin.studyai.deep_convolution_network import DeepConvNet
from fastdl.dropin.studyai.simple_convolution_network import SimpleConvNet
from fastdl.dropin.zero1.common import functions
from fastdl.dropin.zero1.common.multi_layer_net import MultiLayerNet
from fastdl.dropin.zero1.common.optimizer import Adam

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "dropin"))
from plain import networks, optimizers

BATCH, WARM = 100, 3
NETWORKS: dict[str, tuple[Callable[[], Any], Callable[[], Any], tuple[int, ...], int]] = {
    "DeepConvNet": (DeepConvNet, networks.DeepConvNet, (1, 28, 28), 10),
    "SimpleConvNet": (SimpleConvNet, lambda: networks.ShallowConvNet([(30, 5, 0)]), (1, 28, 28),
                      20),
    "MultiLayerNet 784-100×4-10": (
        lambda: MultiLayerNet(784, [100] * 4, 10),
        lambda: networks.MultiLayer([784, *[100] * 4, 10]), (784,), 100),
}


def step_time(network: Any, optimizer: Any, x: np.ndarray, t: np.ndarray, steps: int) -> float:
    """Seconds, the median of so many steps."""
    times = []
    for _ in range(WARM + steps):
        begin = time.perf_counter()
        optimizer.update(network.params, network.gradient(x, t))
        network.loss(x, t)
        times.append(time.perf_counter() - begin)
    return statistics.median(times[WARM:])


def steps() -> list[list[str]]:
    """A row for each network."""
    random = np.random.default_rng(0)
    rows = [["network", "plain NumPy", "fastdl float64", "", "fastdl float32", ""]]
    for name, (ours, plain, shape, count) in NETWORKS.items():
        x = random.random((BATCH, *shape), dtype=np.float32)
        t = random.integers(10, size=BATCH).astype(np.uint8)
        reference = step_time(plain(), optimizers.Adam(0.001), x, t, max(4, count // 3))
        row = [name, f"{reference * 1e3:.2f} ms"]
        for dtype in (None, np.dtype(np.float32)):
            engine.dtype = dtype
            time.sleep(0.1)                     # NumPy's threads wait for more work for a while
            seconds = step_time(ours(), Adam(), x, t, count)
            row += [f"{seconds * 1e3:.2f} ms", f"{reference / seconds:.1f}×"]
        engine.dtype = None
        rows.append(row)
    return rows


def calls() -> list[list[str]]:
    """A row for each size of array that a function is called on."""
    def sigmoid(x: Any) -> Any:
        return 1 / (1 + np.exp(-x))

    rows = [["sigmoid of", "plain NumPy", "fastdl"]]
    for size in (1, 4, 16, 256, 1024, 4096, 65536):
        x = np.random.default_rng(0).standard_normal((1, size))
        repeats = max(20, 20000 // max(1, size // 16))
        best = {}
        for _ in range(5):
            for function in (sigmoid, functions.sigmoid):
                begin = time.perf_counter()
                for _ in range(repeats):
                    function(x)
                seconds = (time.perf_counter() - begin) / repeats
                best[function] = min(seconds, best.get(function, seconds))
        rows.append([f"{size}", *(f"{seconds * 1e6:.2f} µs" for seconds in best.values())])
    return rows


if __name__ == "__main__":
    print(aligned(steps(), 1), aligned(calls(), 1), sep="\n\n")
