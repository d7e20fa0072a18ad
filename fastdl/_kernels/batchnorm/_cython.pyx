"""Batch normalisation, channels split among threads (native/kernel_batchnorm.h)."""

from ..native._native cimport *


cdef int set_sizes(fd_norm_args *args, x) except -1:
    args.N, args.C, args.L = x.shape
    return 0


def batch_norm(x, weight, bias, running_mean, running_var, y, mean, rstd, momentum, eps):
    """See reference.batch_norm."""
    cdef fd_norm_args args
    cdef fd_dtype dtype = dtype_of(x)
    set_sizes(&args, x)
    args.x = buffer(x, dtype, x.size)
    args.y = buffer(y, dtype, x.size)
    args.weight = buffer1(weight, dtype, args.C)
    args.bias = buffer1(bias, dtype, args.C)
    args.mean = buffer1(mean, dtype, args.C)
    args.rstd = buffer1(rstd, dtype, args.C)
    args.running_mean = optional1(running_mean, dtype, args.C)
    args.running_var = optional1(running_var, dtype, args.C)
    args.momentum, args.eps = momentum, eps
    run(FD_batch_norm, dtype, &args, args.C, 3.0 * x.size)


def batch_norm_inference(x, weight, bias, mean, var, y, eps):
    """See reference.batch_norm_inference."""
    cdef fd_norm_args args
    cdef fd_dtype dtype = dtype_of(x)
    set_sizes(&args, x)
    args.x = buffer(x, dtype, x.size)
    args.y = buffer(y, dtype, x.size)
    args.weight = buffer1(weight, dtype, args.C)
    args.bias = buffer1(bias, dtype, args.C)
    args.mean = buffer1(mean, dtype, args.C)
    args.rstd = buffer1(var, dtype, args.C)         # this kernel reads the variance there
    args.eps = eps
    run(FD_batch_norm_inference, dtype, &args, args.N, x.size)


def batch_norm_backward(dy, x, weight, mean, rstd, dx, dw, db, training):
    """See reference.batch_norm_backward."""
    cdef fd_norm_args args
    cdef fd_dtype dtype = dtype_of(x)
    set_sizes(&args, x)
    args.dy = buffer(dy, dtype, x.size)
    args.x = buffer(x, dtype, x.size)
    args.weight = buffer1(weight, dtype, args.C)
    args.mean = buffer1(mean, dtype, args.C)
    args.rstd = buffer1(rstd, dtype, args.C)
    args.dx = buffer(dx, dtype, x.size)
    args.dw = buffer1(dw, dtype, args.C)
    args.db = buffer1(db, dtype, args.C)
    args.training = training
    run(FD_batch_norm_backward, dtype, &args, args.C, 3.0 * x.size)
