"""Local response normalisation: blocks of pixels split among threads (native/kernel_lrn.h)."""

from ..native._native cimport *

cdef enum:
    ROOT_WORK = 16                  # what the power costs beside a plain pass over memory


cdef Py_ssize_t prepare(fd_lrn_args *args, x, size, alpha, beta) except -1:
    """The number of items."""
    cdef Py_ssize_t N
    if size < 1:
        raise ValueError(f"native kernel: local_response_norm over {size} channels")
    N, args.C, args.L = x.shape
    args.x = buffer(x, dtype_of(x), x.size)
    args.size, args.alpha, args.beta = size, alpha, beta
    return N * ceil_div(args.L, FD_LRN_BLOCK)


def local_response_norm(x, y, base, size, alpha, beta, k):
    """See reference.local_response_norm."""
    cdef fd_lrn_args args
    cdef fd_dtype dtype = dtype_of(x)
    cdef Py_ssize_t items = prepare(&args, x, size, alpha, beta)
    args.y = buffer(y, dtype, x.size)
    args.base = NULL if base is None else buffer(base, dtype, x.size)
    args.k = k
    run(FD_local_response_norm, dtype, &args, items, <double> ROOT_WORK * x.size)


def local_response_norm_backward(dy, x, base, dx, size, alpha, beta):
    """See reference.local_response_norm_backward."""
    cdef fd_lrn_args args
    cdef fd_dtype dtype = dtype_of(x)
    cdef Py_ssize_t items = prepare(&args, x, size, alpha, beta)
    args.dy, args.base = buffer(dy, dtype, x.size), buffer(base, dtype, x.size)
    args.dx = buffer(dx, dtype, x.size)
    run(FD_local_response_norm_backward, dtype, &args, items, <double> ROOT_WORK * x.size)
