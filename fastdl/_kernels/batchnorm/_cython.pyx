"""Batch normalisation, channels or images split among threads (native/kernel_batchnorm.h)."""

from ..native._native cimport *

from libc.math cimport NAN, isfinite
from libc.string cimport memset

cdef enum:
    SHORT_PLANE = 16                # positions: fewer are no vector, and taken as columns of a row


cdef int prepare(fd_norm_args *args, x) except -1:
    memset(args, 0, sizeof(fd_norm_args))
    args.N, args.C, args.L = x.shape
    if args.C < 1 or args.L < 1:
        raise ValueError(f"native kernel: batch_norm over no values in a channel, {x.shape}")
    args.by_rows = is_channels_last(x) or args.L < SHORT_PLANE
    args.stream = streams(x.size, dtype_of(x))
    return 0


cdef int set_relu(fd_norm_args *args, cap) except -1:
    args.relu = cap is not None
    args.cap = cap if args.relu and isfinite(<double> cap) else NAN
    return 0


cdef void *maps(array, fd_dtype dtype, x) except? NULL:
    """Data of an array of x's size and layout."""
    return dense(array, dtype, x.size, is_channels_last(x))


cdef void *optional_maps(array, fd_dtype dtype, x) except? NULL:
    return NULL if array is None else maps(array, dtype, x)


cdef int run_steps(fd_norm_args *args, fd_dtype dtype, x, bint statistics) except -1:
    """Sums and result, or the result alone."""
    cdef double work = 3.0 * x.size
    cdef Py_ssize_t threads = threads_for(work)
    cdef size_t bytes
    if is_channels_last(x):
        args.N, args.L = args.N * args.L, 1
    if args.moments != NULL:
        run(FD_batch_norm_finish, dtype, args, args.C, args.C)
    elif statistics and not args.by_rows and args.C >= 2 * threads:
        return run(FD_batch_norm_by_channels, dtype, args, args.C, work)
    elif statistics:
        args.parts = threads
        bytes = threads * 2 * args.C * sizeof(double)
        args.sums = <double *> shared_scratch(bytes)
        if not args.backward:
            run(FD_batch_norm_guess, dtype, args, args.C, 16.0 * args.C)
        run(FD_batch_norm_sums, dtype, args, threads, work)
        run(FD_batch_norm_finish, dtype, args, args.C, <double> threads * args.C)
    return run(FD_batch_norm_map, dtype, args, args.N, work)


def batch_norm(x, weight, bias, residual, running_mean, running_var, y, mean, rstd, momentum, eps,
               cap, moments=None):
    """See reference.batch_norm."""
    cdef fd_norm_args args
    cdef fd_dtype dtype = dtype_of(x)
    prepare(&args, x)
    args.x, args.y = maps(x, dtype, x), maps(y, dtype, x)
    args.residual = optional_maps(residual, dtype, x)
    args.weight = buffer1(weight, dtype, args.C)
    args.bias = buffer1(bias, dtype, args.C)
    args.mean = buffer1(mean, dtype, args.C)
    args.rstd = buffer1(rstd, dtype, args.C)
    args.running_mean = optional1(running_mean, dtype, args.C)
    args.running_var = optional1(running_var, dtype, args.C)
    args.momentum, args.eps = momentum, eps
    set_relu(&args, cap)
    if moments is not None:
        args.moments = buffer2(moments, dtype, 2, args.C)
    run_steps(&args, dtype, x, True)


def batch_norm_inference(x, weight, bias, mean, var, residual, y, eps, cap):
    """See reference.batch_norm_inference."""
    cdef fd_norm_args args
    cdef fd_dtype dtype = dtype_of(x)
    prepare(&args, x)
    args.x, args.y = maps(x, dtype, x), maps(y, dtype, x)
    args.residual = optional_maps(residual, dtype, x)
    args.weight = buffer1(weight, dtype, args.C)
    args.bias = buffer1(bias, dtype, args.C)
    args.mean = buffer1(mean, dtype, args.C)
    args.var = buffer1(var, dtype, args.C)
    args.eps = eps
    set_relu(&args, cap)
    run_steps(&args, dtype, x, False)


def batch_norm_backward(dy, x, y, weight, mean, rstd, dx, dresidual, dw, db, training,
                        cap):
    """See reference.batch_norm_backward."""
    cdef fd_norm_args args
    cdef fd_dtype dtype = dtype_of(x)
    prepare(&args, x)
    args.dy, args.x, args.dx = maps(dy, dtype, x), maps(x, dtype, x), maps(dx, dtype, x)
    args.y, args.dresidual = optional_maps(y, dtype, x), optional_maps(dresidual, dtype, x)
    args.weight = buffer1(weight, dtype, args.C)
    args.mean = buffer1(mean, dtype, args.C)
    args.rstd = buffer1(rstd, dtype, args.C)
    args.dw = buffer1(dw, dtype, args.C)
    args.db = buffer1(db, dtype, args.C)
    args.training = training
    args.backward = True
    set_relu(&args, cap)
    run_steps(&args, dtype, x, True)
