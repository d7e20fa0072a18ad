"""im2col by rows of output pixels or lines of taps, col2im by planes (native/kernel_im2col.h)."""

from ..native._native cimport *


def im2col(x, col, kernel, stride, padding, dilation, output, transpose):
    """See reference.im2col."""
    cdef fd_im2col_args args
    cdef fd_window *w = &args.window
    cdef fd_dtype dtype = dtype_of(x)
    set_window(w, x.shape, output, kernel, stride, padding, dilation)
    args.source = buffer4(x, dtype, w.N, w.C, w.H, w.W)
    args.target = buffer(col, dtype, w.N * w.OH * w.OW * w.C * w.KH * w.KW)
    args.transpose = transpose
    args.stream = streams(col.size, dtype)
    run(FD_im2col, dtype, &args, w.N * w.OH if args.transpose else w.N * w.C * w.KH * w.KW,
        col.size)


def col2im(col, x, kernel, stride, padding, dilation, output, transpose):
    """See reference.col2im."""
    cdef fd_im2col_args args
    cdef fd_window *w = &args.window
    cdef fd_dtype dtype = dtype_of(x)
    set_window(w, x.shape, output, kernel, stride, padding, dilation)
    args.source = buffer(col, dtype, w.N * w.OH * w.OW * w.C * w.KH * w.KW)
    args.target = buffer4(x, dtype, w.N, w.C, w.H, w.W)
    args.transpose = transpose
    run(FD_col2im, dtype, &args, w.N * w.C, col.size)
