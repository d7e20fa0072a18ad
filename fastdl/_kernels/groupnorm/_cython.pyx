"""Layer, instance and group normalisation: groups of images, or channels, split among threads
(native/kernel_groupnorm.h)."""

from ..native._native cimport *


cdef int prepare(fd_group_norm_args *args, x, weight, mean, rstd) except -1:
    cdef fd_dtype dtype = dtype_of(x)
    args.N, args.G, args.K, args.L = x.shape
    if args.K < 1 or args.L < 1:
        raise ValueError(f"native kernel: group_norm over no values in a group, {x.shape}")
    args.x = buffer4(x, dtype, args.N, args.G, args.K, args.L)
    args.weight = buffer2(weight, dtype, args.G, args.K)
    args.mean = buffer2(mean, dtype, args.N, args.G)
    args.rstd = buffer2(rstd, dtype, args.N, args.G)
    return 0


def group_norm(x, weight, bias, y, mean, rstd, eps):
    """See reference.group_norm."""
    cdef fd_group_norm_args args
    cdef fd_dtype dtype = dtype_of(x)
    prepare(&args, x, weight, mean, rstd)
    args.bias = buffer2(bias, dtype, args.G, args.K)
    args.y = buffer4(y, dtype, args.N, args.G, args.K, args.L)
    args.eps = eps
    run(FD_group_norm, dtype, &args, args.N * args.G, 3.0 * x.size)


def group_norm_backward(dy, x, weight, mean, rstd, dx, dw, db):
    """See reference.group_norm_backward."""
    cdef fd_group_norm_args args
    cdef fd_dtype dtype = dtype_of(x)
    prepare(&args, x, weight, mean, rstd)
    args.dy = buffer4(dy, dtype, args.N, args.G, args.K, args.L)
    args.dx = buffer4(dx, dtype, args.N, args.G, args.K, args.L)
    args.dw = buffer2(dw, dtype, args.G, args.K)
    args.db = buffer2(db, dtype, args.G, args.K)
    run(FD_group_norm_backward, dtype, &args, args.N * args.G, 3.0 * x.size)
    run(FD_group_norm_backward_weight, dtype, &args,
        args.G * (args.K if args.L > 1 else ceil_div(args.K, FD_GROUP_BLOCK)), 2.0 * x.size)
