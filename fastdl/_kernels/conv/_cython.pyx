"""Convolution as an implicit matrix product (native/kernel_conv.h); depthwise directly.

What is decided here is which kernel runs and how its work is cut among threads: over images
where there are enough of them, else over pixels; the weight gradient over its own cells.
"""

from ..native._native cimport *

# A thread gets several cells, so that one slow core does not hold up the rest.
cdef enum:
    CELLS_PER_THREAD = 4


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


cdef int run_over_images(fd_kernel kernel, fd_dtype dtype, fd_conv_args *args,
                         double work) except -1:
    cdef Py_ssize_t products = args.groups * args.window.N
    cdef Py_ssize_t cells = threads_for(work) * CELLS_PER_THREAD
    args.grid_n = 1 if products >= cells else (cells + products - 1) // max(products, 1)
    return run(kernel, dtype, args, products * args.grid_n, work)


def conv2d(x, w, b, y, stride, padding, dilation, groups):
    """See reference.conv2d."""
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


def conv2d_backward_input(dy, w, dx, stride, padding, dilation, groups):
    """See reference.conv2d_backward_input."""
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


def conv2d_backward_weight(dy, x, dw, db, stride, padding, dilation, groups):
    """See reference.conv2d_backward_weight."""
    cdef fd_conv_args args
    cdef fd_dtype dtype = dtype_of(dy)
    cdef double work = describe(&args, dtype, x, dw, dy, stride, padding, dilation, groups)
    cdef Py_ssize_t taps, threads = threads_for(work)
    args.dy = buffer(dy, dtype, dy.size)
    args.x = buffer(x, dtype, x.size)
    args.dw = buffer(dw, dtype, dw.size)
    args.db = optional1(db, dtype, args.OC)
    if is_depthwise(&args):
        run(FD_conv2d_depthwise_backward_weight, dtype, &args, args.OC, work)
        return
    # Cells that share rows gather no field twice; cells that share taps gather all of them.
    taps = args.window.C // args.groups * args.window.KH * args.window.KW
    args.grid_n = threads if taps >= 64 * threads else 1
    args.grid_m = threads // args.grid_n
    run(FD_conv2d_backward_weight, dtype, &args, args.groups * threads, work)
