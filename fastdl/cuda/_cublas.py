"""Matrix products by NVIDIA's cuBLASLt, where the package nvidia-cublas is installed.

Its matrices lie column by column, ours row by row: what it takes for a matrix is ours transposed.
So it is asked for (a b)ᵀ = bᵀ aᵀ, and reads the factors and writes the product as they lie.

    problem = Problem.of(a, b, out, bias=bias)
    if multiply := prepared(problem):
        multiply(a, b, bias, out, alpha, beta)          # out = alpha a b + beta out + bias

Kernels ask `faster` whether to leave a product to it.

Numbers of types, attributes, and so on are those of the header cublasLt.h.
"""

from __future__ import annotations

import ctypes
import warnings
from collections.abc import Callable, Sequence
from ctypes import POINTER, byref, c_float, c_int, c_int64, c_size_t, c_uint32, c_uint64, c_void_p
from functools import cache
from typing import Any, NamedTuple

from ..errors import DeviceError
from ._array import Array, empty
from ._choice import is_faster
from ._driver import driver
from ._precision import tf32_allowed

_FLOAT32, _IN_FLOAT32, _IN_TF32 = 0, 68, 77                 # CUDA_R_32F, CUBLAS_COMPUTE_32F…
_TRANSA, _TRANSB, _EPILOGUE, _BIAS_POINTER = 3, 4, 7, 8     # CUBLASLT_MATMUL_DESC_…
_BATCH_COUNT, _BATCH_STEP = 5, 6                            # CUBLASLT_MATRIX_LAYOUT_…
_WORKSPACE, _ALIGNMENTS = 1, (5, 6, 7, 8)                   # CUBLASLT_MATMUL_PREF_…
_WITH_BIAS = 4                                              # CUBLASLT_EPILOGUE_BIAS
_MOST_WORKSPACE = 32 << 20                                  # bytes

Compute = Callable[[Array], None]


class _Found(ctypes.Structure):
    """A way of multiplying: cublasLtMatmulHeuristicResult_t."""

    _fields_ = [("algorithm", c_uint64 * 8), ("workspace", c_size_t), ("state", c_int),
                ("waves", c_float), ("reserved", c_int * 4)]


_PARAMETERS: dict[str, tuple[Any, ...]] = {
    "Create": (POINTER(c_void_p),),
    "MatmulDescCreate": (POINTER(c_void_p), c_int, c_int),
    "MatmulDescSetAttribute": (c_void_p, c_int, c_void_p, c_size_t),
    "MatrixLayoutCreate": (POINTER(c_void_p), c_int, c_uint64, c_uint64, c_int64),
    "MatrixLayoutSetAttribute": (c_void_p, c_int, c_void_p, c_size_t),
    "MatmulPreferenceCreate": (POINTER(c_void_p),),
    "MatmulPreferenceSetAttribute": (c_void_p, c_int, c_void_p, c_size_t),
    "MatmulPreferenceDestroy": (c_void_p,),
    "MatmulAlgoGetHeuristic": (*(c_void_p,) * 7, c_int, POINTER(_Found), POINTER(c_int)),
    "Matmul": (c_void_p, c_void_p, POINTER(c_float), *(c_void_p,) * 4, POINTER(c_float),
               *(c_void_p,) * 6, c_size_t, c_void_p)}


class Layout(NamedTuple):
    """How a matrix lies in memory."""

    rows: int
    columns: int
    pitch: int              # elements from a row to the next
    step: int               # and from a matrix of a batch to the next
    alignment: int          # bytes

    @classmethod
    def of(cls, matrix: Array, step: int) -> Layout:
        """Of this one."""
        rows, columns = matrix.shape
        pitch = max(matrix.strides[0] // matrix.itemsize, columns)
        return cls(rows, columns, pitch, step, _alignment(matrix))


class Problem(NamedTuple):
    """A product: what has to be known to choose how to compute it."""

    a: Layout
    b: Layout
    out: Layout
    trans_a: bool
    trans_b: bool
    batch: int
    bias_alignment: int     # bytes; 0 without one
    tf32: bool

    @classmethod
    def of(cls, a: Array, b: Array, out: Array, trans_a: bool = False, trans_b: bool = False,
           bias: Array | None = None, batch: int = 1, steps: Sequence[int] = (0, 0, 0)) -> Problem:
        """Of these matrices, the first ones of their batches."""
        return cls(Layout.of(a, steps[0]), Layout.of(b, steps[1]), Layout.of(out, steps[2]),
                   bool(trans_a), bool(trans_b), batch, 0 if bias is None else _alignment(bias),
                   tf32_allowed())


def _alignment(array: Array) -> int:
    """Bytes of which the address is a multiple; beyond 256 it does not matter."""
    return min(256, array.address & -array.address) or 256


class CublasLt:
    """The library; `functions` are those of its C interface."""

    def __init__(self, functions: Any) -> None:
        self._functions = functions
        for name, parameters in _PARAMETERS.items():
            getattr(functions, f"cublasLt{name}").argtypes = parameters
        functions.cublasLtGetStatusName.restype = ctypes.c_char_p
        functions.cublasLtGetVersion.restype = c_size_t
        number = functions.cublasLtGetVersion()
        self.version = f"{number // 10000}.{number // 100 % 100}.{number % 100}"
        self.handle = self.made("Create")

    def call(self, name: str, *arguments: Any) -> None:
        """Call a function; raises where it fails."""
        status = getattr(self._functions, f"cublasLt{name}")(*arguments)
        if status:
            raise DeviceError(f"cuda: cublasLt{name} failed: "
                              f"{self._functions.cublasLtGetStatusName(status).decode()}")

    def made(self, name: str, *arguments: Any) -> c_void_p:
        """What a function makes."""
        made = c_void_p()
        self.call(name, byref(made), *arguments)
        return made

    def set(self, kind: str, target: c_void_p, attribute: int, value: Any) -> None:
        """Set an attribute to a number of ctypes."""
        self.call(f"{kind}SetAttribute", target, attribute, byref(value), ctypes.sizeof(value))

    def layout(self, layout: Layout, batch: int) -> c_void_p:
        """A matrix as the library sees it: transposed."""
        made = self.made("MatrixLayoutCreate", _FLOAT32, layout.columns, layout.rows, layout.pitch)
        if batch > 1:
            self.set("MatrixLayout", made, _BATCH_COUNT, c_int(batch))
            self.set("MatrixLayout", made, _BATCH_STEP, c_int64(layout.step))
        return made


class Prepared:
    """A way to compute a product, kept for as long as the process runs."""

    def __init__(self, library: CublasLt, problem: Problem) -> None:
        self._library = library
        self._operation = operation = library.made(
            "MatmulDescCreate", _IN_TF32 if problem.tf32 else _IN_FLOAT32, _FLOAT32)
        # Swapped: the library's first factor is our second.
        library.set("MatmulDesc", operation, _TRANSA, c_int(problem.trans_b))
        library.set("MatmulDesc", operation, _TRANSB, c_int(problem.trans_a))
        if problem.bias_alignment:          # it is added to the library's columns, our rows
            library.set("MatmulDesc", operation, _EPILOGUE, c_uint32(_WITH_BIAS))
            # How it is aligned is read from the address.
            library.set("MatmulDesc", operation, _BIAS_POINTER, c_void_p(problem.bias_alignment))
        matrices = problem.b, problem.a, problem.out, problem.out
        self._layouts = [library.layout(matrix, problem.batch) for matrix in matrices]
        self._found = self._search([matrix.alignment for matrix in matrices])

    def _search(self, alignments: Sequence[int]) -> _Found | None:
        """What the library thinks to be fastest, or None where there is nothing."""
        library, found, count = self._library, _Found(), c_int()
        wishes = library.made("MatmulPreferenceCreate")
        library.set("MatmulPreference", wishes, _WORKSPACE, c_uint64(_MOST_WORKSPACE))
        for attribute, alignment in zip(_ALIGNMENTS, alignments, strict=True):
            library.set("MatmulPreference", wishes, attribute, c_uint32(alignment))
        try:
            library.call("MatmulAlgoGetHeuristic", library.handle, self._operation, *self._layouts,
                         wishes, 1, byref(found), byref(count))
        except DeviceError:                 # which is what it says of a product that it cannot do
            return None
        finally:
            library.call("MatmulPreferenceDestroy", wishes)
        return found if count.value and not found.state else None

    def __bool__(self) -> bool:
        return self._found is not None

    def __call__(self, a: Array, b: Array, bias: Array | None, out: Array, alpha: float = 1.0,
                 beta: float = 0.0) -> None:
        """Put ``out = alpha a b + beta out + bias`` into the stream."""
        assert self._found is not None
        library, size = self._library, self._found.workspace
        if bias is not None:
            library.set("MatmulDesc", self._operation, _BIAS_POINTER, c_void_p(bias.address))
        workspace = empty((size // 4 + 1,))
        of_a, of_b, *of_out = self._layouts
        library.call("Matmul", library.handle, self._operation, byref(c_float(alpha)), b.address,
                     of_a, a.address, of_b, byref(c_float(beta)), out.address, of_out[0],
                     out.address, of_out[1], byref(self._found.algorithm), workspace.address, size,
                     int(driver().stream))


@cache
def library() -> CublasLt | None:
    """The library, or None where it is not installed, or does not start, which a warning says."""
    from ._compat import load_library

    if (functions := load_library("cublasLt")) is None:
        return None
    try:
        return CublasLt(functions)
    except DeviceError as error:
        warnings.warn(f"{error}; fastdl's own kernels multiply", stacklevel=2)
        return None


@cache
def prepared(problem: Problem) -> Prepared | None:
    """How the library computes it, or None where it does not."""
    if (there := library()) is None:
        return None
    return Prepared(there, problem) or None


def faster(problem: Problem, operation: str, result: Array, by_library: Compute,
           by_ours: Compute) -> Compute:
    """Of two functions that compute the same, into an array like `result`, the faster one.

    Parameters
    ----------
    operation : what belongs to it beside the product
    by_library : called only where the library can do it
    """
    if not prepared(problem):
        return by_ours
    case = f"{operation} {tuple(map(tuple, problem[:3]))} {problem[3:]}"
    wins = is_faster(case, lambda: by_library(empty(result.shape)),
                     lambda: by_ours(empty(result.shape)))
    return by_library if wins else by_ours


def are_apart(result: Array, *others: Array | None) -> bool:
    """Whether a result can be written before the others are read."""
    begin, end = result.address, result.address + result.extent * result.itemsize
    return all(other is None or other.address >= end
               or other.address + other.extent * other.itemsize <= begin for other in others)
