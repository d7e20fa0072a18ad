"""The matrix product, handed to the register-tiled kernel (native/kernel_gemm.h).

What is decided here is how `out` is cut among threads: into a grid of cells.
"""

from ..native._native cimport *


cdef void cut(fd_gemm_args *args, Py_ssize_t itemsize, int threads) noexcept:
    """Choose the grid whose largest cell is done first."""
    # Cycles for each step of k: two vectors of sums each, and what is spent on packing.
    cdef Py_ssize_t lanes = 64 // itemsize, rows, columns, across
    cdef double cycles, least = -1
    for across in range(1, threads + 1):
        if threads % across:
            continue
        rows = ceil_div(args.M * across, threads)
        columns = ceil_div(args.N, across * lanes) * lanes
        cycles = rows * columns / (2. * lanes) + 0.1 * rows
        if not fd_b_lies_ready(args, rows, itemsize):
            cycles += 0.3 * columns * (across / <double> threads if across == 1 else 1)
        if least < 0 or cycles < least:
            least, args.grid_m, args.grid_n = cycles, threads // across, across


cdef int multiply(fd_gemm_args *args, fd_dtype dtype) except -1:
    """Everything in `args` is set but the grid."""
    cdef Py_ssize_t itemsize = 8 if dtype == FD_FLOAT64 else 4, panels
    cdef double work = <double> args.M * args.N * (args.K / 4 + 1)  # a multiply-add costs little
    args.packed = NULL
    # What is summed up next had better stay in the cache.
    args.stream = args.moments == NULL and streams(args.M * args.N, dtype)
    cut(args, itemsize, threads_for(work))
    if args.moments != NULL:
        open_slots(args.moments, args.grid_m)
    # What is quickly packed each thread packs for itself: to get it from another takes longer.
    if (args.grid_n == 1 and args.grid_m > 1 and threads_for(<double> args.N * args.K) > 1
            and not fd_b_lies_ready(args, ceil_div(args.M, args.grid_m), itemsize)):
        panels = panel_items(args.N, itemsize)
        args.packed = shared_scratch(panels * PANEL_BYTES * args.K + 1)
        run(FD_gemm_pack, dtype, args, panels, work)
    run(FD_gemm, dtype, args, args.grid_m * args.grid_n, work)
    return 0


def column_sums(x, sums):
    """See reference.column_sums."""
    cdef fd_dtype dtype = dtype_of(x)
    cdef Py_ssize_t rows, columns, parts = 1
    cdef void *own
    cdef void *given
    cdef void *apart
    rows, columns = x.shape
    given, own = buffer2(x, dtype, rows, columns), buffer1(sums, dtype, columns)
    if columns < FD_SUMS_BLOCK and rows > FD_SUMS_BLOCK:        # too few columns to share out
        parts = threads_for(<double> x.size)
    if parts > 1:
        apart = shared_scratch(parts * columns * x.itemsize)
        sum_columns(given, rows, columns, parts, apart, dtype)
        sum_columns(apart, parts, columns, 1, own, dtype)
    else:
        sum_columns(given, rows, columns, 1, own, dtype)


def gemm(a, b, bias, gate, out, trans_a, trans_b, alpha, beta, relu):
    """See reference.gemm."""
    cdef fd_gemm_args args
    cdef fd_dtype dtype = dtype_of(out)
    cdef Py_ssize_t rows, columns
    args.trans_a, args.trans_b, args.relu = trans_a, trans_b, relu
    args.alpha, args.beta = alpha, beta
    args.M, args.N = out.shape
    args.K = a.shape[0] if args.trans_a else a.shape[1]
    rows, columns = (args.K, args.M) if args.trans_a else (args.M, args.K)
    args.a = matrix(a, dtype, rows, columns, &args.a_row)
    rows, columns = (args.N, args.K) if args.trans_b else (args.K, args.N)
    args.b = matrix(b, dtype, rows, columns, &args.b_row)
    args.bias = optional1(bias, dtype, args.N)
    args.out = matrix(out, dtype, args.M, args.N, &args.out_row)
    args.moments, args.gate = NULL, NULL
    if gate is not None:
        args.gate = matrix(gate, dtype, args.M, args.N, &args.gate_row)
    args.start = args.out if args.beta != 0 else NULL
    multiply(&args, dtype)
