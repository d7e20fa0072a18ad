"""Convolution as an implicit matrix product (native/kernel_conv.h); depthwise directly.

What is decided here is which kernel runs and how its work is cut among threads: over images
where there are enough of them, else over pixels; a large weight gradient over its taps.
"""

import numpy as np

cimport numpy as cnp
from libc.string cimport memset

from ..native._native cimport *

cnp.import_array()

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


# ---- depthwise (native/kernel_depthwise.h) ----

cdef inline bint is_depthwise(object x, groups) except -1:
    return groups > 1 and groups == x.shape[1]


cdef double describe_depthwise(fd_depthwise_args *args, fd_dtype dtype, object x, object w,
                               object y, tuple stride, tuple padding, tuple dilation) except -1:
    """`describe` for depthwise, and how the work is cut."""
    cdef fd_window *window = &args.window
    cdef Py_ssize_t N = x.shape[0], threads
    cdef double work
    memset(args, 0, sizeof(fd_depthwise_args))
    set_window(window, x.shape, y.shape[2:], w.shape[2:], stride, padding, dilation)
    args.OC = w.shape[0]
    args.channels_last = is_channels_last(x) or is_channels_last(y)
    if args.OC % window.C:
        raise ValueError(f"native kernel: groups {window.C} do not divide w {w.shape}")
    maps4(x, dtype, N, window.C, window.H, window.W, args.channels_last)
    args.w = buffer4(w, dtype, args.OC, 1, window.KH, window.KW)
    maps4(y, dtype, N, args.OC, window.OH, window.OW, args.channels_last)
    work = <double> N * args.OC * window.OH * window.OW * window.KH * window.KW / 4 + 1
    threads = threads_for(work)
    args.row_cells = args.channel_cells = 1
    args.image_cells = threads
    if N % threads and N < EVEN * threads:
        args.row_cells = ceil_div(EVEN * threads, max(N, 1))
        args.image_cells, args.channel_cells = 1, EVEN * threads
    return work


cdef depthwise(x, w, b, residual, y, stride, padding, dilation, bint relu):
    cdef fd_depthwise_args args
    cdef fd_dtype dtype = dtype_of(x)
    cdef double work = describe_depthwise(&args, dtype, x, w, y, stride, padding, dilation)
    args.x = cnp.PyArray_DATA(x)
    args.b = optional1(b, dtype, args.OC)
    if residual is not None:
        args.residual = maps4(residual, dtype, args.window.N, args.OC, args.window.OH,
                              args.window.OW, args.channels_last)
    args.y = cnp.PyArray_DATA(y)
    args.relu = relu
    run(FD_conv2d_depthwise, dtype, &args, args.window.N * args.row_cells, work)


cdef depthwise_backward_input(dy, w, dx, stride, padding, dilation):
    cdef fd_depthwise_args args
    cdef fd_dtype dtype = dtype_of(dy)
    cdef double work = describe_depthwise(&args, dtype, dx, w, dy, stride, padding, dilation)
    args.dy = cnp.PyArray_DATA(dy)
    args.dx = cnp.PyArray_DATA(dx)
    run(FD_conv2d_depthwise_backward_input, dtype, &args, args.window.N * args.row_cells, work)


cdef depthwise_backward_weight(dy, x, dw, db, stride, padding, dilation):
    cdef fd_depthwise_args args
    cdef fd_dtype dtype = dtype_of(dy)
    cdef double work = describe_depthwise(&args, dtype, x, dw, dy, stride, padding, dilation)
    cdef Py_ssize_t C = args.window.C, multiplier = args.OC // C
    cdef Py_ssize_t taps = args.window.KH * args.window.KW
    args.dy = cnp.PyArray_DATA(dy)
    args.x = cnp.PyArray_DATA(x)
    optional1(db, dtype, args.OC)
    sums = np.zeros((args.image_cells, multiplier, taps + 1, C), dw.dtype)
    args.dw = cnp.PyArray_DATA(sums)
    run(FD_conv2d_depthwise_backward_weight, dtype, &args,
        args.image_cells * args.channel_cells, work)
    total = sums[0] if len(sums) == 1 else sums.sum(axis=0)
    dw.reshape(C, multiplier, taps)[...] = total[:, :taps].transpose(2, 0, 1)
    if db is not None:
        db.reshape(C, multiplier)[...] = total[:, taps].T


# ---- all others ----

cdef planar(maps):
    """`maps`, or a copy of them where they are channels-last."""
    return np.ascontiguousarray(maps) if is_channels_last(maps) else maps


def conv2d(x, w, b, residual, y, stride, padding, dilation, groups, relu, algorithm):
    """See reference.conv2d."""
    if is_depthwise(x, groups):
        depthwise(x, w, b, residual, y, stride, padding, dilation, relu)
        return
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
    run_over_images(FD_conv2d, dtype, &args, work)


def conv2d_backward_input(dy, w, dx, stride, padding, dilation, groups, algorithm):
    """See reference.conv2d_backward_input."""
    if is_depthwise(dx, groups):
        depthwise_backward_input(dy, w, dx, stride, padding, dilation)
        return
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
    run_over_images(FD_conv2d_backward_input, dtype, &args, work)


def conv2d_backward_weight(dy, x, dw, db, stride, padding, dilation, groups, algorithm):
    """See reference.conv2d_backward_weight."""
    if is_depthwise(x, groups):
        depthwise_backward_weight(dy, x, dw, db, stride, padding, dilation)
        return
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
