"""fastdl as a member: in both layouts, with each algorithm of convolution."""

import platform
from functools import partial
from typing import Any

import numpy as np

import fastdl as fd
from fastdl._kernels._dispatch import kernel
from fastdl.benchmark.cases import MAPS, Case
from fastdl.benchmark.runs import FUNCTIONS, Run, prepared
from fastdl.benchmark.shapes import Conv
from fastdl.ops._arrays import empty, empty_maps


def conv2d_backward_input(shape: Any, a: Any, *, backend: str, algorithm: str) -> tuple:
    """The gradient of the input alone, which no public function computes without the others."""
    dx = empty_maps(a.x.shape, a.x)
    pairs = ((size, size) for size in (shape.stride, shape.padding, shape.dilation))
    kernel("conv2d_backward_input", a.dy, backend)(
        a.dy, a.w, None, None, dx, *pairs, shape.groups, algorithm)
    return (dx,)


FUNCTIONS["conv2d_backward_input"] = conv2d_backward_input

# First layers' sums have few terms, beside which the rounding of its transforms is large; the rule
# ("auto") never chooses it there.
LEAST_C_OF_WINOGRAD = 5


def facts() -> dict[str, Any]:
    """For the report."""
    try:
        from fastdl._kernels.native import _native
        isa = _native.isa()
    except ImportError:
        isa = "none: native kernels are not built"
    return {"instruction set": isa, "threads": fd.get_num_threads(),
            "versions": {"python": platform.python_version(), "fastdl": fd.__version__}}


def variants(case: Case, options: dict[str, Any]) -> dict[str, Any]:
    """See `bench.worker`."""
    backend = options.get("backend", "cython")
    if not isinstance(case.shape, Conv):
        return {layout: partial(_built, case, layout, backend=backend) for layout in case.layouts}
    algorithms = options["algorithms"] if case.shape.winograd else ["direct"]
    if case.shape.C < LEAST_C_OF_WINOGRAD:
        algorithms = [algorithm for algorithm in algorithms if algorithm != "winograd"]
    return {f"{layout} {algorithm}": partial(_built, case, layout, backend=backend,
                                             algorithm=algorithm)
            for layout in case.layouts for algorithm in algorithms}


def _built(case: Case, layout: str, arrays: dict[str, np.ndarray], **how: str) -> Run:
    if layout == "channels-last":
        arrays = {name: _channels_last(array) if name in MAPS and array.ndim == 4 else array
                  for name, array in arrays.items()}
    return prepared(case, arrays, **how)


def _channels_last(array: np.ndarray) -> np.ndarray:
    last = np.moveaxis(array, 1, -1)
    copy = empty(last.shape, array.dtype)
    copy[...] = last
    return np.moveaxis(copy, -1, 1)


def to_numpy(result: Any) -> Any:
    """See `bench.worker`."""
    return result
