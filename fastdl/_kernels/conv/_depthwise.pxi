"""Depthwise convolution (native/kernel_depthwise.h): how its work is described and cut."""

from libc.string cimport memcpy, memset

cdef enum:
    VECTOR_BYTES = 64       # of the longest vectors, and a multiple of all


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
    args.residual = optional_maps4(residual, dtype, args.window.N, args.OC, args.window.OH,
                                   args.window.OW, args.channels_last)
    args.y = cnp.PyArray_DATA(y)
    args.relu = relu
    run(FD_conv2d_depthwise, dtype, &args, args.window.N * args.row_cells, work)


cdef depthwise_backward_input(dy, w, residual, gate, dx, stride, padding, dilation):
    cdef fd_depthwise_args args
    cdef fd_dtype dtype = dtype_of(dy)
    cdef double work = describe_depthwise(&args, dtype, dx, w, dy, stride, padding, dilation)
    args.dy = cnp.PyArray_DATA(dy)
    args.dx = cnp.PyArray_DATA(dx)
    args.residual = optional_maps4(residual, dtype, args.window.N, args.window.C, args.window.H,
                                   args.window.W, args.channels_last)
    args.gate = optional_maps4(gate, dtype, args.window.N, args.window.C, args.window.H,
                               args.window.W, args.channels_last)
    if args.residual == args.dx and args.window.C * dx.itemsize % VECTOR_BYTES:
        # The last vector of channels overlaps the one before, and would find its sums.
        args.residual = memcpy(shared_scratch(dx.nbytes), args.dx, dx.nbytes)
    run(FD_conv2d_depthwise_backward_input, dtype, &args, args.window.N * args.row_cells, work)


cdef depthwise_backward_weight(dy, x, dw, db, stride, padding, dilation):
    cdef fd_depthwise_args args
    cdef fd_dtype dtype = dtype_of(dy)
    cdef double work = describe_depthwise(&args, dtype, x, dw, dy, stride, padding, dilation)
    cdef Py_ssize_t C = args.window.C, multiplier = args.OC // C
    cdef Py_ssize_t taps = args.window.KH * args.window.KW
    args.dy = cnp.PyArray_DATA(dy)
    args.x = cnp.PyArray_DATA(x)
    args.dw = cnp.PyArray_DATA(dw)
    args.db = <void *> optional1(db, dtype, args.OC)
    cdef Py_ssize_t sums = args.image_cells * multiplier * (taps + 1) * C
    args.sums = shared_scratch(sums * dw.itemsize)
    memset(args.sums, 0, sums * dw.itemsize)    # where there are no outputs, nobody writes them
    run(FD_conv2d_depthwise_backward_weight, dtype, &args,
        args.image_cells * args.channel_cells, work)
    run(FD_conv2d_depthwise_weight_store, dtype, &args, C, sums)
