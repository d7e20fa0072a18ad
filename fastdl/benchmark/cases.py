"""What is timed: one kernel on arrays of one shape and dtype, and how much work that is.

An operation with gradients is several cases, named as its kernels are (``relu``,
``relu_backward``): a fast forward pass hides no slow backward pass.
"""

import math
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np

from .._kernels._table import OPERATIONS
from ..ops._arrays import empty
from .shapes import Conv, Gemm, Sweep, convolutions, products, sweeps

SHORT = "short"                 # the set that `fastdl bench` times
CONV_PASSES = ("conv2d", "conv2d_backward_input", "conv2d_backward_weight")
WHOLE_BACKWARD = "conv2d_backward"      # both gradients, as a user calls them
LAYOUTS = ("NCHW", "channels-last")
MAPS = ("x", "y", "dy", "residual")     # the arrays that have a layout

_POSITIVE = {"running_var", "rstd", "v"}
_FAMILIES = {kernel: operation.folder for operation in OPERATIONS.values()
             for kernel in operation.kernels} | {WHOLE_BACKWARD: "conv"}
_BACKWARD = {"max_pool2d", "avg_pool2d", "batch_norm", "relu", "sigmoid"}

# Arrays of x's size that a sweep must read and write at least, and how many it moves when each
# pass over maps beyond the caches reads them again. Those with windows are counted below.
_STREAMS = {"batch_norm": (2, 3), "batch_norm_backward": (3, 5), "relu": (2, 2),
            "relu_backward": (3, 3), "sigmoid": (2, 2), "sigmoid_backward": (3, 3),
            "dropout": (2, 2), "softmax_cross_entropy": (2, 2), "adam_update": (7, 7),
            "momentum_update": (5, 5), "sgd_update": (3, 3)}


class Case(NamedTuple):
    """A kernel on arrays of one shape."""

    operation: str
    shape: Conv | Gemm | Sweep
    sets: tuple[str, ...]
    dtype: str = "float32"

    @property
    def name(self) -> str:
        """Kernel, shape and dtype: of one case only."""
        return f"{self.operation} {self.shape} {self.dtype}"

    @property
    def family(self) -> str:
        """The folder of the kernel."""
        return _FAMILIES[self.operation]

    @property
    def layouts(self) -> tuple[str, ...]:
        """Those in which to run it; where its arrays have none, the first."""
        maps = not isinstance(self.shape, Gemm) and len(self.shape.x) == 4
        return LAYOUTS if maps and self.family not in ("im2col", "dropout") else LAYOUTS[:1]

    @property
    def flops(self) -> int:
        """Of the direct algorithm; 0 where only bytes count."""
        if isinstance(self.shape, Sweep):
            return 0
        return self.shape.flops * (2 if self.operation == WHOLE_BACKWARD else 1)

    @property
    def bytes(self) -> int:
        """What must be read and written, each byte once."""
        return _moved(self.operation, self.shape, self.dtype)[0]

    @property
    def streamed(self) -> int:
        """Bytes that move when no cache keeps a map from one pass over it to the next."""
        return _moved(self.operation, self.shape, self.dtype)[1]

    @property
    def terms(self) -> int:
        """The longest sum behind one value: what the rounding of results grows with."""
        shape = self.shape
        if isinstance(shape, Gemm):
            return shape.K
        if isinstance(shape, Conv):
            OC, *taps = shape.w
            gradient = OC // shape.groups * shape.K * shape.K
            pixels = shape.N * math.prod(shape.y[2:])
            return {"conv2d": math.prod(taps), "conv2d_backward_input": gradient,
                    "conv2d_backward_weight": pixels,
                    WHOLE_BACKWARD: max(gradient, pixels)}[self.operation]
        if shape.operation == "batch_norm":
            return math.prod(shape.x) // shape.C
        return shape.C if shape.operation == "softmax_cross_entropy" else max(1, shape.K ** 2)

    def arrays(self) -> dict[str, np.ndarray]:
        """New random arguments by name, in NCHW; the same values at every call."""
        rng = np.random.default_rng(0)
        dtype: Any = self.dtype
        arrays = {name: rng.standard_normal(dtype=dtype, out=empty(shape, dtype))
                  for name, shape in _arguments(self.operation, self.shape).items()}
        for name in _POSITIVE & arrays.keys():
            np.abs(arrays[name], out=arrays[name])
        if self.operation == "softmax_cross_entropy":
            N, C = arrays["x"].shape
            arrays["t"] = rng.integers(0, C, N)
        return arrays


def _moved(operation: str, shape: Conv | Gemm | Sweep, dtype: str) -> tuple[int, int]:
    """Bytes to move with every byte once, and with maps read again at each pass."""
    itemsize = np.dtype(dtype).itemsize
    if isinstance(shape, Gemm):
        sizes = shape.M * shape.K + shape.K * shape.N + shape.M * shape.N
        return itemsize * sizes, itemsize * sizes
    if isinstance(shape, Conv):
        sizes = sum(map(math.prod, (shape.x, shape.w, shape.y)))
        sizes += math.prod(shape.x) + math.prod(shape.w) if operation == WHOLE_BACKWARD else 0
        return itemsize * sizes, itemsize * sizes
    size = math.prod(shape.x)
    if "pool" in operation:
        windows = shape.N * shape.C * math.prod(shape.pixels)
        argmax = windows if "max" in operation else 0
        return (itemsize * (size + windows) + argmax,) * 2
    if "col" in operation:
        columns = shape.N * shape.C * shape.K ** 2 * math.prod(shape.pixels)
        return (itemsize * (size + columns),) * 2
    once, streamed = _STREAMS[operation]
    # A residual is read going forward; its gradient is written, and y read, going back.
    residual = shape.fused.startswith("add")
    masked = bool(shape.fused) and operation.endswith("_backward")
    return (itemsize * size * (once + residual + masked),
            itemsize * size * (streamed + residual + 2 * masked))


def _arguments(operation: str, shape: Conv | Gemm | Sweep) -> dict[str, tuple[int, ...]]:
    """Shapes of the real arrays that a kernel reads."""
    if isinstance(shape, Gemm):
        M, K, N = shape[:3]
        return {"a": (K, M) if shape.trans_a else (M, K), "b": (N, K) if shape.trans_b else (K, N)}
    if isinstance(shape, Conv):
        if operation == "conv2d":
            return {"x": shape.x, "w": shape.w} | ({"b": shape.w[:1]} if shape.bias else {})
        return {"x": shape.x, "w": shape.w, "dy": shape.y}
    if shape.operation == "batch_norm":
        maps, channels = ((("x", "dy", "y"), ("weight", "mean", "rstd"))
                          if operation.endswith("_backward") else
                          (("x", "residual"), ("weight", "bias", "running_mean", "running_var")))
        return dict.fromkeys(maps, shape.x) | dict.fromkeys(channels, (shape.C,))
    if "pool" in operation:
        return {"x": shape.x} | ({"dy": (*shape.x[:2], *shape.pixels)}
                                 if operation.endswith("_backward") else {})
    if operation == "col2im":
        return {"col": (shape.N, shape.C * shape.K ** 2, math.prod(shape.pixels))}
    if operation.endswith("_update"):
        return dict.fromkeys(("w", "dw", "m", "v"), shape.x)
    return dict.fromkeys(("dy", "y") if operation.endswith("_backward") else ("x",), shape.x)


def _cases() -> Iterator[Case]:
    for gemm, sets in products().items():
        for dtype in ("float32", "float64"):
            yield Case("gemm", gemm, tuple(sets), dtype)
    for conv, sets in convolutions().items():
        for operation in CONV_PASSES:
            yield Case(operation, conv, tuple(sets))
    for sweep, sets in sweeps().items():
        yield Case(sweep.operation, sweep, tuple(sets))
        if sweep.operation in _BACKWARD:
            yield Case(f"{sweep.operation}_backward", sweep, tuple(sets))


CASES = tuple(_cases())


def select(families: Iterable[str] = (), sets: Iterable[str] = ()) -> list[Case]:
    """The cases of these families, and of at least one of these sets; all where none are named."""
    families, sets = set(families), set(sets)
    return [case for case in CASES
            if (not families or case.family in families)
            and (not sets or not sets.isdisjoint(case.sets))]


def short() -> list[Case]:
    """Few and small: what `fastdl bench` times. The gradients of conv2d are one case there."""
    chosen = [case for case in select(sets=[SHORT])
              if case.dtype == "float32" and case.operation not in CONV_PASSES[1:]]
    place = next(i for i, case in enumerate(chosen) if case.operation == "conv2d")
    return [*chosen[:place + 1], chosen[place]._replace(operation=WHOLE_BACKWARD),
            *chosen[place + 1:]]
