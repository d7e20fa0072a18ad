"""Convolution as an implicit matrix product (native/kernel_conv.h); depthwise directly.

What is decided here is which kernel runs and how its work is cut among threads: over images
where there are enough of them, else over pixels; a large weight gradient over its taps.
"""

import numpy as np

from ..native._native cimport *

cdef enum:
    EVEN = 8                # with that many images a thread, one more or less does not matter
    SUMS_BYTES = 1 << 19    # sums of a weight gradient that stay in a core's cache


cdef double describe(fd_conv_args *args, fd_dtype dtype, object x, object w, object y,
                     tuple stride, tuple padding, tuple dilation, groups) except -1:
    """Fill in the shapes, check that they agree, and return the work of one pass.

    `x`, `w`, `y` may also be gradients: their shapes are what counts.
    """
    cdef fd_window *window = &args.window
    set_window(window, x.shape, y.shape[2:], w.shape[2:], stride, padding, dilation)
    args.OC, args.groups = w.shape[0], groups
    if (args.groups < 1 or window.C % args.groups or args.OC % args.groups
            or w.shape[1] != window.C // args.groups):
        raise ValueError(f"native kernel: groups {groups} do not divide x {x.shape}, w {w.shape}")
    buffer4(x, dtype, window.N, window.C, window.H, window.W)
    buffer4(w, dtype, args.OC, window.C // args.groups, window.KH, window.KW)
    buffer4(y, dtype, window.N, args.OC, window.OH, window.OW)
    return (<double> window.N * args.OC * window.OH * window.OW
            * (window.C // args.groups) * window.KH * window.KW / 4 + 1)


cdef inline bint is_depthwise(fd_conv_args *args) noexcept:
    return args.groups > 1 and args.groups == args.window.C


cdef inline Py_ssize_t ceil_div(Py_ssize_t a, Py_ssize_t b) noexcept:
    return (a + b - 1) // b


cdef inline Py_ssize_t round_up(Py_ssize_t size, Py_ssize_t unit) noexcept:
    return ceil_div(size, unit) * unit


cdef int run_over_images(fd_kernel kernel, fd_dtype dtype, fd_conv_args *args,
                         double work) except -1:
    cdef Py_ssize_t N = args.window.N, threads = threads_for(work)
    args.image_cells, args.pixel_cells = threads, 1
    if N % threads and N < EVEN * threads:
        args.image_cells = max(N, 1)
        args.pixel_cells = ceil_div(EVEN * threads, args.image_cells)
    return run(kernel, dtype, args, args.groups * args.image_cells * args.pixel_cells, work)


cdef planar(maps):
    """`maps`, or a copy of them where they are channels-last."""
    return np.ascontiguousarray(maps) if is_channels_last(maps) else maps


def conv2d(x, w, b, residual, y, stride, padding, dilation, groups, relu, algorithm):
    """See reference.conv2d."""
    given, x, y = y, planar(x), planar(y)
    forward(x, w, b, y, stride, padding, dilation, groups)
    if residual is not None:
        y += residual
    if relu:
        np.maximum(y, 0, out=y)
    if given is not y:
        given[...] = y


cdef forward(x, w, b, y, stride, padding, dilation, groups):
    cdef fd_conv_args args
    cdef fd_dtype dtype = dtype_of(x)
    cdef double work = describe(&args, dtype, x, w, y, stride, padding, dilation, groups)
    args.x = buffer(x, dtype, x.size)
    args.w = buffer(w, dtype, w.size)
    args.b = optional1(b, dtype, args.OC)
    args.y = buffer(y, dtype, y.size)
    if is_depthwise(&args):
        run(FD_conv2d_depthwise, dtype, &args, args.window.N * args.OC, work)
    else:
        run_over_images(FD_conv2d, dtype, &args, work)


def conv2d_backward_input(dy, w, dx, stride, padding, dilation, groups, algorithm):
    """See reference.conv2d_backward_input."""
    given, dy, dx = dx, planar(dy), planar(dx)
    backward_input(dy, w, dx, stride, padding, dilation, groups)
    if given is not dx:
        given[...] = dx


cdef backward_input(dy, w, dx, stride, padding, dilation, groups):
    cdef fd_conv_args args
    cdef fd_dtype dtype = dtype_of(dy)
    cdef double work = describe(&args, dtype, dx, w, dy, stride, padding, dilation, groups)
    args.dy = buffer(dy, dtype, dy.size)
    args.w = buffer(w, dtype, w.size)
    args.dx = buffer(dx, dtype, dx.size)
    if is_depthwise(&args):
        run(FD_conv2d_depthwise_backward_input, dtype, &args, args.window.N * args.window.C, work)
    else:
        run_over_images(FD_conv2d_backward_input, dtype, &args, work)


def conv2d_backward_weight(dy, x, dw, db, stride, padding, dilation, groups, algorithm):
    """See reference.conv2d_backward_weight."""
    backward_weight(planar(dy), planar(x), dw, db, stride, padding, dilation, groups)


cdef backward_weight(dy, x, dw, db, stride, padding, dilation, groups):
    cdef fd_conv_args args
    cdef fd_dtype dtype = dtype_of(dy)
    cdef double work = describe(&args, dtype, x, dw, dy, stride, padding, dilation, groups)
    cdef Py_ssize_t taps, sums, parts, threads = threads_for(work)
    args.dy = buffer(dy, dtype, dy.size)
    args.x = buffer(x, dtype, x.size)
    args.dw = buffer(dw, dtype, dw.size)
    args.db = optional1(db, dtype, args.OC)
    if is_depthwise(&args):
        run(FD_conv2d_depthwise_backward_weight, dtype, &args, args.OC, work)
        return
    # A cell's sums should stay in the cache while it runs over the images. Several cells of taps
    # transpose dy several times, so a gradient that fits is cut over the images and added up.
    taps = args.window.C // args.groups * args.window.KH * args.window.KW
    sums = taps * (args.OC // args.groups) * dy.itemsize
    args.tap_cells = ceil_div(sums, SUMS_BYTES)
    if args.tap_cells > 1:
        parts = args.image_cells = 1
        args.tap_cells = min(taps, round_up(args.tap_cells, threads))
    else:
        parts = args.image_cells = max(1, min(threads, args.window.N))
        args.tap_cells = max(1, min(taps, threads // parts))
    if parts > 1:
        all_dw = np.empty((parts, *dw.shape), dw.dtype)
        args.dw = buffer(all_dw, dtype, all_dw.size)
        if db is not None:
            all_db = np.empty((parts, *db.shape), db.dtype)
            args.db = buffer(all_db, dtype, all_db.size)
    run(FD_conv2d_backward_weight, dtype, &args, parts * args.groups * args.tap_cells, work)
    if parts > 1:
        all_dw.sum(axis=0, out=dw)
        if db is not None:
            all_db.sum(axis=0, out=db)
