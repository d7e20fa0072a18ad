"""How the kernels of the device stand: one command that checks and times everything.

    python -m bench.gpu                                 # eight minutes at most, on a GPU
    python -m bench.gpu --parts gemm conv --budget 120
    python -m bench.gpu --simulate                      # the checks alone, tiny, without a GPU

Peers are what is installed of PyTorch (eager, with TF32 off and on; whole steps as a CUDA graph and
by torch.compile, too) and CuPy (the course's im2col), see `gpu_peers`. Everything is timed by the
device's own events, in one process: medians of rounds, ours and theirs in turns. Limits are
measured in the same run: a large copy, a large matrix product. What was measured is written after
each case (``--json``), so a part that fails, or a budget that ends, costs no more than what it had
not done yet; the last lines say what that is, and the table of goals (`gpu_goals`) what is reached.
"""

import argparse
import contextlib
import json
import os
import statistics
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from . import gpu_goals, gpu_peers

ROUNDS, BLOCK = 7, 0.004            # of each member; seconds of device time in a round, about
TF32_ERROR = 3e-3                   # as a part of the largest value; a factor's is up to 5e-4
Call = Callable[..., Any]
PEERS = ("PyTorch", "PyTorch TF32", "PyTorch graph", "PyTorch graph TF32", "PyTorch compiled",
         "CuPy im2col")
OWN = ("kernel", "cuBLASLt", "kernel TF32", "cuBLASLt TF32")        # what dispatch chooses from
COMPILER_SECONDS = 75               # that torch.compile may take for a network


class Bench:
    """The run: its budget, its peers, and what it has found."""

    def __init__(self, options: argparse.Namespace) -> None:
        import fastdl as fd

        self.fd, self.options = fd, options
        self.end = time.monotonic() + options.budget
        self.simulated = fd.cuda.is_simulated()
        self.rng = np.random.default_rng(0)
        self.absent: dict[str, str] = {}
        self.torch, self.cupy = (None if self.simulated else self._peer(name)
                                 for name in ("torch", "cupy"))
        self.rows: list[dict[str, Any]] = []
        self.skipped: list[str] = []
        self.facts = {**fd.cuda.describe(), "fastdl": fd.__version__, "numpy": np.__version__,
                      "numba-cuda": version("numba-cuda"), "absent": self.absent,
                      **{m.__name__: m.__version__ for m in (self.torch, self.cupy) if m}}
        self.limits: dict[str, float] = {}
        self._allow(False)

    def _peer(self, name: str) -> Any:
        try:
            module = __import__(name)
            if name == "torch" and not module.cuda.is_available():
                raise RuntimeError("it finds no GPU")
            return module
        except Exception as error:      # whatever it is, the others go on
            self.absent[name] = f"{type(error).__name__}: {error}"
            return None

    # ---- arrays ----

    def normal(self, *shape: int) -> np.ndarray:
        """Random numbers, on the host."""
        return self.rng.standard_normal(shape, np.float32)

    def both(self, *arrays: np.ndarray) -> tuple[list[Any], list[Any]]:
        """The arrays on the device, and as tensors that share their memory."""
        ours = [self.fd.cuda.to_device(a) for a in arrays]
        return ours, [self.torch.from_dlpack(a) for a in ours] if self.torch else []

    # ---- time ----

    def event_seconds(self, call: Call, times: int, peer: bool) -> float:
        """Device seconds of a call, of so many one after another."""
        if not peer:
            return self.fd.cuda.seconds(lambda: [call() for _ in range(times)]) / times
        library = self.torch or self.cupy
        begin, end = (library.cuda.Event(enable_timing=True) if library is self.torch
                      else library.cuda.Event() for _ in range(2))
        begin.record()
        for _ in range(times):
            call()
        end.record()
        end.synchronize()
        passed = (begin.elapsed_time(end) if library is self.torch
                  else library.cuda.get_elapsed_time(begin, end))
        return passed * 1e-3 / times

    def measure(self, part: str, case: str, calls: dict[str, Call], *, flops: float = 0.0,
                moved: float = 0.0, error: float = 0.0, note: str = "") -> None:
        """Time everybody in turns; add a row and show it."""
        times, seconds = {}, {name: [] for name in calls}
        if self.simulated:              # its times say nothing
            for name, call in calls.items():
                with self.precision("TF32" in name):
                    call()
            self.rows.append({"part": part, "case": case, "error": error})
            print(f"{part:7} {case}: right, but for {error:.1g}", flush=True)
            return
        for name, call in list(calls.items()):
            try:
                with self.precision("TF32" in name):
                    for _ in range(3):
                        call()
                    once = self.event_seconds(call, 1, name in PEERS)
                times[name] = max(1, min(200, int(BLOCK / max(once, 1e-7))))
            except Exception as problem:
                if name not in PEERS:
                    raise
                note += f" {name}: {type(problem).__name__}."
                del calls[name], seconds[name]
        for _ in range(ROUNDS):
            for name, call in calls.items():
                with self.precision("TF32" in name):
                    seconds[name].append(self.event_seconds(call, times[name], name in PEERS))
        row = {"part": part, "case": case, "error": error, "flops": flops, "bytes": moved,
               "note": note.strip(), "seconds": {name: statistics.median(values)
                                                 for name, values in seconds.items()},
               "rounds": seconds}
        self.rows.append(row)
        self.save()
        print(line_of(row, self.limits), flush=True)

    @contextlib.contextmanager
    def precision(self, tf32: bool) -> Iterator[None]:
        """A context in which all may use TF32, or nobody; outside of all of them nobody may."""
        self._allow(tf32)
        try:
            yield
        finally:
            self._allow(False)

    def _allow(self, tf32: bool) -> None:
        self.fd.cuda.allow_tf32(tf32)
        if self.torch:
            backends = self.torch.backends
            backends.cuda.matmul.allow_tf32 = backends.cudnn.allow_tf32 = tf32
            backends.cudnn.benchmark = True

    # ---- the run ----

    def left(self) -> float:
        """Seconds of the budget."""
        return self.end - time.monotonic()

    def skip(self, what: str, why: str = "the budget is spent") -> None:
        """Note that something is not measured."""
        self.skipped.append(f"{what}: {why}")

    def save(self) -> None:
        """Write everything so far."""
        if self.options.json:
            about = {"facts": self.facts, "limits": self.limits, "rows": self.rows,
                     "skipped": self.skipped}
            Path(self.options.json).write_text(json.dumps(about, indent=1))

    def check(self, case: str, actual: Any, expected: np.ndarray, tolerance: float) -> float:
        """The largest error, as a part of the largest value; raises where it is too large."""
        actual = actual.numpy() if hasattr(actual, "numpy") else np.asarray(actual)
        size = max(np.abs(expected).max(initial=0), 1e-30)
        error = float(np.abs(actual - expected).max(initial=0) / size)
        if not error <= tolerance:
            raise AssertionError(f"{case}: wrong by {error:.2g} of the largest value, more than "
                                 f"{tolerance:.2g}")
        return error


# ---- the parts; each yields once for every case, so that the budget can end it there ----

def compiled(bench: Bench) -> Iterator[None]:
    """How long the first launch takes: kernels are compiled, or read from the disk."""
    x = bench.fd.cuda.to_device(bench.normal(64))
    start = time.perf_counter()
    bench.fd.ops.relu(x)
    bench.fd.cuda.synchronize()
    print(f"first launch of a kernel: {time.perf_counter() - start:.2f} s", flush=True)
    yield


def limits(bench: Bench) -> Iterator[None]:
    """Bytes a second of a large copy, and operations a second of a large product."""
    fd = bench.fd
    if bench.simulated:                 # which has none
        return
    source = fd.cuda.to_device(np.resize(bench.normal(1 << 20), 1 << 28))
    target = fd.cuda.empty(source.shape)
    copy = median_of(lambda: target.copy_from(source), bench)
    bench.limits["bytes/s"] = 2 * source.nbytes / copy
    size = 4096
    (a, b), tensors = bench.both(bench.normal(size, size), bench.normal(size, size))
    for suffix in ("", " TF32"):
        with bench.precision("TF32" in suffix):
            seconds = (median_of(lambda: tensors[0] @ tensors[1], bench, True) if tensors
                       else median_of(lambda: fd.ops.gemm(a, b), bench))
        bench.limits["flop/s" + suffix] = 2 * size**3 / seconds
    bench.facts["product by"] = "cuBLAS" if tensors else "fastdl"
    bench.save()
    print(", ".join(f"{value:.4g} {name}" for name, value in bench.limits.items()), flush=True)
    yield


def median_of(call: Call, bench: Bench, peer: bool = False) -> float:
    """Seconds of a call."""
    call()
    return statistics.median(bench.event_seconds(call, 5, peer) for _ in range(ROUNDS))


def memory(bench: Bench) -> Iterator[None]:
    """Kernels that memory bounds: bytes are those that must move at least."""
    ops, torch = bench.fd.ops, bench.torch
    N, C, H = (1, 2, 4) if bench.simulated else (64, 64, 112)
    x, dy, weight = bench.normal(N, C, H, H), bench.normal(N, C, H, H), bench.normal(C)
    bias = bench.normal(C)
    (dx, ddy, dweight, dbias), tensors = bench.both(x, dy, weight, bias)
    functional = torch.nn.functional if torch else None
    small = slice(0, 2)

    def peers(make: Call) -> dict[str, Call]:
        return {"PyTorch": make()} if tensors else {}

    size = x.nbytes
    error = bench.check("relu", ops.relu(dx), np.maximum(x, 0), 0)
    yield bench.measure("memory", f"ReLU {x.shape}", {
        "fastdl": lambda: ops.relu(dx)} | peers(lambda: lambda: torch.relu(tensors[0])),
        moved=2 * size, error=error)
    y = ops.batch_norm(dx, dweight, dbias, relu=True)
    mean, var = x.mean((0, 2, 3), dtype=float), x.var((0, 2, 3), dtype=float)
    place = (slice(None), None, None)
    exact = (x[small] - mean[place]) / np.sqrt(var + 1e-5)[place] * weight[place] + bias[place]
    error = bench.check("batch norm", y[small], np.maximum(exact, 0), 1e-5)
    yield bench.measure("memory", f"batch norm + ReLU {x.shape}", {
        "fastdl": lambda: ops.batch_norm(dx, dweight, dbias, relu=True)} | peers(
        lambda: lambda: torch.relu_(functional.batch_norm(
            tensors[0], None, None, tensors[2], tensors[3], True))),
        moved=3 * size, error=error, note="x is read twice")
    _, m, r = ops.batch_norm(dx, dweight, dbias, relu=True, return_stats=True)
    yield bench.measure("memory", f"batch norm + ReLU backward {x.shape}", {
        "fastdl": lambda: ops.batch_norm_backward(ddy, dx, dweight, m, r, y=y)} | peers(
        lambda: _backward_of(torch, lambda x, w, b: functional.relu(functional.batch_norm(
            x, None, None, w, b, True), inplace=True), tensors[1], tensors[0], *tensors[2:])),
        moved=7 * size, note="x, dy, y are read twice")
    pooled, argmax = ops.max_pool2d(dx, 2, return_indices=True)
    windows = x.reshape(N, C, H // 2, 2, H // 2, 2).max((3, 5))
    error = bench.check("max pool", pooled, windows, 0)
    yield bench.measure("memory", f"max pool 2x2 {x.shape}", {
        "fastdl": lambda: ops.max_pool2d(dx, 2, return_indices=True)} | peers(
        lambda: lambda: functional.max_pool2d(tensors[0], 2, return_indices=True)),
        moved=size + size // 4 + size // 16, error=error)
    yield bench.measure("memory", f"max pool 2x2 backward {x.shape}", {
        "fastdl": lambda: ops.max_pool2d_backward(pooled, argmax, x.shape, 2)} | peers(
        lambda: _backward_of(torch, lambda x: functional.max_pool2d(x, 2),
                             torch.from_dlpack(pooled), tensors[0])),
        moved=size + size // 4 + size // 16)
    col = ops.im2col(dx[small], 3, 1, 1, transpose=False)
    exact = ops.im2col(x[small], 3, 1, 1, transpose=False)
    error = bench.check("im2col", col, exact, 0)
    part = dx[:max(1, N // 4)]
    yield bench.measure("memory", f"im2col 3x3 {part.shape}", {
        "fastdl": lambda: ops.im2col(part, 3, 1, 1, transpose=False)} | peers(
        lambda: lambda: functional.unfold(tensors[0][:max(1, N // 4)], 3, padding=1)),
        moved=10 * part.nbytes, error=error)
    yield from _adam(bench)


def _backward_of(torch: Any, function: Call, dy: Any, *inputs: Any) -> Call:
    """The gradients of all inputs, by PyTorch."""
    inputs = tuple(each.detach().requires_grad_() for each in inputs)
    y = function(*inputs)
    return lambda: torch.autograd.grad(y, inputs, dy, retain_graph=True)


def _adam(bench: Bench) -> Iterator[None]:
    """The parameters of ResNet-18, in one launch."""
    fd = bench.fd
    shapes = [(3, 5), (40,)] if bench.simulated else [
        w.shape for w in fd.models.resnet18(num_classes=1000).params.values()]
    lists = [[bench.normal(*shape) for shape in shapes] for _ in range(4)]
    lists[3] = [np.square(v) for v in lists[3]]
    there = [[fd.cuda.to_device(a) for a in arrays] for arrays in lists]
    fd.ops.adam_update(*there, step=3)
    fd.ops.adam_update(*lists, step=3)
    error = max(bench.check("Adam", a, b, 1e-5) for a, b in zip(there[0], lists[0], strict=True))
    calls: dict[str, Call] = {"fastdl": lambda: fd.ops.adam_update(*there, step=3)}
    if bench.torch:
        parameters = [bench.torch.from_dlpack(w).requires_grad_() for w in there[0]]
        for parameter, gradient in zip(parameters, there[1], strict=True):
            parameter.grad = bench.torch.from_dlpack(gradient)
        optimizer = bench.torch.optim.Adam(parameters, fused=True)
        calls["PyTorch"] = optimizer.step
    yield bench.measure("memory", f"Adam, {sum(a.size for a in lists[0])} parameters", calls,
                        moved=7 * sum(a.nbytes for a in lists[0]), error=error)


def gemm(bench: Bench) -> Iterator[None]:
    """Products: square ones, and those of dense layers."""
    shapes = [(20, 24, 33)] if bench.simulated else [
        (4096, 4096, 4096), (1024, 1024, 1024), (100, 784, 100), (100, 4320, 100),
        (64, 512, 1000), (8192, 512, 512)]
    for M, K, N in shapes:
        yield _product(bench, M, K, N)


def _product(bench: Bench, M: int, K: int, N: int) -> None:
    from fastdl._kernels.gemm import _cuda

    a, b = bench.normal(M, K), bench.normal(K, N)
    (da, db), tensors = bench.both(a, b)
    case, rows = f"{M} x {K} x {N}", slice(0, 64)
    exact = a[rows].astype(float) @ b
    out = bench.fd.cuda.empty((M, N))

    def by_kernel() -> None:
        _cuda.in_tiles(da, db, None, None, out, False, False, 1.0, 0.0, False)

    def by_library() -> None:
        _cuda.by_library(da, db, None, None, out, False, False, 1.0, 0.0, False)

    calls: dict[str, Call] = {"fastdl": lambda: bench.fd.ops.gemm(da, db), "kernel": by_kernel}
    if _cuda.library():
        calls["cuBLASLt"] = by_library
    error = bench.check(case, calls["fastdl"]()[rows], exact, 1e-5)
    with bench.precision(True):
        rough = bench.check(f"{case} TF32", calls["fastdl"]()[rows], exact, TF32_ERROR)
    calls |= {f"{name} TF32": call for name, call in calls.items()}
    if tensors:
        calls |= dict.fromkeys(("PyTorch", "PyTorch TF32"), lambda: tensors[0] @ tensors[1])
    flops = 2.0 * M * N * K
    bench.measure("gemm", case, calls, flops=flops, error=error, note=f"TF32: error {rough:.1g}")
    # Once more as graphs, in which nobody waits for the host: so the two are told apart.
    ours = {}
    for name, call in calls.items():
        if "PyTorch" not in name:
            with bench.precision("TF32" in name):
                ours[name] = _replayed(bench, call)
    bench.measure("dispatch", f"{case}, replayed", ours, flops=flops, error=error)


def _replayed(bench: Bench, call: Call) -> Call:
    """The call as a graph."""
    graph = bench.fd.cuda.Replay()
    for _ in range(2):
        graph.run([call])
    return lambda: graph.run([call])


def conv(bench: Bench) -> Iterator[None]:
    """The convolutions of ResNet-18, ResNet-50 and VGG-16, each pass by itself."""
    from fastdl.benchmark.shapes import Conv, convolutions

    wanted = {"resnet18", "resnet50", "vgg16"}
    shapes = [shape for shape, sets in convolutions().items() if wanted & set(sets)]
    if bench.simulated:
        shapes = [Conv(1, 4, 5, 4, 5, 3, 1, 1, 1, 1, True),
                  Conv(1, 4, 5, 5, 4, 3, 2, 1, 1, 1, False)]
    for shape in shapes:
        yield from _passes(bench, shape)


def _passes(bench: Bench, shape: Any) -> Iterator[None]:
    ops = bench.fd.ops
    x, w, dy = bench.normal(*shape.x), bench.normal(*shape.w), bench.normal(*shape.y)
    (dx, dw, ddy), tensors = bench.both(x, w, dy)
    window = shape.window
    ours: dict[str, Call] = {
        "forward": lambda: ops.conv2d(dx, dw, None, *window),
        "dgrad": lambda: _raw(bench, "input", ddy, dw, dx, window),
        "wgrad": lambda: _raw(bench, "weight", ddy, dx, dw, window)}
    theirs = gpu_peers.convolution(bench, tensors, window) if tensors else {}
    for name, call in ours.items():
        with bench.precision(False):
            if tensors:
                expected = theirs[name](False)()().cpu().numpy()
            else:
                expected = _on_host(bench, name, x, w, dy, window)
        error = bench.check(f"{name} {shape}", call(), expected, 1e-4)
        with bench.precision(True):
            rough = bench.check(f"{name} {shape} TF32", call(), expected, TF32_ERROR)
        calls, notes = {"fastdl": call, "fastdl TF32": call}, [f"TF32: error {rough:.1g}"]
        for peer in ("PyTorch", "PyTorch TF32") if tensors else ():
            found, about = gpu_peers.fastest(bench, peer, gpu_peers.in_layouts(theirs[name]))
            calls |= found
            notes.append(about)
        yield bench.measure("conv", f"{name} {shape}", calls, flops=shape.flops, error=error,
                            note="; ".join(notes))


def _raw(bench: Bench, what: str, dy: Any, other: Any, like: Any, window: Any) -> Any:
    """One of the gradients alone."""
    from fastdl._kernels.conv import _cuda

    result = bench.fd.cuda.empty(like.shape)
    pairs = [(number, number) for number in window[:3]]
    if what == "input":
        _cuda.conv2d_backward_input(dy, other, None, None, result, *pairs, window[3], "auto")
    else:
        _cuda.conv2d_backward_weight(dy, other, result, None, *pairs, window[3], "auto")
    return result


def _on_host(bench: Bench, name: str, x: Any, w: Any, dy: Any, window: Any) -> np.ndarray:
    ops = bench.fd.ops
    x, w, dy = (a.astype(float) for a in (x, w, dy))
    if name == "forward":
        return ops.conv2d(x, w, None, *window)
    return ops.conv2d_backward(dy, x, w, *window)[name == "wgrad"]


def _networks(bench: Bench) -> list[Any]:
    from fastdl.benchmark.steps.networks import SMALL, Network

    if bench.simulated:
        return [Network("MLP", "mlp", 3, 1, 2, 4, "adam", {"hidden_sizes": [5]})]
    return [*SMALL[:3], Network("ResNet-18", "resnet18", 64, 3, 224, 1000, "momentum")]


def _batch(bench: Bench, network: Any) -> tuple[np.ndarray, np.ndarray]:
    x = bench.normal(network.batch, network.channels, network.size, network.size)
    return x, bench.rng.integers(0, network.classes, network.batch)


def steps(bench: Bench) -> Iterator[None]:
    """Whole training steps: ours one graph and the optimizer's launch; nobody reads the loss.

    The last network's with TF32, too.
    """
    networks = _networks(bench)
    for network in networks:
        batch, notes = _batch(bench, network), []
        calls, error = _ours(bench, network, *batch)
        if network is networks[-1]:
            with bench.precision(True):
                calls["fastdl TF32"] = _ours(bench, network, *batch)[0]["fastdl"]
        if bench.torch:
            theirs = gpu_peers.Steps(bench, network, *batch)
            for tf32 in (False, True):
                found, about = theirs.members(tf32)
                calls |= found
                notes.append(about)
        yield bench.measure("steps", f"{network.title}, batch {network.batch}", calls, error=error,
                            note="; ".join(filter(None, notes)))


def torch_compile(bench: Bench) -> Iterator[None]:
    """The steps once more, beside those that torch.compile makes."""
    for network in _networks(bench):
        what = f"{network.title}, batch {network.batch}, beside torch.compile"
        if bench.torch is None:
            bench.skip(what, "without PyTorch")
        elif bench.left() < COMPILER_SECONDS:
            bench.skip(what, f"it may take {COMPILER_SECONDS} s, and {bench.left():.0f} are left")
        else:
            batch = _batch(bench, network)
            calls, error = _ours(bench, network, *batch)
            found, _ = gpu_peers.Steps(bench, network, *batch).compiled()
            yield bench.measure("steps", what, calls | found, error=error)


def _ours(bench: Bench, network: Any, x: np.ndarray,
          t: np.ndarray) -> tuple[dict[str, Call], float]:
    fd, losses = bench.fd, []
    for device in ("cpu", "cuda") if network.size < 100 else ("cuda",):
        fd.seed(0)
        kinds = {"adam": fd.optimizers.Adam, "momentum": fd.optimizers.Momentum}
        optimizer = kinds[network.optimizer](lr=network.learning_rate)
        trainer = fd.Trainer(network.build(), optimizer=optimizer, device=device)
        losses.append([trainer.step(x, t) for _ in range(3)])
    if not np.isfinite(losses).all():
        raise AssertionError(f"{network.title}: losses {losses}")
    error = bench.check(network.title, losses[-1], np.array(losses[0]), 1e-3)
    xs = trainer.net.as_inputs(fd.cuda.to_device(x))
    labels, plan = fd.cuda.to_device(t), trainer.net.plans.get(xs, trainer.loss)

    def step() -> None:
        plan.loss.take(labels)
        plan.feed(xs)
        plan.run()
        trainer._update(plan)

    return {"fastdl": step}, error


def course(bench: Bench) -> Iterator[None]:
    """A convolution as courses teach it, forward and backward, with CuPy in NumPy's place."""
    fd, cupy = bench.fd, bench.cupy
    shape = ((2, 1, 6, 6), (3, 1, 3, 3)) if bench.simulated else ((100, 1, 28, 28), (30, 1, 5, 5))
    x, w = bench.normal(*shape[0]), bench.normal(*shape[1])
    (dx, dw), _ = bench.both(x, w)
    y = fd.ops.conv2d(dx, dw)
    exact = fd.ops.conv2d(x.astype(float), w.astype(float))
    error = bench.check("course", y, exact, 1e-5)
    calls: dict[str, Call] = {"fastdl": lambda: (fd.ops.conv2d(dx, dw),
                                                 fd.ops.conv2d_backward(y, dx, dw))}
    if cupy:
        calls["CuPy im2col"] = by_course = gpu_peers.course_convolution(cupy, x, w)
        bench.check("the course on CuPy", cupy.asnumpy(by_course()[0]), exact, 1e-5)
    yield bench.measure("course", f"{x.shape}, {w.shape}, there and back", calls, error=error)


PARTS = {part.__name__: part for part in (compiled, limits, gemm, memory, steps, course, conv,
                                          torch_compile)}


# ---- what is said ----

def line_of(row: dict[str, Any], limits: dict[str, float]) -> str:
    """A row in words."""
    seconds = row["seconds"]
    ours = seconds["fastdl"]
    texts = [f"{row['part']:7} {row['case']:44} {1e6 * ours:10.1f} µs"]
    if row["flops"] and limits.get("flop/s"):
        texts.append(f"{row['flops'] / ours / limits['flop/s']:6.1%} of the product's")
    if row["bytes"] and limits.get("bytes/s"):
        texts.append(f"{row['bytes'] / ours / limits['bytes/s']:6.1%} of the copy's")
    texts += [f"{name} {1e6 * value:.1f} µs (ours is {value / ours:.2f} x as fast)"
              for name, value in seconds.items() if name != "fastdl"]
    return "; ".join([*texts, row["note"]] if row["note"] else texts)


def table(bench: Bench) -> str:
    """All rows in Markdown, those in TF32 apart, with what they were measured on."""
    facts = ", ".join(f"{key} {value}" for key, value in bench.facts.items() if value)
    if bench.simulated:
        return f"{facts}: {len(bench.rows)} cases are right; nothing was measured.\n"
    limit = "; ".join(f"{value:.4g} {name}" for name, value in bench.limits.items())
    lines = [facts, "", f"Limits of this run: {limit}. Ratios above 1: fastdl is faster."]
    for title, suffix in (("", ""), ("In TF32:", " TF32")):
        rows = [row for row in bench.rows if "fastdl" + suffix in row["seconds"]]
        if rows:
            lines += ["", title, ""] if title else [""]
            lines += _lines(rows, bench.limits, suffix)
    return "\n".join(lines) + "\n"


def _lines(rows: list[dict[str, Any]], limits: dict[str, float], suffix: str) -> list[str]:
    """A table of rows, of the members whose names end so."""
    peers = [peer for peer in (*OWN, *PEERS) if ("TF32" in peer) == ("TF32" in suffix)]
    lines = ["| | µs | GFLOP/s | GB/s | of the limit | " + " | ".join(peers) + " | error |",
             "| --- |" + " --- |" * (5 + len(peers))]
    for row in rows:
        seconds = row["seconds"]
        ours = seconds["fastdl" + suffix]
        rates = [row[what] / ours for what in ("flops", "bytes")]
        parts = [rate / limits[name] for rate, name in zip(rates, ("flop/s" + suffix, "bytes/s"),
                                                           strict=True)
                 if rate and limits.get(name)]
        ratios = [f"{seconds[peer] / ours:.2f}" if peer in seconds else "" for peer in peers]
        cells = [row["case"], f"{1e6 * ours:.1f}", *(f"{rate * 1e-9:.0f}" if rate else ""
                                                     for rate in rates),
                 f"{max(parts):.0%}" if parts else "", *ratios,
                 "" if suffix else f"{row['error']:.1g}"]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def plot(bench: Bench, path: str) -> None:
    """A bar for each case and peer: how many times as fast as the peer ours is."""
    from matplotlib.figure import Figure

    rows = [row for row in bench.rows if len(row.get("seconds", ())) > 1]
    figure = Figure(figsize=(8, 1 + 0.2 * max(len(rows), 1)), layout="constrained")
    axes = figure.subplots()
    for peer in PEERS:
        places = [i for i, row in enumerate(rows) if peer in row["seconds"]]
        axes.plot([rows[i]["seconds"][peer] / rows[i]["seconds"]["fastdl"] for i in places], places,
                  "o", label=peer)
    axes.axvline(1, color="gray")
    axes.set_yticks(range(len(rows)), [row["case"] for row in rows], fontsize=6)
    axes.set(xscale="log", xlabel="times as fast as the peer")
    axes.invert_yaxis()
    if rows:
        axes.legend()
    figure.savefig(path, dpi=110, metadata={"Software": None})


def main(arguments: list[str] | None = None) -> int:
    """The command; 1 where a part failed."""
    parser = argparse.ArgumentParser(prog="python -m bench.gpu", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--budget", type=float, default=450, help="seconds")
    parser.add_argument("--simulate", action="store_true", help="tiny, in numba's simulator")
    parser.add_argument("--json", default="gpu.json", help="where to write what was measured")
    parser.add_argument("-o", "--output", help="where to write the table, too")
    parser.add_argument("--plot", help="where to draw the ratios")
    options = parser.parse_args(arguments)
    if options.simulate:
        os.environ["NUMBA_ENABLE_CUDASIM"] = "1"        # before numba is imported
    import fastdl as fd

    if reason := fd.cuda.why_not():
        print(reason, file=sys.stderr)
        return 2
    bench, failed = Bench(options), []
    print(", ".join(f"{key}: {value}" for key, value in bench.facts.items()), flush=True)
    for name in options.parts:
        if bench.left() <= 0:
            bench.skip(name)
            continue
        try:
            for done, _ in enumerate(PARTS[name](bench), 1):
                if bench.left() <= 0:
                    bench.skip(f"{name}, what comes after {done} cases")
                    break
        except Exception as error:              # the other parts are of use without this one
            failed.append(name)
            print(f"{name} failed: {type(error).__name__}: {error}", flush=True)
            traceback.print_exc()
    bench.save()
    text = table(bench)
    if not bench.simulated:
        text += "\n" + gpu_goals.table(bench.rows, bench.limits)
    print(text)
    if options.output:
        Path(options.output).write_text(text)
    if options.plot:
        plot(bench, options.plot)
    for title, names in (("failed", failed), ("skipped", bench.skipped)):
        print(f"{title}: {'; '.join(names) or 'nothing'}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
