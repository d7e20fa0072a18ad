"""Pooling: rows of outputs, or of inputs on the way back, split among threads; whole maps, map by
map or by blocks of channels (native/kernel_pool.h)."""

from ..native._native cimport *


cdef int set_windows(fd_pool_args *args, x, y, kernel, stride, padding) except -1:
    set_window(&args.window, x.shape, y.shape[2:], kernel, stride, padding, (1, 1))
    args.argmax_bytes = 1 if args.window.KH * args.window.KW <= 256 else 4
    return 0


cdef int set_whole_maps(fd_pool_args *args, x) except -1:
    cdef fd_window *w = &args.window
    w.N, w.C, w.H, w.W = x.shape
    w.OH = w.OW = 1
    args.argmax_bytes = 4
    return 0


cdef void *set_layout(fd_pool_args *args, fd_dtype dtype, x, y) except? NULL:
    """Data of x, or of dx with dy for y; both have one layout."""
    cdef fd_window *w = &args.window
    args.argmax = args.gate = NULL
    args.channels_last = is_channels_last(x) or is_channels_last(y)
    return maps4(x, dtype, w.N, w.C, w.H, w.W, args.channels_last)


cdef void *outputs(fd_pool_args *args, fd_dtype dtype, y) except? NULL:
    cdef fd_window *w = &args.window
    return maps4(y, dtype, w.N, w.C, w.OH, w.OW, args.channels_last)


cdef void *indices(fd_pool_args *args, argmax) except? NULL:
    cdef fd_window *w = &args.window
    return integers(argmax.transpose(0, 2, 3, 1) if args.channels_last else argmax,
                    w.N * w.C * w.OH * w.OW, args.argmax_bytes)


cdef int run_rows(fd_kernel kernel, fd_dtype dtype, fd_pool_args *args, result) except -1:
    """Over the rows of every plane, or of every image where a row has all channels, of y or dx."""
    cdef fd_window *w = &args.window
    cdef Py_ssize_t rows = result.shape[2]
    args.stream = streams(result.size, dtype)
    run(kernel, dtype, args, rows * (w.N if args.channels_last else w.N * w.C),
        <double> w.N * w.C * w.H * w.W)
    return 0


def max_pool2d(x, y, argmax, kernel, stride, padding):
    """See reference.max_pool2d."""
    cdef fd_pool_args args
    cdef fd_dtype dtype = dtype_of(x)
    set_windows(&args, x, y, kernel, stride, padding)
    args.x = set_layout(&args, dtype, x, y)
    args.y = outputs(&args, dtype, y)
    if argmax is not None:
        args.argmax = indices(&args, argmax)
    run_rows(FD_max_pool2d, dtype, &args, y)


def max_pool2d_backward(dy, argmax, y, dx, kernel, stride, padding):
    """See reference.max_pool2d_backward."""
    cdef fd_pool_args args
    cdef fd_dtype dtype = dtype_of(dy)
    set_windows(&args, dx, dy, kernel, stride, padding)
    args.y = set_layout(&args, dtype, dx, dy)
    args.x = outputs(&args, dtype, dy)
    args.argmax = indices(&args, argmax)
    if y is not None:
        args.gate = outputs(&args, dtype, y)
    run_rows(FD_max_pool2d_backward, dtype, &args, dx)


def avg_pool2d(x, y, kernel, stride, padding, count_include_pad):
    """See reference.avg_pool2d."""
    cdef fd_pool_args args
    cdef fd_dtype dtype = dtype_of(x)
    set_windows(&args, x, y, kernel, stride, padding)
    args.x = set_layout(&args, dtype, x, y)
    args.y = outputs(&args, dtype, y)
    args.count_include_pad = count_include_pad
    run_rows(FD_avg_pool2d, dtype, &args, y)


def avg_pool2d_backward(dy, dx, kernel, stride, padding, count_include_pad):
    """See reference.avg_pool2d_backward."""
    cdef fd_pool_args args
    cdef fd_dtype dtype = dtype_of(dy)
    set_windows(&args, dx, dy, kernel, stride, padding)
    args.y = set_layout(&args, dtype, dx, dy)
    args.x = outputs(&args, dtype, dy)
    args.count_include_pad = count_include_pad
    run_rows(FD_avg_pool2d_backward, dtype, &args, dx)


cdef int run_maps(fd_kernel kernel, fd_dtype dtype, fd_pool_args *args) except -1:
    """Over maps, or over blocks of channels."""
    cdef fd_window *w = &args.window
    args.stream = False
    cdef Py_ssize_t blocks = (w.C + FD_POOL_CHANNELS - 1) // FD_POOL_CHANNELS
    run(kernel, dtype, args, w.N * (blocks if args.channels_last else w.C),
        <double> w.N * w.C * w.H * w.W)
    return 0


cdef int run_cells(fd_kernel kernel, fd_dtype dtype, fd_pool_args *args) except -1:
    """Over maps, or over pixels."""
    cdef fd_window *w = &args.window
    args.stream = streams(w.N * w.C * w.H * w.W, dtype)
    run(kernel, dtype, args, w.N * (w.H * w.W if args.channels_last else w.C),
        <double> w.N * w.C * w.H * w.W)
    return 0


def global_avg_pool2d(x, y):
    """See reference.global_avg_pool2d."""
    cdef fd_pool_args args
    cdef fd_dtype dtype = dtype_of(x)
    set_whole_maps(&args, x)
    args.x = set_layout(&args, dtype, x, y)
    args.y = outputs(&args, dtype, y)
    run_maps(FD_global_avg_pool2d, dtype, &args)


def global_avg_pool2d_backward(dy, dx):
    """See reference.global_avg_pool2d_backward."""
    cdef fd_pool_args args
    cdef fd_dtype dtype = dtype_of(dy)
    set_whole_maps(&args, dx)
    args.y = set_layout(&args, dtype, dx, dy)
    args.x = outputs(&args, dtype, dy)
    run_cells(FD_global_avg_pool2d_backward, dtype, &args)


def global_max_pool2d(x, y, argmax):
    """See reference.global_max_pool2d."""
    cdef fd_pool_args args
    cdef fd_dtype dtype = dtype_of(x)
    set_whole_maps(&args, x)
    args.x = set_layout(&args, dtype, x, y)
    args.y = outputs(&args, dtype, y)
    if argmax is not None:
        args.argmax = indices(&args, argmax)
    run_maps(FD_global_max_pool2d, dtype, &args)


def global_max_pool2d_backward(dy, argmax, dx):
    """See reference.global_max_pool2d_backward."""
    cdef fd_pool_args args
    cdef fd_dtype dtype = dtype_of(dy)
    set_whole_maps(&args, dx)
    args.y = set_layout(&args, dtype, dx, dy)
    args.x = outputs(&args, dtype, dy)
    args.argmax = indices(&args, argmax)
    run_cells(FD_global_max_pool2d_backward, dtype, &args)
