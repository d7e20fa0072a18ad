"""Which way a pass takes, in words, for who explains a plan; no array need be there yet."""

from libc.string cimport memset


def method_of(kernel, x_shape, w_shape, y_shape, window, channels_last, float64, algorithm):
    """The way that `kernel` (conv2d or one of its backward passes) takes for such arrays."""
    cdef fd_conv_args args
    cdef fd_window *w = &args.window
    cdef bint forward = kernel == "conv2d", to_filters = kernel == "conv2d_backward_weight"
    cdef Py_ssize_t m
    memset(&args, 0, sizeof(args))
    stride, padding, dilation, args.groups = window
    set_window(w, x_shape, y_shape[2:], w_shape[2:], stride, padding, dilation)
    args.OC, args.channels_last = w_shape[0], channels_last
    if args.groups > 1 and args.groups == w.C:
        return "depthwise"
    if is_pointwise(&args):
        return "product"
    if forward or to_filters:
        m = winograd_tile(&args, FD_FLOAT64 if float64 else FD_FLOAT32, algorithm, w.OH, w.OW,
                          to_filters)
    else:
        m = winograd_tile(&args, FD_FLOAT64 if float64 else FD_FLOAT32, algorithm, w.H, w.W, False)
    return f"Winograd F({m}×{m}, {w.KH}×{w.KW})" if m else "direct"
