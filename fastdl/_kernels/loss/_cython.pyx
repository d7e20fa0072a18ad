"""Losses, rows split among threads (native/kernel_loss.h)."""

from ..native._native cimport *

cdef enum:
    EXP_WORK = 8                    # what exp and log cost beside a plain pass over memory


cdef fd_dtype set_rows(fd_loss_args *args, x, t) except *:
    """The sizes, `x` and its targets of the same shape."""
    cdef fd_dtype dtype = dtype_of(x)
    cdef Py_ssize_t rows
    rows, args.columns = x.shape
    if args.columns < 1:
        raise ValueError(f"native kernel: loss over no columns, {x.shape}")
    args.x = buffer2(x, dtype, rows, args.columns)
    args.t = buffer2(t, dtype, rows, args.columns)
    return dtype


cdef fd_dtype set_labelled_rows(fd_loss_args *args, x, t) except *:
    """The sizes, `x` and its targets as class indices."""
    cdef fd_dtype dtype = set_rows(args, x, x)
    args.t = integers(t, len(x), 8)
    return dtype


def softmax_cross_entropy(x, t, p, loss):
    """See reference.softmax_cross_entropy."""
    cdef fd_loss_args args
    cdef fd_dtype dtype = set_labelled_rows(&args, x, t)
    args.p = buffer2(p, dtype, len(x), args.columns)
    args.loss = buffer1(loss, dtype, len(x))
    run(FD_softmax_cross_entropy, dtype, &args, len(x), <double> EXP_WORK * x.size)


def softmax_cross_entropy_backward(p, t, dx, scale):
    """See reference.softmax_cross_entropy_backward."""
    cdef fd_loss_args args
    cdef fd_dtype dtype = set_labelled_rows(&args, p, t)
    args.dx = buffer2(dx, dtype, len(p), args.columns)
    args.scale = scale
    run(FD_softmax_cross_entropy_backward, dtype, &args, len(p), 1.0 * p.size)


def softmax_cross_entropy_with_gradient(x, t, dx, loss, scale):
    """See reference.softmax_cross_entropy_with_gradient."""
    cdef fd_loss_args args
    cdef fd_dtype dtype = set_labelled_rows(&args, x, t)
    args.dx = buffer2(dx, dtype, len(x), args.columns)
    args.loss = buffer1(loss, dtype, len(x))
    args.scale = scale
    run(FD_softmax_cross_entropy_with_gradient, dtype, &args, len(x), <double> EXP_WORK * x.size)


def softmax_cross_entropy_dense(x, t, p, loss):
    """See reference.softmax_cross_entropy_dense."""
    cdef fd_loss_args args
    cdef fd_dtype dtype = set_rows(&args, x, t)
    args.p = buffer2(p, dtype, len(x), args.columns)
    args.loss = buffer1(loss, dtype, len(x))
    run(FD_softmax_cross_entropy_dense, dtype, &args, len(x), <double> EXP_WORK * x.size)


def softmax_cross_entropy_dense_backward(p, t, dx, scale):
    """See reference.softmax_cross_entropy_dense_backward."""
    cdef fd_loss_args args
    cdef fd_dtype dtype = set_rows(&args, p, t)
    args.dx = buffer2(dx, dtype, len(p), args.columns)
    args.scale = scale
    run(FD_softmax_cross_entropy_dense_backward, dtype, &args, len(p), 1.0 * p.size)


def softmax_cross_entropy_dense_with_gradient(x, t, dx, loss, scale):
    """See reference.softmax_cross_entropy_dense_with_gradient."""
    cdef fd_loss_args args
    cdef fd_dtype dtype = set_rows(&args, x, t)
    args.dx = buffer2(dx, dtype, len(x), args.columns)
    args.loss = buffer1(loss, dtype, len(x))
    args.scale = scale
    run(FD_softmax_cross_entropy_dense_with_gradient, dtype, &args, len(x),
        <double> EXP_WORK * x.size)


def cross_entropy(p, t, loss, eps):
    """See reference.cross_entropy."""
    cdef fd_loss_args args
    cdef fd_dtype dtype = set_rows(&args, p, t)
    args.loss = buffer1(loss, dtype, len(p))
    args.eps = eps
    run(FD_cross_entropy, dtype, &args, len(p), <double> EXP_WORK * p.size)


def cross_entropy_backward(p, t, dx, eps, scale):
    """See reference.cross_entropy_backward."""
    cdef fd_loss_args args
    cdef fd_dtype dtype = set_rows(&args, p, t)
    args.dx = buffer2(dx, dtype, len(p), args.columns)
    args.eps, args.scale = eps, scale
    run(FD_cross_entropy_backward, dtype, &args, len(p), 1.0 * p.size)


def mse(y, t, loss):
    """See reference.mse."""
    cdef fd_loss_args args
    cdef fd_dtype dtype = set_rows(&args, y, t)
    args.loss = buffer1(loss, dtype, len(y))
    run(FD_mse, dtype, &args, len(y), 1.0 * y.size)


def mse_backward(y, t, dx, scale):
    """See reference.mse_backward."""
    cdef fd_loss_args args
    cdef fd_dtype dtype = set_rows(&args, y, t)
    args.dx = buffer2(dx, dtype, len(y), args.columns)
    args.scale = scale
    run(FD_mse_backward, dtype, &args, len(y), 1.0 * y.size)


def binary_cross_entropy(p, t, loss):
    """See reference.binary_cross_entropy."""
    cdef fd_loss_args args
    cdef fd_dtype dtype = set_rows(&args, p, t)
    args.loss = buffer1(loss, dtype, len(p))
    run(FD_binary_cross_entropy, dtype, &args, len(p), 2.0 * EXP_WORK * p.size)


def binary_cross_entropy_backward(p, t, dx, scale):
    """See reference.binary_cross_entropy_backward."""
    cdef fd_loss_args args
    cdef fd_dtype dtype = set_rows(&args, p, t)
    args.dx = buffer2(dx, dtype, len(p), args.columns)
    args.scale = scale
    run(FD_binary_cross_entropy_backward, dtype, &args, len(p), 1.0 * p.size)
