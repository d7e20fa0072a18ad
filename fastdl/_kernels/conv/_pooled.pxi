"""Convolution with a 2 x 2 max-pool behind it, channels-last (native/kernel_conv_pool.h).

The backward passes take the pool's gradient for dy and its `argmax`.
"""

cdef enum:
    BETWEEN_BYTES = 1 << 17     # maps between convolution and pool: they stay in a core's cache


cdef void *gradients(fd_conv_args *args, fd_dtype dtype, dy, argmax) except? NULL:
    """Data of dy: that of the output, or with `argmax` that of the pool behind it."""
    cdef fd_window *w = &args.window
    cdef Py_ssize_t OH = w.OH // 2, OW = w.OW // 2
    if argmax is None:
        return maps4(dy, dtype, w.N, args.OC, w.OH, w.OW, args.channels_last)
    args.argmax = integers(argmax.transpose(0, 2, 3, 1), w.N * args.OC * OH * OW, 1)
    return maps4(dy, dtype, w.N, args.OC, OH, OW, True)


cdef void describe_pool(fd_pool_args *pool, fd_conv_args *args) noexcept:
    cdef fd_window *w = &pool.window
    memset(pool, 0, sizeof(fd_pool_args))
    w.N, w.C, w.H, w.W = args.window.N, args.OC, args.window.OH, args.window.OW
    w.OH, w.OW = w.H // 2, w.W // 2
    w.KH = w.KW = w.SH = w.SW = 2
    w.DH = w.DW = 1
    pool.argmax_bytes = pool.channels_last = 1


def conv2d_max_pool2d(x, w, b, y, argmax, stride, padding, dilation, relu, algorithm):
    """See reference.conv2d_max_pool2d."""
    cdef fd_conv_pool_args job
    cdef fd_conv_args *args = &job.conv
    cdef fd_dtype dtype = dtype_of(x)
    cdef double work = describe(args, dtype, x, w, y, stride, padding, dilation, 1, True)
    cdef fd_window *window = &args.window
    cdef Py_ssize_t N = window.N, OC = args.OC, panels, m
    cdef Py_ssize_t image = bytes_written(args, x.itemsize)
    args.x = maps4(x, dtype, N, window.C, window.H, window.W, True)
    args.w = buffer(w, dtype, w.size)
    args.b = optional1(b, dtype, OC)
    args.relu = relu
    describe_pool(&job.pool, args)
    job.pool.y = maps4(y, dtype, N, OC, window.OH // 2, window.OW // 2, True)
    if argmax is not None:
        job.pool.argmax = integers(argmax.transpose(0, 2, 3, 1), y.size, 1)
    m = winograd_tile(args, dtype, algorithm, window.OH, window.OW, False)
    job.images = max(1, min(BETWEEN_BYTES // max(image, 1), ceil_div(N, threads_for(work))))
    window.N = job.images
    job.by_winograd = m != 0
    if m:
        job.winograd = winograd_args(args, m)
        job.winograd.w, job.winograd.b, job.winograd.relu = args.w, args.b, relu
        cut_cells(&job.winograd, most_tiles(&job.winograd), 1)
        transform_filters(&job.winograd)
    else:
        cut(args, bytes_read(args, x.itemsize), window.OH, window.OW, 1)
        panels = panel_items(OC, x.itemsize)
        args.packed = shared_scratch(panels * PANEL_BYTES * window.C * window.KH * window.KW + 1)
        run(FD_conv2d_pack, dtype, args, panels, <double> w.size)
    run(FD_conv2d_max_pool2d, dtype, &job, ceil_div(N, job.images), work)
