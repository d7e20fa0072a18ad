"""Update steps, elements split among threads (native/kernel_optimizer.h)."""

from libc.math cimport sqrt

from ..native._native cimport *

cdef enum:
    WORK = 2                        # several arrays are read and written for each element


cdef fd_dtype set_step(fd_optimizer_args *args, w, dw, double lr, double l2) except *:
    """What every step has. (A step without state leaves s1 and s2 alone.)"""
    cdef fd_dtype dtype = dtype_of(w)
    if not w.flags.writeable:
        raise ValueError("native kernel: parameter is read-only")
    args.w = buffer(w, dtype, w.size)
    args.dw = buffer(dw, dtype, w.size)
    args.s1 = args.s2 = NULL
    args.lr, args.weight_decay = lr, l2
    return dtype


def sgd_update(w, dw, lr, weight_decay):
    """See reference.sgd_update."""
    cdef fd_optimizer_args args
    cdef fd_dtype dtype = set_step(&args, w, dw, lr, weight_decay)
    run(FD_sgd_update, dtype, &args, w.size, WORK * w.size)


def momentum_update(w, dw, v, lr, momentum, weight_decay):
    """See reference.momentum_update."""
    cdef fd_optimizer_args args
    cdef fd_dtype dtype = set_step(&args, w, dw, lr, weight_decay)
    args.s1 = buffer(v, dtype, w.size)
    args.d1 = momentum
    run(FD_momentum_update, dtype, &args, w.size, WORK * w.size)


def nesterov_update(w, dw, v, lr, momentum, weight_decay):
    """See reference.nesterov_update."""
    cdef fd_optimizer_args args
    cdef fd_dtype dtype = set_step(&args, w, dw, lr, weight_decay)
    args.s1 = buffer(v, dtype, w.size)
    args.d1 = momentum
    run(FD_nesterov_update, dtype, &args, w.size, WORK * w.size)


def adagrad_update(w, dw, h, lr, eps, weight_decay):
    """See reference.adagrad_update."""
    cdef fd_optimizer_args args
    cdef fd_dtype dtype = set_step(&args, w, dw, lr, weight_decay)
    args.s1 = buffer(h, dtype, w.size)
    args.eps = eps
    run(FD_adagrad_update, dtype, &args, w.size, WORK * w.size)


def adadelta_update(w, dw, h, delta, lr, rho, eps, weight_decay):
    """See reference.adadelta_update."""
    cdef fd_optimizer_args args
    cdef fd_dtype dtype = set_step(&args, w, dw, lr, weight_decay)
    args.s1 = buffer(h, dtype, w.size)
    args.s2 = buffer(delta, dtype, w.size)
    args.d1, args.eps = rho, eps
    run(FD_adadelta_update, dtype, &args, w.size, WORK * w.size)


def rmsprop_update(w, dw, h, lr, alpha, eps, weight_decay):
    """See reference.rmsprop_update."""
    cdef fd_optimizer_args args
    cdef fd_dtype dtype = set_step(&args, w, dw, lr, weight_decay)
    args.s1 = buffer(h, dtype, w.size)
    args.d1, args.eps = alpha, eps
    run(FD_rmsprop_update, dtype, &args, w.size, WORK * w.size)


def adam_update(w, dw, m, v, lr, beta1, beta2, eps, weight_decay, step):
    """See reference.adam_update."""
    cdef fd_optimizer_args args
    cdef fd_dtype dtype = set_step(&args, w, dw, lr, weight_decay)
    args.s1 = buffer(m, dtype, w.size)
    args.s2 = buffer(v, dtype, w.size)
    args.d1, args.d2, args.eps = beta1, beta2, eps
    args.c1 = lr / (1 - beta1**step)
    args.c2 = 1 / sqrt(1 - beta2**step)
    run(FD_adam_update, dtype, &args, w.size, WORK * w.size)


def adamw_update(w, dw, m, v, lr, beta1, beta2, eps, weight_decay, step):
    """See reference.adamw_update."""
    cdef fd_optimizer_args args
    cdef fd_dtype dtype = set_step(&args, w, dw, lr, 0)
    args.s1 = buffer(m, dtype, w.size)
    args.s2 = buffer(v, dtype, w.size)
    args.d1, args.d2, args.eps = beta1, beta2, eps
    args.c1 = lr / (1 - beta1**step)
    args.c2 = 1 / sqrt(1 - beta2**step)
    args.c3 = 1 - lr * weight_decay             # and no L2 term in the gradient
    run(FD_adamw_update, dtype, &args, w.size, WORK * w.size)


def nadam_update(w, dw, m, v, lr, beta1, beta2, eps, weight_decay, step, mu, mu_next, mu_product):
    """See reference.nadam_update."""
    cdef fd_optimizer_args args
    cdef fd_dtype dtype = set_step(&args, w, dw, lr, weight_decay)
    args.s1 = buffer(m, dtype, w.size)
    args.s2 = buffer(v, dtype, w.size)
    args.d1, args.d2, args.eps = beta1, beta2, eps
    args.c1 = lr * (1 - mu) / (1 - mu_product)
    args.c2 = lr * mu_next / (1 - mu_product * mu_next)
    args.c3 = 1 / (1 - beta2**step)
    run(FD_nadam_update, dtype, &args, w.size, WORK * w.size)
