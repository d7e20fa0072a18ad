"""PyTorch and CuPy beside us in `bench.gpu`: each as fast as it can be had.

PyTorch is asked in either layout of its maps, and the faster is the peer. Its graphs are captured
whole: forward, backward, and the update by a fused optimizer; torch.compile makes graphs of its own
(mode "reduce-overhead") of kernels that it generates, for which it needs a compiler of C and a
minute a network, so it has a part of the run to itself.
"""

import importlib.util
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from .gpu import Bench

Call = Callable[[], Any]
Make = Callable[[], Call]


def fastest(bench: "Bench", peer: str, variants: Mapping[str, Make]) -> tuple[dict[str, Call], str]:
    """The fastest variant of a peer, under its name, and in words which that is.

    One that cannot run is left out, and said.
    """
    found: list[tuple[float, str, Call]] = []
    for title, make in variants.items():
        try:
            with bench.precision("TF32" in peer):
                call = make()
                for _ in range(3):
                    call()
                seconds = min(bench.event_seconds(call, 3, True) for _ in range(3))
            found.append((seconds, title, call))
        except Exception as problem:            # whatever it is, the others go on
            text = (str(problem).splitlines() or [""])[0]
            print(f"{peer}, {title}: {type(problem).__name__}: {text}", flush=True)
    if not found:
        return {}, ""
    _, title, call = min(found, key=lambda each: each[0])
    return {peer: call}, f"{peer}: {title}"


def in_layouts(make: Callable[[bool], Make]) -> dict[str, Make]:
    """A variant for each layout of maps."""
    return {"NCHW": make(False), "channels last": make(True)}


def convolution(bench: "Bench", tensors: list[Any], window: tuple[int, ...]) -> dict[str, Any]:
    """The passes of one, by name: ``(channels_last) -> a function that makes the call``."""
    torch = bench.torch
    pairs = [[number] * 2 for number in window[:3]]

    def laid_out(channels_last: bool) -> list[Any]:
        if not channels_last:
            return tensors
        return [each.contiguous(memory_format=torch.channels_last) for each in tensors]

    def forward(channels_last: bool) -> Make:
        def make() -> Call:
            x, w, _ = laid_out(channels_last)
            return lambda: torch.conv2d(x, w, None, *window)

        return make

    def backward(*wanted: bool) -> Callable[[bool], Make]:
        def variant(channels_last: bool) -> Make:
            def make() -> Call:
                x, w, dy = laid_out(channels_last)
                return lambda: torch.ops.aten.convolution_backward(
                    dy, x, w, None, *pairs, False, [0, 0], window[3], list(wanted)
                )[wanted.index(True)]

            return make

        return variant

    return {"forward": forward, "dgrad": backward(True, False, False),
            "wgrad": backward(False, True, False)}


class _Captured(NamedTuple):
    """A graph, and what its kernels work on, which must live as long."""

    graph: Any
    uses: tuple[Any, ...]

    def __call__(self) -> None:
        self.graph.replay()


class Steps:
    """Training steps of a network in PyTorch, which nobody reads the loss of."""

    def __init__(self, bench: "Bench", network: Any, x: np.ndarray, t: np.ndarray) -> None:
        from fastdl.benchmark.steps.networks import description

        self.bench, self.network, self.x = bench, network, x
        self.layers = description(network.build().graph)
        self.labels = bench.torch.from_numpy(t).cuda()

    def members(self, tf32: bool) -> tuple[dict[str, Call], str]:
        """Eager, and as a captured graph; and in words which variants these are."""
        suffix = " TF32" * tf32
        eager, about = fastest(self.bench, "PyTorch" + suffix, in_layouts(self.eager))
        graph, more = fastest(self.bench, "PyTorch graph" + suffix, in_layouts(self.captured))
        return eager | graph, "; ".join(filter(None, (about, more)))

    def compiled(self) -> tuple[dict[str, Call], str]:
        """By torch.compile, which lays maps out as it likes."""
        return fastest(self.bench, "PyTorch compiled", {"torch.compile": self.by_compiler})

    def eager(self, channels_last: bool) -> Make:
        """Call by call."""
        def make() -> Call:
            loss_of, images, optimizer = self._parts(channels_last)

            def step() -> None:
                optimizer.zero_grad(set_to_none=True)
                loss_of(images).backward()
                optimizer.step()

            return step

        return make

    def captured(self, channels_last: bool) -> Make:
        """All of it in one graph, in which gradients are written and never added to."""
        torch = self.bench.torch

        def make() -> Call:
            loss_of, images, optimizer = self._parts(channels_last, capturable=True)
            side, here = torch.cuda.Stream(), torch.cuda.current_stream()
            side.wait_stream(here)
            with torch.cuda.stream(side):
                for _ in range(3):
                    optimizer.zero_grad(set_to_none=True)
                    loss_of(images).backward()
                    optimizer.step()
            here.wait_stream(side)
            optimizer.zero_grad(set_to_none=True)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                loss_of(images).backward()
                optimizer.step()

            return _Captured(graph, (loss_of, images, optimizer))

        return make

    def by_compiler(self) -> Call:
        """Forward and backward as graphs of compiled kernels, and the optimizer's launch."""
        torch = self.bench.torch
        loss_of, images, optimizer = self._parts(False)
        function = torch.compile(loss_of, mode="reduce-overhead")

        def step() -> None:
            torch.compiler.cudagraph_mark_step_begin()
            optimizer.zero_grad(set_to_none=True)
            function(images).backward()
            optimizer.step()

        return step

    def _parts(self, channels_last: bool, capturable: bool = False) -> tuple[Any, Any, Any]:
        from fastdl.benchmark.steps.with_torch import optimizer_of, prepared

        net, images = prepared(self.layers, self.x, {"channels_last": channels_last})
        net, images = net.cuda(), images.cuda()
        cross_entropy = self.bench.torch.nn.functional.cross_entropy
        return (lambda images: cross_entropy(net(images), self.labels), images,
                optimizer_of(self.network, net, capturable))


def course_convolution(cupy: Any, x: np.ndarray, w: np.ndarray) -> Callable[[], tuple[Any, Any]]:
    """The course's convolution on CuPy, there and back: ``() -> (y, dx)``.

    Its file is loaded once more, and NumPy in it replaced: the course's own advice.
    """
    from .course import layers

    spec: Any = importlib.util.find_spec(layers.__name__)
    code: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(code)
    code.np = _Float32(cupy)
    layer, images = code.Convolution(cupy.asarray(w), 0, 1, 0), cupy.asarray(x)

    def both_ways() -> tuple[Any, Any]:
        y = layer.forward(images, True)
        return y, layer.backward(y)

    return both_ways


class _Float32:
    """CuPy, whose arrays of zeros are float32, as all others are that the course then makes."""

    def __init__(self, cupy: Any) -> None:
        self._cupy = cupy

    def zeros(self, shape: Any) -> Any:
        """As of NumPy, but for the dtype."""
        return self._cupy.zeros(shape, np.float32)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cupy, name)
