"""The matrix product, handed to the packed micro-kernel (native/kernel_gemm.h).

What is decided here is how `out` is cut among threads: into a grid of cells, one a thread,
along the dimension that leaves the squarer cells.
"""

import numpy as np

from ..native._native cimport *


def gemm(a, b, bias, out, trans_a, trans_b, alpha, beta, relu):
    """See reference.gemm."""
    whole = closed(out)
    product(closed(a), closed(b), bias, whole, trans_a, trans_b, alpha, beta)
    if relu:
        np.maximum(whole, 0, out=whole)
    if whole is not out:
        out[...] = whole


cdef closed(matrix):
    """`matrix` without gaps between its rows."""
    gaps = matrix.ndim == 2 and matrix.strides[1] == matrix.itemsize
    return np.ascontiguousarray(matrix) if gaps else matrix


cdef product(a, b, bias, out, trans_a, trans_b, alpha, beta):
    cdef fd_gemm_args args
    cdef fd_dtype dtype = dtype_of(out)
    cdef int threads
    cdef double work
    args.trans_a, args.trans_b = trans_a, trans_b
    args.M, args.N = out.shape
    args.K = a.shape[0] if args.trans_a else a.shape[1]
    if args.trans_a:
        args.a = buffer2(a, dtype, args.K, args.M)
    else:
        args.a = buffer2(a, dtype, args.M, args.K)
    if args.trans_b:
        args.b = buffer2(b, dtype, args.N, args.K)
    else:
        args.b = buffer2(b, dtype, args.K, args.N)
    args.bias = optional1(bias, dtype, args.N)
    args.out = buffer2(out, dtype, args.M, args.N)
    args.alpha, args.beta = alpha, beta
    work = <double> args.M * args.N * (args.K / 4 + 1)      # a fused multiply-add costs little
    threads = threads_for(work)
    args.grid_m = threads if args.M > args.N else 1
    args.grid_n = 1 if args.M > args.N else threads
    run(FD_gemm, dtype, &args, threads, work)
