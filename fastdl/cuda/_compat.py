"""Everything from numba-cuda and NVIDIA's bindings that fastdl uses: nothing else imports them.

Importing this file needs the package numba-cuda, and no GPU. With NUMBA_ENABLE_CUDASIM=1 kernels
run in numba's simulator, and `SIMULATED` says so.
"""

import ctypes
import importlib
import importlib.util
import re
import warnings
from typing import Any

if importlib.util.find_spec("numba_cuda") is None:
    raise ModuleNotFoundError("the package numba-cuda is not installed", name="numba_cuda")

import numba.cuda
from numba.cuda.core import config as _config

# numba's own annotations know nothing of what these mean in a kernel.
cuda: Any = numba.cuda
types: Any = numba.cuda.types
bindings: Any = None
ir: Any = None
cgutils: Any = None
intrinsic: Any = None
cell: Any = None
SIMULATED = bool(_config.ENABLE_CUDASIM)

if not SIMULATED:
    bindings = importlib.import_module("cuda.bindings.driver")
    ir, cgutils, _extending = map(importlib.import_module, (
        "llvmlite.ir", "numba.cuda.cgutils", "numba.cuda.extending"))
    intrinsic = _extending.intrinsic

# Of the language: it knows devices up to 9.0 and all that kernels here have in them. A driver
# refuses what is later than itself, whatever is in it; this came with CUDA 11.8.
_OLDEST_PTX = "7.8"

# What parameters of kernels may be.
floats = types.CPointer(types.float32)
ints = types.CPointer(types.int32)
longs = types.CPointer(types.int64)
ulongs = types.CPointer(types.uint64)
octets = types.CPointer(types.uint8)
float32, int32, int64, uint64 = types.float32, types.int32, types.int64, types.uint64

__all__ = ["SIMULATED", "bindings", "cell", "cgutils", "compile_ptx", "cuda", "float32", "floats",
           "int32", "int64", "intrinsic", "ints", "ir", "load4", "load_library", "longs", "octets",
           "pointer_to_floats", "store2", "store4", "types", "uint64", "ulongs", "version"]


def version() -> str:
    """Of numba-cuda."""
    from numba_cuda import __version__

    return __version__


def compile_ptx(function: Any, parameters: Any, capability: tuple[int, int], threads: int,
                blocks: int) -> str:
    """PTX of a kernel for a compute capability, by numba; needs NVIDIA's NVVM, and no GPU.

    Parameters
    ----------
    parameters : its parameters' types
    threads, blocks : of a block, and the least number of blocks that a multiprocessor can hold
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ptx, _ = cuda.compile_ptx(function, tuple(parameters), cc=capability,
                                  launch_bounds=(threads, blocks))
    if capability <= (9, 0):            # the driver may be older than the compiler
        ptx = re.sub(r"^\.version .*", f".version {_OLDEST_PTX}", ptx, count=1, flags=re.MULTILINE)
    if capability >= (9, 0):            # which rounds by one instruction, of two as near to even
        ptx = ptx.replace("cvt.rna.tf32.f32", "cvt.rn.tf32.f32")
    return ptx


def load_library(name: str) -> Any:
    """The functions of a library of NVIDIA's, or None where it is not installed."""
    if SIMULATED:
        return None
    finder = importlib.import_module("cuda.pathfinder")
    try:
        return ctypes.CDLL(finder.load_nvidia_dynamic_lib(name).abs_path)
    except finder.DynamicLibNotFoundError:
        return None


# ---- access to four numbers at once, and pointers that are data ----

if SIMULATED:
    import sys

    import numpy as np
    from numba.cuda.np.numpy_support import as_dtype
    from numba.cuda.simulator.kernelapi import FakeCUDAShared

    def _shared_array(self, shape, dtype):
        """The array of a block that the calling line stands for.

        The simulator's own looks it up and enters it in two steps: two threads of a block that
        come at once get an array each. This takes one.
        """
        line = sys._getframe(1)
        return self._allocations.setdefault((line.f_code.co_filename, line.f_lineno),
                                            np.empty(shape, as_dtype(dtype)))

    FakeCUDAShared.array = _shared_array    # type: ignore[method-assign]

    def load4(p, i):
        """Elements i … i + 3."""
        assert i % 4 == 0, "not aligned"
        return p[i], p[i + 1], p[i + 2], p[i + 3]

    def _stores(count):
        def store(p, i, v):
            assert i % count == 0, "not aligned"
            for k in range(count):
                p[i + k] = v[k]

        return store

    def pointer_to_floats(address):
        """What lies at an address."""
        return np.ctypeslib.as_array((ctypes.c_float * (1 << 20)).from_address(int(address)))
else:
    def _as_vector(context, builder, kind, value, index, count):
        """A pointer to so many floats at `index` of a pointer or an array in shared memory."""
        if not isinstance(kind, types.CPointer):
            value = context.make_array(kind)(context, builder, value=value).data
        address = builder.gep(value, [index])
        vector = ir.VectorType(ir.FloatType(), count)
        return builder.bitcast(address, vector.as_pointer(address.type.addrspace))

    def _lane(k):
        return ir.Constant(ir.IntType(32), k)

    def cell(context, builder, kind, array, index):
        """The address of an element of an array."""
        if isinstance(index, int):
            index = ir.Constant(ir.IntType(64), index)
        return builder.gep(context.make_array(kind)(context, builder, value=array).data, [index])

    @intrinsic
    def load4(_, p, i):
        """Elements i … i + 3 by one instruction; their address is a multiple of 16 bytes."""
        signature = types.UniTuple(types.float32, 4)(p, types.intp)

        def generate(context, builder, signature, arguments):
            address = _as_vector(context, builder, signature.args[0], *arguments, 4)
            four = builder.load(address, align=16)
            return cgutils.pack_array(builder, [builder.extract_element(four, _lane(k))
                                                for k in range(4)])

        return signature, generate

    def _stores(count):
        @intrinsic
        def store(_, p, i, v):
            signature = types.none(p, types.intp, types.UniTuple(types.float32, count))

            def generate(context, builder, signature, arguments):
                p, i, v = arguments
                address = _as_vector(context, builder, signature.args[0], p, i, count)
                vector = ir.Constant(address.type.pointee, ir.Undefined)
                for k in range(count):
                    vector = builder.insert_element(vector, builder.extract_value(v, k), _lane(k))
                builder.store(vector, address, align=4 * count)
                return context.get_dummy_value()

            return signature, generate

        return store

    @intrinsic
    def pointer_to_floats(_, address):
        """An address from a table, as a pointer."""
        def generate(context, builder, signature, arguments):
            return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

        return floats(types.int64), generate

# Store two or four numbers by one instruction; their address is a multiple of their size.
store2, store4 = _stores(2), _stores(4)
