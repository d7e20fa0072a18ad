"""Pooling, one plane after another, planes split among threads (native/kernel_pool.h)."""

from ..native._native cimport *


cdef int set_planes(fd_pool_args *args, fd_dtype dtype, x, y) except -1:
    """The window's sizes for global pooling, which has no window but the plane itself."""
    cdef fd_window *w = &args.window
    w.N, w.C, w.H, w.W = x.shape
    buffer4(x, dtype, w.N, w.C, w.H, w.W)
    buffer4(y, dtype, w.N, w.C, 1, 1)
    return 0


cdef int set_windows(fd_pool_args *args, fd_dtype dtype, x, y, kernel, stride,
                     padding) except -1:
    cdef fd_window *w = &args.window
    set_window(w, x.shape, y.shape[2:], kernel, stride, padding, (1, 1))
    buffer4(x, dtype, w.N, w.C, w.H, w.W)
    buffer4(y, dtype, w.N, w.C, w.OH, w.OW)
    return 0


cdef int set_argmax(fd_pool_args *args, argmax, Py_ssize_t size) except -1:
    args.argmax_bytes = 1 if args.window.KH * args.window.KW <= 256 else 4
    args.argmax = integers(argmax, size, args.argmax_bytes)
    return 0


def max_pool2d(x, y, argmax, kernel, stride, padding):
    """See reference.max_pool2d."""
    cdef fd_pool_args args
    cdef fd_dtype dtype = dtype_of(x)
    set_windows(&args, dtype, x, y, kernel, stride, padding)
    set_argmax(&args, argmax, y.size)
    args.x = buffer(x, dtype, x.size)
    args.y = buffer(y, dtype, y.size)
    run(FD_max_pool2d, dtype, &args, args.window.N * args.window.C,
        <double> args.window.KH * args.window.KW * y.size)


def max_pool2d_backward(dy, argmax, dx, kernel, stride, padding):
    """See reference.max_pool2d_backward."""
    cdef fd_pool_args args
    cdef fd_dtype dtype = dtype_of(dy)
    set_windows(&args, dtype, dx, dy, kernel, stride, padding)
    set_argmax(&args, argmax, dy.size)
    args.x = buffer(dy, dtype, dy.size)
    args.y = buffer(dx, dtype, dx.size)
    run(FD_max_pool2d_backward, dtype, &args, args.window.N * args.window.C,
        4.0 * dy.size + dx.size)


def avg_pool2d(x, y, kernel, stride, padding, count_include_pad):
    """See reference.avg_pool2d."""
    cdef fd_pool_args args
    cdef fd_dtype dtype = dtype_of(x)
    set_windows(&args, dtype, x, y, kernel, stride, padding)
    args.x = buffer(x, dtype, x.size)
    args.y = buffer(y, dtype, y.size)
    args.count_include_pad = count_include_pad
    run(FD_avg_pool2d, dtype, &args, args.window.N * args.window.C,
        <double> args.window.KH * args.window.KW * y.size)


def avg_pool2d_backward(dy, dx, kernel, stride, padding, count_include_pad):
    """See reference.avg_pool2d_backward."""
    cdef fd_pool_args args
    cdef fd_dtype dtype = dtype_of(dy)
    set_windows(&args, dtype, dx, dy, kernel, stride, padding)
    args.x = buffer(dy, dtype, dy.size)
    args.y = buffer(dx, dtype, dx.size)
    args.count_include_pad = count_include_pad
    run(FD_avg_pool2d_backward, dtype, &args, args.window.N * args.window.C,
        <double> args.window.KH * args.window.KW * dy.size)


def global_avg_pool2d(x, y):
    """See reference.global_avg_pool2d."""
    cdef fd_pool_args args
    cdef fd_dtype dtype = dtype_of(x)
    set_planes(&args, dtype, x, y)
    args.x = buffer(x, dtype, x.size)
    args.y = buffer(y, dtype, y.size)
    run(FD_global_avg_pool2d, dtype, &args, y.size, x.size)


def global_avg_pool2d_backward(dy, dx):
    """See reference.global_avg_pool2d_backward."""
    cdef fd_pool_args args
    cdef fd_dtype dtype = dtype_of(dy)
    set_planes(&args, dtype, dx, dy)
    args.x = buffer(dy, dtype, dy.size)
    args.y = buffer(dx, dtype, dx.size)
    run(FD_global_avg_pool2d_backward, dtype, &args, dy.size, dx.size)


def global_max_pool2d(x, y, argmax):
    """See reference.global_max_pool2d."""
    cdef fd_pool_args args
    cdef fd_dtype dtype = dtype_of(x)
    set_planes(&args, dtype, x, y)
    args.argmax = integers(argmax, y.size, 4)
    args.x = buffer(x, dtype, x.size)
    args.y = buffer(y, dtype, y.size)
    run(FD_global_max_pool2d, dtype, &args, y.size, x.size)


def global_max_pool2d_backward(dy, argmax, dx):
    """See reference.global_max_pool2d_backward."""
    cdef fd_pool_args args
    cdef fd_dtype dtype = dtype_of(dy)
    set_planes(&args, dtype, dx, dy)
    args.argmax = integers(argmax, dy.size, 4)
    args.x = buffer(dy, dtype, dy.size)
    args.y = buffer(dx, dtype, dx.size)
    run(FD_global_max_pool2d_backward, dtype, &args, dy.size, dx.size)
