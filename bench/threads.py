"""From which size on two threads are worth it: the measurement behind WORK_PER_THREAD.

The kernels would not take a second thread for small work, so measure in a build that always does:

    CFLAGS=-DWORK_PER_THREAD=1 python setup.py build_ext --inplace --force
    python -m bench.threads

A row shows one call of a kernel on one thread, and how many times faster it is on two.
"""

import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

import fastdl as fd
from fastdl._kernels.activation import _cython as activation
from fastdl._kernels.gemm import _cython as gemm
from fastdl._kernels.optimizer import _cython as optimizer

ROUNDS, ROUND_SECONDS = 11, 0.002
rng = np.random.default_rng(0)


def normal(*shape: int) -> np.ndarray:
    return rng.standard_normal(shape, np.float32)


def cases() -> Iterator[tuple[str, Callable[[], object]]]:
    """Calls of kernels, from tiny to large."""
    for size in (2**k for k in range(10, 21)):
        x, y = normal(2, size)
        yield f"relu {size}", partial(activation.relu, x, y)
    for size in (2**k for k in range(7, 14)):
        x, y = normal(2, size)
        yield f"sigmoid {size}", partial(activation.sigmoid, x, y)
    for size in (2**k for k in range(9, 17)):
        w, dw, m, v = np.abs(normal(4, size))
        yield f"adam {size}", partial(optimizer.adam_update, w, dw, m, v, lr=1e-9, beta1=0.9,
                                      beta2=0.999, eps=1e-8, weight_decay=0.0, step=9)
    for n in (8, 16, 24, 32, 48, 64, 96, 128, 192):
        a, b, out = normal(3, n, n)
        yield f"gemm {n}x{n}x{n}", partial(gemm.gemm, a, b, None, out, False, False, 1.0, 0.0)
    for rows in (1, 4, 16, 64):
        x, w = normal(rows, 256), normal(128, 256)
        yield f"linear {rows}x256x128", partial(fd.ops.linear, x, w)
    for n, side in ((1, 4), (1, 8), (1, 16), (2, 16), (8, 16)):
        x, w = normal(n, 16, side, side), normal(16, 16, 3, 3)
        yield f"conv2d {x.shape}", partial(fd.ops.conv2d, x, w, padding=1)
    for n, side in ((1, 4), (1, 8), (1, 16), (2, 16), (8, 16)):
        x = normal(n, 16, side, side)
        yield f"max_pool2d {x.shape}", partial(fd.ops.max_pool2d, x, 2)
    for n, side in ((1, 4), (1, 8), (1, 16), (2, 16), (8, 16)):
        x, ones, zeros = normal(n, 16, side, side), np.ones(16, "f4"), np.zeros(16, "f4")
        yield f"batch_norm {x.shape}", partial(fd.ops.batch_norm, x, ones, zeros, training=True)


def microseconds(call: Callable[[], object], calls: int) -> float:
    start = time.perf_counter()
    for _ in range(calls):
        call()
    return (time.perf_counter() - start) / calls * 1e6


def main() -> None:
    before = fd.get_num_threads()
    print(f"{'':32}  1 thread  2 threads")
    for name, call in cases():
        call()
        calls = max(1, int(ROUND_SECONDS * 1e6 / max(microseconds(call, 10), 0.1)))
        times: dict[int, list[float]] = {1: [], 2: []}
        for _ in range(ROUNDS):
            for threads, measured in times.items():
                fd.set_num_threads(threads)
                measured.append(microseconds(call, calls))
        one, two = (statistics.median(measured) for measured in times.values())
        print(f"{name:32} {one:7.2f} µs  x {one / two:.2f}")
    fd.set_num_threads(before)


if __name__ == "__main__":
    main()
