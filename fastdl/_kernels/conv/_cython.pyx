"""Convolution as an implicit matrix product (native/kernel_conv.h); depthwise directly.

What is decided here is which kernel runs and how its work is cut: into strips of some rows that
stay in a core's cache, and a weight gradient into parts that are added up, or by its channels.
Where it is faster, or asked for, Winograd's algorithm runs (native/kernel_winograd.h).
"""

cimport numpy as cnp
from ..native._native cimport *
from .reference import fill_moments

cnp.import_array()

cdef enum:
    STRIP_BYTES = 1 << 18   # a strip of what is read and written stays in a core's cache
    SUMS_BYTES = 1 << 20    # so do sums of a weight gradient; where they do not,
    LONG_STRIP_BYTES = 1 << 21      # longer strips fetch them less often
    EVEN = 4                # with that many strips a thread, one more or less does not matter


cdef double describe(fd_conv_args *args, fd_dtype dtype, object x, object w, object y,
                     tuple stride, tuple padding, tuple dilation, groups,
                     bint pooled=False) except -1:
    """Fill in the shapes, check that they agree, and return the work of one pass.

    `x`, `w`, `y` may also be gradients: their shapes and their layout are what counts. `pooled`: y
    is what a 2 x 2 max-pool made of the output, and all maps are channels-last.
    """
    cdef fd_window *window = &args.window
    output = y.shape[2:]
    if pooled:
        output = tuple([(n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in
                        zip(x.shape[2:], w.shape[2:], stride, padding, dilation)])
    set_window(window, x.shape, output, w.shape[2:], stride, padding, dilation)
    args.OC, args.groups = w.shape[0], groups
    args.residual = args.gate = args.argmax = NULL
    args.moments = NULL
    args.channels_last = pooled or is_channels_last(x) or is_channels_last(y)
    if (args.groups < 1 or window.C % args.groups or args.OC % args.groups
            or w.shape[1] != window.C // args.groups):
        raise ValueError(f"native kernel: groups {groups} do not divide x {x.shape}, w {w.shape}")
    maps4(x, dtype, window.N, window.C, window.H, window.W, args.channels_last)
    buffer4(w, dtype, args.OC, window.C // args.groups, window.KH, window.KW)
    if pooled:
        maps4(y, dtype, window.N, args.OC, window.OH // 2, window.OW // 2, True)
    else:
        maps4(y, dtype, window.N, args.OC, window.OH, window.OW, args.channels_last)
    return (<double> window.N * args.OC * window.OH * window.OW
            * (window.C // args.groups) * window.KH * window.KW / 4 + 1)


cdef void flatten(fd_conv_args *args) noexcept:
    """A 1 x 1 window over whole planes reads them as one row, channels-last all images as one."""
    cdef fd_window *w = &args.window
    if (w.KH * w.KW != 1 or w.SH * w.SW != 1 or w.PH + w.PW != 0 or w.OH != w.H or w.OW != w.W):
        return
    w.W *= w.H
    w.H = 1
    if args.channels_last:
        w.W *= w.N
        w.N = 1
    w.OH, w.OW = w.H, w.W


cdef Py_ssize_t cut(fd_conv_args *args, Py_ssize_t image_bytes, Py_ssize_t rows,
                    Py_ssize_t columns, int threads,
                    Py_ssize_t strip_bytes=STRIP_BYTES) noexcept:
    """Cut the images, of so many rows and columns of outputs, into strips; returns how many."""
    cdef Py_ssize_t N = args.window.N, strips, parts
    args.together = args.row_parts = args.column_parts = 1
    if rows < 1 or columns < 1 or N < 1:
        return 0
    if 2 * image_bytes <= strip_bytes:
        args.together = min(strip_bytes // max(image_bytes, 1), ceil_div(N, threads))
    parts = ceil_div(image_bytes, strip_bytes)
    strips = ceil_div(N, args.together)
    if strips * parts % threads and strips * parts < EVEN * threads:
        parts = ceil_div(EVEN * threads, strips)
    if args.together == 1:
        args.row_parts = min(rows, parts)
        if rows == 1:
            args.column_parts = min(columns, parts)
    return strips * args.row_parts * args.column_parts


cdef Py_ssize_t bytes_read(fd_conv_args *args, Py_ssize_t itemsize) noexcept:
    """Of an image of x with its padding, the channels of one group."""
    cdef fd_window *w = &args.window
    return ((w.H + 2 * min(w.PH, w.H)) * (w.W + 2 * min(w.PW, w.W))
            * (w.C // args.groups) * itemsize)


cdef Py_ssize_t bytes_written(fd_conv_args *args, Py_ssize_t itemsize) noexcept:
    """Of an image of y, the channels of one group."""
    return args.window.OH * args.window.OW * (args.OC // args.groups) * itemsize


include "_depthwise.pxi"
include "_pointwise.pxi"
include "_winograd.pxi"
include "_method.pxi"
include "_pooled.pxi"


cdef inline bint is_depthwise(object x, groups) except -1:
    return groups > 1 and groups == x.shape[1]


def conv2d(x, w, b, residual, y, stride, padding, dilation, groups, relu, algorithm,
           moments=None):
    """See reference.conv2d."""
    cdef fd_moments_args sums
    cdef bint on_the_way = moments is not None and groups == 1 and is_channels_last(y)
    if on_the_way:
        sums.C, sums.moments = y.shape[1], buffer2(moments, dtype_of(y), 2, y.shape[1])
    correlate(x, w, b, residual, y, stride, padding, dilation, groups, relu, algorithm,
              &sums if on_the_way else NULL)
    if on_the_way:
        run(FD_moments, dtype_of(y), &sums, sums.C, <double> sums.n_slots * sums.C)
    elif moments is not None:
        fill_moments(y, moments)


cdef int correlate(x, w, b, residual, y, stride, padding, dilation, groups, relu, algorithm,
                   fd_moments_args *moments) except -1:
    """The forward pass; `moments` are of one group and channels-last."""
    if is_depthwise(x, groups):
        depthwise(x, w, b, residual, y, stride, padding, dilation, relu)
        return 0
    cdef fd_conv_args args
    cdef fd_dtype dtype = dtype_of(x)
    cdef double work = describe(&args, dtype, x, w, y, stride, padding, dilation, groups)
    cdef fd_window *window = &args.window
    cdef int threads = threads_for(work)
    cdef Py_ssize_t oc = args.OC // args.groups, image, strips, panels, m
    cdef fd_winograd_args job
    args.w = buffer(w, dtype, w.size)
    args.b = optional1(b, dtype, args.OC)
    args.x = maps4(x, dtype, window.N, window.C, window.H, window.W, args.channels_last)
    args.y = maps4(y, dtype, window.N, args.OC, window.OH, window.OW, args.channels_last)
    args.residual = optional_maps4(residual, dtype, window.N, args.OC, window.OH, window.OW,
                                   args.channels_last)
    args.relu, args.moments = relu, moments
    if is_pointwise(&args):
        return pointwise(&args, dtype)
    m = winograd_tile(&args, dtype, algorithm, window.OH, window.OW, False)
    if m:
        job = winograd_args(&args, m)
        job.x, job.w, job.b, job.residual, job.y = args.x, args.w, args.b, args.residual, args.y
        job.relu, job.moments = relu, moments
        return correlate_by_winograd(&job, work)
    flatten(&args)
    image = bytes_read(&args, x.itemsize)
    # What is written is read again soon. More strips read the filters more often.
    if not args.channels_last or (moments != NULL and w.nbytes <= STRIP_BYTES):
        image += bytes_written(&args, x.itemsize)
    strips = cut(&args, image, window.OH, window.OW, threads)
    panels = panel_items(oc, x.itemsize)
    args.packed = shared_scratch(args.groups * panels * PANEL_BYTES * (window.C // args.groups)
                                 * window.KH * window.KW + 1)
    run(FD_conv2d_pack, dtype, &args, args.groups * panels, <double> w.size)
    if moments != NULL:
        open_slots(moments, strips)
    return run(FD_conv2d, dtype, &args, args.groups * strips, work)


def conv2d_backward_input(dy, w, residual, gate, dx, stride, padding, dilation, groups, algorithm,
                          argmax=None):
    """See reference.conv2d_backward_input; for `argmax`, _pooled.pxi."""
    if is_depthwise(dx, groups):
        depthwise_backward_input(dy, w, residual, gate, dx, stride, padding, dilation)
        return
    cdef fd_conv_args args
    cdef fd_dtype dtype = dtype_of(dy)
    cdef double work = describe(&args, dtype, dx, w, dy, stride, padding, dilation, groups,
                                argmax is not None)
    cdef fd_window *window = &args.window
    cdef int threads = threads_for(work)
    cdef Py_ssize_t c = window.C // args.groups, image, strips, panels, m
    cdef fd_winograd_args job
    args.w = buffer(w, dtype, w.size)
    args.dy = gradients(&args, dtype, dy, argmax)
    args.dx = maps4(dx, dtype, window.N, window.C, window.H, window.W, args.channels_last)
    args.residual = optional_maps4(residual, dtype, window.N, window.C, window.H, window.W,
                                   args.channels_last)
    args.gate = optional_maps4(gate, dtype, window.N, window.C, window.H, window.W,
                               args.channels_last)
    if is_pointwise(&args):
        pointwise_backward_input(&args, dtype)
        return
    m = winograd_tile(&args, dtype, algorithm, window.H, window.W, False)
    if m:
        job = winograd_args(&args, m)
        job.C, job.H, job.W = args.OC, window.OH, window.OW
        job.OC, job.OH, job.OW = window.C, window.H, window.W
        job.x, job.w, job.y = args.dy, args.w, args.dx
        job.residual, job.gate, job.argmax = args.residual, args.gate, args.argmax
        look_backward(&job, window.PH, window.PW, threads)
        correlate_by_winograd(&job, work)
        return
    flatten(&args)
    if c <= FD_FEW_CHANNELS:    # dy passes through a band of its rows, which is no item's size
        image = bytes_read(&args, dy.itemsize)
    else:
        image = bytes_written(&args, dy.itemsize)
        if not args.channels_last:
            image += bytes_read(&args, dy.itemsize)
    strips = cut(&args, image, window.H, window.W, threads)
    panels = panel_items(c, dy.itemsize)
    args.packed = shared_scratch(args.groups * panels * PANEL_BYTES * (args.OC // args.groups)
                                 * window.KH * window.KW + 1)
    run(FD_conv2d_backward_pack, dtype, &args, args.groups * panels, <double> w.size)
    run(FD_conv2d_backward_input, dtype, &args, args.groups * strips, work)


def conv2d_backward_weight(dy, x, dw, db, stride, padding, dilation, groups, algorithm,
                           argmax=None):
    """See reference.conv2d_backward_weight; for `argmax`, _pooled.pxi."""
    if is_depthwise(x, groups):
        depthwise_backward_weight(dy, x, dw, db, stride, padding, dilation)
        return
    cdef fd_conv_args args
    cdef fd_dtype dtype = dtype_of(dy)
    cdef double work = describe(&args, dtype, x, dw, dy, stride, padding, dilation, groups,
                                argmax is not None)
    cdef fd_window *window = &args.window
    cdef int threads = threads_for(work)
    cdef Py_ssize_t sums, strips, m, of_dw
    cdef fd_winograd_args job
    args.dy = gradients(&args, dtype, dy, argmax)
    args.x = maps4(x, dtype, window.N, window.C, window.H, window.W, args.channels_last)
    args.dw = buffer(dw, dtype, dw.size)
    args.db = optional1(db, dtype, args.OC)
    sums = dw.nbytes // args.groups
    if is_pointwise(&args) and db is None and sums > SUMS_BYTES // 4:
        pointwise_backward_weight(&args, dtype)
        return
    m = winograd_tile(&args, dtype, algorithm, window.OH, window.OW, True)
    if m and window.N * window.OH * window.OW:
        job = winograd_args(&args, m)
        job.x, job.dy, job.dw, job.db = args.x, args.dy, args.dw, args.db
        job.argmax = args.argmax
        winograd_backward_weight(&job, work)
        return
    flatten(&args)
    strips = cut(&args, bytes_read(&args, dy.itemsize) + bytes_written(&args, dy.itemsize),
                 window.OH, window.OW, threads,
                 STRIP_BYTES if sums <= SUMS_BYTES else LONG_STRIP_BYTES)
    # Each part of the images has sums of its own, in a core's cache; where they would not fit
    # there, each thread takes some of the channels over all images.
    args.dw_parts = args.channel_parts = 1
    if args.groups < threads:
        if sums <= SUMS_BYTES or args.OC // args.groups < threads * PANEL_BYTES // dw.itemsize:
            args.dw_parts = max(1, min(threads, strips))
        else:
            args.channel_parts = threads
    if args.dw_parts > 1:
        of_dw = args.dw_parts * dw.nbytes
        args.dw = shared_scratch(of_dw + args.dw_parts * args.OC * dw.itemsize)
        if db is not None:
            args.db = <char *> args.dw + of_dw
    run(FD_conv2d_backward_weight, dtype, &args,
        args.dw_parts * args.groups * args.channel_parts, work)
    if args.dw_parts > 1:
        sum_columns(args.dw, args.dw_parts, dw.size, 1, cnp.PyArray_DATA(dw), dtype)
        if db is not None:
            sum_columns(args.db, args.dw_parts, args.OC, 1, cnp.PyArray_DATA(db), dtype)
