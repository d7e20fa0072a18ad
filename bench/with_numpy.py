"""NumPy as a member: matrix products, by whatever BLAS it was built with."""

from functools import partial
from typing import Any

import numpy as np

from fastdl.benchmark.cases import Case


def facts() -> dict[str, Any]:
    """For the report."""
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]       # type: ignore[index]
    return {"versions": {"numpy": f"{np.__version__} ({blas['name']} {blas['version']})"}}


def variants(case: Case, options: dict[str, Any]) -> dict[str, Any]:
    """See `bench.worker`."""
    return {"matmul": partial(_gemm, case.shape)} if case.operation == "gemm" else {}


def _gemm(shape: Any, arrays: dict[str, np.ndarray]) -> Any:
    a = arrays["a"].T if shape.trans_a else arrays["a"]
    b = arrays["b"].T if shape.trans_b else arrays["b"]
    return lambda: (a @ b,)


def to_numpy(result: np.ndarray) -> np.ndarray:
    """See `bench.worker`."""
    return result
