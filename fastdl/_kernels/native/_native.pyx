"""The native library as Python sees it: instruction set, threads; and what kernels share."""

import os

cimport numpy as cnp
from libc.string cimport memset

from ._native cimport *

from ...errors import ArgumentError

cdef extern from "fastdl_native.h" nogil:
    ctypedef void (*fd_body)(const void *args, Py_ssize_t begin, Py_ssize_t end)
    const char **fd_isa_names
    const char *fd_select_isa(const char *cap)
    fd_body fd_lookup(fd_kernel kernel, fd_dtype dtype)
    bint fd_has_openmp()
    int fd_get_num_threads()
    void fd_set_num_threads(int threads)
    int fd_threads_for(double work)
    int fd_init_threads()
    bint fd_streams(double bytes)
    int fd_keep_freed_memory()
    void *fd_shared_scratch(size_t bytes)
    void *fd_slots_scratch(size_t bytes)
    int fd_run(fd_body body, const void *args, Py_ssize_t items, int threads)

cnp.import_array()


cdef fd_dtype dtype_of(object array) except *:
    cdef int number
    if isinstance(array, cnp.ndarray):
        number = cnp.PyArray_TYPE(array)
        if number == cnp.NPY_FLOAT32:
            return FD_FLOAT32
        if number == cnp.NPY_FLOAT64:
            return FD_FLOAT64
    raise TypeError(f"native kernels take float32 and float64 arrays, got {_describe(array)}")


def _describe(array):
    if isinstance(array, cnp.ndarray):
        layout = "" if array.flags.c_contiguous else ", not C-contiguous"
        return f"{array.dtype} {array.shape}{layout}"
    return type(array).__name__


cdef int reject(object array, fd_dtype dtype, object expected) except -1:
    name = "float32" if dtype == FD_FLOAT32 else "float64"
    raise ValueError(f"native kernel expected {name} {expected}, C-contiguous, got "
                     f"{_describe(array)}")


cdef inline bint fits(object array, fd_dtype dtype, int rank) except -1:
    """Whether `array` is C-contiguous, of `dtype` and (unless it is -1) of `rank`."""
    return (isinstance(array, cnp.ndarray)
            and cnp.PyArray_TYPE(array) == (cnp.NPY_FLOAT32 if dtype == FD_FLOAT32
                                            else cnp.NPY_FLOAT64)
            and cnp.PyArray_ISCARRAY_RO(array)
            and (rank < 0 or cnp.PyArray_NDIM(array) == rank))


cdef void *buffer(object array, fd_dtype dtype, Py_ssize_t size) except? NULL:
    if not fits(array, dtype, -1) or cnp.PyArray_SIZE(array) != size:
        reject(array, dtype, f"of {size} elements")
    return cnp.PyArray_DATA(array)


cdef void *buffer1(object array, fd_dtype dtype, Py_ssize_t n0) except? NULL:
    if not fits(array, dtype, 1) or cnp.PyArray_DIM(array, 0) != n0:
        reject(array, dtype, (n0,))
    return cnp.PyArray_DATA(array)


cdef void *buffer2(object array, fd_dtype dtype, Py_ssize_t n0, Py_ssize_t n1) except? NULL:
    cdef cnp.npy_intp *n
    if not fits(array, dtype, 2):
        reject(array, dtype, (n0, n1))
    n = cnp.PyArray_DIMS(array)
    if n[0] != n0 or n[1] != n1:
        reject(array, dtype, (n0, n1))
    return cnp.PyArray_DATA(array)


cdef void *buffer4(object array, fd_dtype dtype, Py_ssize_t n0, Py_ssize_t n1, Py_ssize_t n2,
                   Py_ssize_t n3) except? NULL:
    cdef cnp.npy_intp *n
    if not fits(array, dtype, 4):
        reject(array, dtype, (n0, n1, n2, n3))
    n = cnp.PyArray_DIMS(array)
    if n[0] != n0 or n[1] != n1 or n[2] != n2 or n[3] != n3:
        reject(array, dtype, (n0, n1, n2, n3))
    return cnp.PyArray_DATA(array)


cdef void *matrix(object array, fd_dtype dtype, Py_ssize_t n0, Py_ssize_t n1,
                  Py_ssize_t *row) except? NULL:
    cdef Py_ssize_t item, stride
    row[0] = n1
    if (not isinstance(array, cnp.ndarray) or cnp.PyArray_NDIM(array) != 2
            or cnp.PyArray_IS_C_CONTIGUOUS(array)):
        return buffer2(array, dtype, n0, n1)
    item, stride = cnp.PyArray_STRIDE(array, 1), cnp.PyArray_STRIDE(array, 0)
    if (dtype_of(array) != dtype or not cnp.PyArray_ISALIGNED(array)
            or not cnp.PyArray_ISNOTSWAPPED(array) or cnp.PyArray_DIM(array, 0) != n0
            or cnp.PyArray_DIM(array, 1) != n1 or item != cnp.PyArray_ITEMSIZE(array)
            or stride % item or stride < n1 * item):
        reject(array, dtype, f"{(n0, n1)} with contiguous rows")
    row[0] = stride // item
    return cnp.PyArray_DATA(array)


cdef void *optional_maps4(object array, fd_dtype dtype, Py_ssize_t N, Py_ssize_t C, Py_ssize_t H,
                          Py_ssize_t W, bint channels_last) except? NULL:
    return NULL if array is None else maps4(array, dtype, N, C, H, W, channels_last)


cdef bint is_channels_last(object array) except -1:
    return (isinstance(array, cnp.ndarray) and cnp.PyArray_NDIM(array) > 2
            and not cnp.PyArray_IS_C_CONTIGUOUS(array)
            and cnp.PyArray_IS_C_CONTIGUOUS(array.swapaxes(1, -1) if array.ndim == 3
                                            else array.transpose(0, 2, 3, 1)))


cdef void *maps4(object array, fd_dtype dtype, Py_ssize_t N, Py_ssize_t C, Py_ssize_t H,
                 Py_ssize_t W, bint channels_last) except? NULL:
    if channels_last:
        return buffer4(array.transpose(0, 2, 3, 1), dtype, N, H, W, C)
    return buffer4(array, dtype, N, C, H, W)


cdef void *dense(object array, fd_dtype dtype, Py_ssize_t size, bint channels_last) except? NULL:
    if channels_last:
        array = array.swapaxes(1, 2) if array.ndim == 3 else array.transpose(0, 2, 3, 1)
    return buffer(array, dtype, size)


cdef void *optional1(object array, fd_dtype dtype, Py_ssize_t n0) except? NULL:
    return NULL if array is None else buffer1(array, dtype, n0)


cdef void *integers(object array, Py_ssize_t size, int itemsize) except? NULL:
    if (not isinstance(array, cnp.ndarray) or not cnp.PyArray_ISINTEGER(array)
            or not cnp.PyArray_ISCARRAY_RO(array) or cnp.PyArray_SIZE(array) != size
            or cnp.PyArray_ITEMSIZE(array) != itemsize):
        raise ValueError(f"native kernel expected {size} integers of {itemsize} bytes, "
                         f"C-contiguous, got {_describe(array)}")
    return cnp.PyArray_DATA(array)


cdef int set_window(fd_window *window, tuple x, tuple output, tuple kernel, tuple stride,
                    tuple padding, tuple dilation) except -1:
    window.N, window.C, window.H, window.W = x
    window.OH, window.OW = output
    window.KH, window.KW = kernel
    window.SH, window.SW = stride
    window.PH, window.PW = padding
    window.DH, window.DW = dilation
    if (window.KH < 1 or window.KW < 1 or window.SH < 1 or window.SW < 1
            or window.PH < 0 or window.PW < 0 or window.DH < 1 or window.DW < 1):
        raise ValueError(f"native kernel: kernel {kernel}, stride {stride}, padding {padding}, "
                         f"dilation {dilation} make no window")
    # A stride that is never taken may be any number, up to ones that overflow: make it 1.
    if window.OH <= 1:
        window.SH = 1
    if window.OW <= 1:
        window.SW = 1
    return 0


cdef int threads_for(double work) noexcept nogil:
    return fd_threads_for(work)


cdef bint streams(Py_ssize_t size, fd_dtype dtype) noexcept nogil:
    return fd_streams(<double> size * (8 if dtype == FD_FLOAT64 else 4))


cdef void *shared_scratch(size_t bytes) except NULL:
    cdef void *memory = fd_shared_scratch(bytes)
    if memory == NULL:
        raise MemoryError(f"native kernel: no memory for {bytes} bytes of shared scratch")
    return memory


cdef int open_slots(fd_moments_args *args, Py_ssize_t slots) except -1:
    """Empty slots, so many of them, for the kernels that are given `args` next."""
    cdef size_t bytes = slots * FD_MOMENTS_ROWS * args.C * sizeof(double)
    cdef void *memory = fd_slots_scratch(bytes)
    if memory == NULL:
        raise MemoryError(f"native kernel: no memory for {bytes} bytes of sums")
    args.n_slots, args.slots = slots, <double *> memset(memory, 0, bytes)
    return 0


cdef int run(fd_kernel kernel, fd_dtype dtype, const void *args, Py_ssize_t items,
             double work) except -1:
    cdef fd_body body = fd_lookup(kernel, dtype)
    cdef int threads = fd_threads_for(work), failed
    with nogil:
        failed = fd_run(body, args, items, threads)
    if failed:
        raise MemoryError("native kernel: no memory for a thread's scratch")
    return 0


cdef int sum_columns(const void *x, Py_ssize_t rows, Py_ssize_t columns, Py_ssize_t row_parts,
                     void *sums, fd_dtype dtype) except -1:
    cdef fd_sums_args args
    args.x, args.sums = x, sums
    args.rows, args.columns, args.row_parts = rows, columns, row_parts
    return run(FD_column_sums, dtype, &args,
               row_parts * ((columns + FD_SUMS_BLOCK - 1) // FD_SUMS_BLOCK),
               <double> rows * columns)


# ---- the module's own face, used by fastdl.backend ----

def isa_names():
    """Instruction sets that this build holds, best first."""
    names = []
    cdef int i = 0
    while fd_isa_names[i] != NULL:
        names.append(fd_isa_names[i].decode())
        i += 1
    return tuple(names)


def isa():
    """The instruction set in use."""
    return _isa


def has_openmp():
    """Whether this build runs on several threads."""
    return fd_has_openmp()


def get_num_threads():
    """How many threads a large kernel uses now."""
    return fd_get_num_threads()


def set_num_threads(int threads):
    """Use at most `threads` threads."""
    fd_set_num_threads(threads)


def keep_freed_memory():
    """Keep freed memory for the next arrays; whether that could be told."""
    return bool(fd_keep_freed_memory())


def _select_isa():
    cap = os.environ.get("FASTDL_ISA", "").strip().lower()
    cdef bytes name = cap.encode()
    cdef const char *chosen = fd_select_isa(<const char *> name if cap else NULL)
    if chosen == NULL:
        raise ArgumentError(f"FASTDL_ISA: {cap!r} is not one of {', '.join(isa_names())}")
    return chosen.decode()


if not fd_init_threads():
    raise ImportError("fastdl: no thread-local storage left in this process")
_isa = _select_isa()
