"""Sums, products, copies, split among threads.

See native/kernel_activation.h, native/kernel_scale.h, native/kernel_join.h.
"""

from ..native._native cimport *

cdef enum:
    PART_BYTES = 1 << 16            # of a row, or of maps: longer ones are several items


cdef int combine(fd_kernel kernel, a, b, y) except -1:
    """y = f(a, b)."""
    cdef fd_activation_args args
    cdef fd_dtype dtype = dtype_of(y)
    cdef Py_ssize_t size = y.size
    cdef bint last = is_channels_last(y)
    if a.shape != y.shape or b.shape != y.shape:
        raise ValueError(f"native kernel: {a.shape} and {b.shape} to {y.shape}")
    args.x, args.dy = dense(a, dtype, size, last), dense(b, dtype, size, last)
    args.y = dense(y, dtype, size, last)
    args.slope = 0
    args.stream = args.y != args.x and args.y != args.dy and streams(size, dtype)
    return run(kernel, dtype, &args, size, size)


def add(a, b, y):
    """See reference.add."""
    combine(FD_add, a, b, y)


def multiply(a, b, y):
    """See reference.multiply."""
    combine(FD_multiply_elements, a, b, y)


cdef int prepare_scale(fd_scale_args *args, x, s, y) except -1:
    cdef fd_dtype dtype = dtype_of(x)
    cdef Py_ssize_t size = x.size
    args.N, args.C, args.L = x.shape
    args.channels_last = is_channels_last(x)
    if y.shape != x.shape:
        raise ValueError(f"native kernel: maps of {x.shape} scaled to {y.shape}")
    args.x, args.y = dense(x, dtype, size, args.channels_last), dense(y, dtype, size,
                                                                      args.channels_last)
    args.s = buffer2(s, dtype, args.N, args.C)
    args.stream = args.y != args.x and streams(size, dtype)
    args.parts = 1 + args.C * args.L * <Py_ssize_t> x.itemsize // PART_BYTES
    return 0


def scale_maps(x, s, y):
    """See reference.scale_maps."""
    cdef fd_scale_args args
    prepare_scale(&args, x, s, y)
    run(FD_scale_maps, dtype_of(x), &args,
        args.N * (args.parts if args.channels_last else args.C), x.size)


def scale_maps_backward(dy, x, s, dx, ds):
    """See reference.scale_maps_backward."""
    cdef fd_scale_args args
    cdef fd_dtype dtype = dtype_of(x)
    prepare_scale(&args, x, s, dx)
    if dy.shape != x.shape:
        raise ValueError(f"native kernel: gradient {dy.shape} of maps {x.shape}")
    args.dy = dense(dy, dtype, x.size, args.channels_last)
    args.ds = buffer2(ds, dtype, args.N, args.C)
    run(FD_scale_maps_backward, dtype, &args,
        args.N * (ceil_div(args.C, FD_SCALE_BLOCK) if args.channels_last else args.C), 2.0 * x.size)


def copy_matrix(x, y):
    """See reference.copy_matrix."""
    cdef fd_copy_args args
    cdef fd_dtype dtype = dtype_of(y)
    cdef Py_ssize_t size = y.size
    args.rows, args.columns = y.shape
    args.x = matrix(x, dtype, args.rows, args.columns, &args.x_row)
    args.y = matrix(y, dtype, args.rows, args.columns, &args.y_row)
    # One of them is made of parts, or taken apart: the others of these will be copied soon.
    args.stream = streams(args.rows * max(args.x_row, args.y_row), dtype)
    args.parts = -(-args.columns * y.itemsize // PART_BYTES)
    run(FD_copy_matrix, dtype, &args, args.rows * args.parts, 2.0 * size)
