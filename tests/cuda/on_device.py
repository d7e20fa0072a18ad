"""Kernels of the device, called with arrays of the host: copied there, run, and copied back."""

import importlib
import warnings

import numpy as np

import fastdl as fd
from fastdl._kernels._table import OPERATIONS

FOLDERS = {kernel: operation.folder for operation in OPERATIONS.values()
           for kernel in operation.kernels}
KEEP_GAPS = {"gemm", "copy_matrix"}         # which take matrices whose rows lie apart


def why_no_compiler(capability):
    """Why no kernel can be compiled for such a device, or None."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            importlib.import_module("fastdl._kernels.im2col._cuda")._by_pixel.compiled(capability)
    except Exception as error:
        if "nvvm" in str(error).lower() or "nvrtc" in str(error).lower():
            return f"NVIDIA's compiler is not installed: {str(error).splitlines()[0][:80]}"
        raise
    return None


def device_kernel(name):
    """The kernel's function in the file for the device."""
    module = importlib.import_module(f"fastdl._kernels.{FOLDERS[name]}._cuda")
    return getattr(module, name)


def wrapped(name):
    """A function that takes arrays of the host, as kernels of the host do."""
    kernel = device_kernel(name)

    def call(*arguments):
        pairs = []

        def there(argument):
            if isinstance(argument, list):
                return [there(part) for part in argument]
            if not isinstance(argument, np.ndarray):
                return argument
            for host, copied in pairs:      # an array that is input and output is one
                if host is argument:
                    return copied
            pairs.append((argument, placed(argument, name)))
            return pairs[-1][1]

        kernel(*map(there, arguments))
        for host, copied in pairs:
            if host.flags.writeable:
                host[...] = copied.numpy()

    return call


def placed(array, kernel):
    """A copy on the device; of a matrix with gaps between its rows, one with gaps, too."""
    if kernel in KEEP_GAPS and array.ndim == 2 and not array.flags.c_contiguous:
        pitch = array.strides[0] // array.itemsize
        wide = np.full((array.shape[0], pitch), np.nan, array.dtype)
        wide[:, :array.shape[1]] = array
        return fd.cuda.to_device(wide)[:, :array.shape[1]]
    return fd.cuda.to_device(np.ascontiguousarray(array).reshape(array.shape))
