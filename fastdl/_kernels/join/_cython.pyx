"""Sums (native/kernel_activation.h) and copies (native/kernel_join.h), split among threads."""

from ..native._native cimport *

cdef enum:
    PART_BYTES = 1 << 16            # of a row: long rows are several items


def add(a, b, y):
    """See reference.add."""
    cdef fd_activation_args args
    cdef fd_dtype dtype = dtype_of(y)
    cdef Py_ssize_t size = y.size
    cdef bint last = is_channels_last(y)
    if a.shape != y.shape or b.shape != y.shape:
        raise ValueError(f"native kernel: add of {a.shape} and {b.shape} to {y.shape}")
    args.x, args.dy = dense(a, dtype, size, last), dense(b, dtype, size, last)
    args.y = dense(y, dtype, size, last)
    args.slope = 0
    args.stream = args.y != args.x and args.y != args.dy and streams(size, dtype)
    run(FD_add, dtype, &args, size, size)


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
