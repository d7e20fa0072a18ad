"""A 1 x 1 window over channels-last maps is a product of matrices: (pixels, C) with (OC, C)."""

from libc.string cimport memset

from ..gemm._cython cimport multiply


cdef bint is_pointwise(fd_conv_args *args) noexcept:
    cdef fd_window *w = &args.window
    return (w.KH * w.KW * w.SH * w.SW == 1 and w.PH == 0 and w.PW == 0
            and args.groups == 1 and args.channels_last)


cdef fd_gemm_args matrices(const void *a, const void *b, void *out, Py_ssize_t M, Py_ssize_t N,
                           Py_ssize_t K, bint trans_a, bint trans_b) noexcept:
    cdef fd_gemm_args args
    memset(&args, 0, sizeof(args))
    args.a, args.b, args.out, args.M, args.N, args.K = a, b, out, M, N, K
    args.a_row, args.b_row, args.out_row = (M if trans_a else K), (K if trans_b else N), N
    args.trans_a, args.trans_b, args.alpha, args.beta = trans_a, trans_b, 1, 1
    return args


cdef Py_ssize_t pixels(fd_conv_args *args) noexcept:
    return args.window.N * args.window.OH * args.window.OW


cdef int pointwise(fd_conv_args *args, fd_dtype dtype) except -1:
    """y = x w^T"""
    cdef fd_gemm_args product = matrices(args.x, args.w, args.y, pixels(args), args.OC,
                                         args.window.C, False, True)
    product.start, product.bias, product.relu = args.residual, args.b, args.relu
    product.moments = args.moments
    return multiply(&product, dtype)


cdef int pointwise_backward_input(fd_conv_args *args, fd_dtype dtype) except -1:
    """dx = dy w"""
    cdef fd_gemm_args product = matrices(args.dy, args.w, args.dx, pixels(args), args.window.C,
                                         args.OC, False, False)
    product.start, product.gate, product.gate_row = args.residual, args.gate, args.window.C
    return multiply(&product, dtype)


cdef int pointwise_backward_weight(fd_conv_args *args, fd_dtype dtype) except -1:
    """dw = dy^T x"""
    cdef fd_gemm_args product = matrices(args.dy, args.x, args.dw, args.OC, args.window.C,
                                         pixels(args), True, False)
    return multiply(&product, dtype)
