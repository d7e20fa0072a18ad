"""Update steps, the elements of all parameters split among threads (native/kernel_optimizer.h)."""

cimport numpy as cnp
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from libc.math cimport sqrt

from ..native._native cimport *

cnp.import_array()

cdef enum:
    WORK = 2                        # several arrays are read and written for each element


cdef void *changed(object array, fd_dtype dtype, Py_ssize_t size) except? NULL:
    """Data of an array that the update writes."""
    cdef void *data = buffer(array, dtype, size)
    if not cnp.PyArray_ISWRITEABLE(array):
        raise ValueError("native kernel: an array to be updated is read-only")
    return data


cdef class Table:
    """The arrays of all parameters as the native side wants them; made anew for each call."""

    cdef fd_parameter *parameters
    cdef fd_optimizer_args args
    cdef fd_dtype dtype
    cdef Py_ssize_t size

    def __cinit__(self, *lists):
        """Lists of the parameters, their gradients, and their states."""
        cdef Py_ssize_t i, size, count = len(lists[0]), block = 0
        cdef cnp.ndarray w
        for arrays in lists:
            if not isinstance(arrays, list) or len(arrays) != count:
                raise ValueError(f"native kernel expected lists of {count} arrays each, got "
                                 f"{arrays!r:.80}")
        self.parameters = <fd_parameter *> PyMem_Malloc((count + 1) * sizeof(fd_parameter))
        if self.parameters == NULL:
            raise MemoryError
        cdef list ws = lists[0], dws = lists[1]
        cdef list s1s = lists[2] if len(lists) > 2 else None
        cdef list s2s = lists[3] if len(lists) > 3 else None
        if count:
            self.dtype = dtype_of(ws[0])
        for i in range(count):
            w = ws[i]
            size = cnp.PyArray_SIZE(w)
            self.parameters[i].w = changed(w, self.dtype, size)
            self.parameters[i].dw = buffer(dws[i], self.dtype, size)
            self.parameters[i].s1 = NULL if s1s is None else changed(s1s[i], self.dtype, size)
            self.parameters[i].s2 = NULL if s2s is None else changed(s2s[i], self.dtype, size)
            self.parameters[i].size = size
            self.parameters[i].first = block
            block += (size + FD_UPDATE_BLOCK - 1) // FD_UPDATE_BLOCK
            self.size += size
        self.parameters[count].first = block
        self.args.parameters, self.args.count = self.parameters, count

    def __dealloc__(self):
        PyMem_Free(self.parameters)

    cdef int update(self, fd_kernel kernel) except -1:
        cdef Py_ssize_t blocks = self.parameters[self.args.count].first
        return run(kernel, self.dtype, &self.args, blocks, WORK * self.size)


def sgd_update(w, dw, lr, weight_decay):
    """See reference.sgd_update."""
    cdef Table table = Table(w, dw)
    table.args.lr, table.args.weight_decay = lr, weight_decay
    table.update(FD_sgd_update)


def momentum_update(w, dw, v, lr, momentum, weight_decay):
    """See reference.momentum_update."""
    cdef Table table = Table(w, dw, v)
    table.args.lr, table.args.weight_decay = lr, weight_decay
    table.args.d1 = momentum
    table.update(FD_momentum_update)


def nesterov_update(w, dw, v, lr, momentum, weight_decay):
    """See reference.nesterov_update."""
    cdef Table table = Table(w, dw, v)
    table.args.lr, table.args.weight_decay = lr, weight_decay
    table.args.d1 = momentum
    table.update(FD_nesterov_update)


def adagrad_update(w, dw, h, lr, eps, weight_decay):
    """See reference.adagrad_update."""
    cdef Table table = Table(w, dw, h)
    table.args.lr, table.args.weight_decay, table.args.eps = lr, weight_decay, eps
    table.update(FD_adagrad_update)


def adadelta_update(w, dw, h, delta, lr, rho, eps, weight_decay):
    """See reference.adadelta_update."""
    cdef Table table = Table(w, dw, h, delta)
    table.args.lr, table.args.weight_decay, table.args.eps = lr, weight_decay, eps
    table.args.d1 = rho
    table.update(FD_adadelta_update)


def rmsprop_update(w, dw, h, lr, alpha, eps, weight_decay):
    """See reference.rmsprop_update."""
    cdef Table table = Table(w, dw, h)
    table.args.lr, table.args.weight_decay, table.args.eps = lr, weight_decay, eps
    table.args.d1 = alpha
    table.update(FD_rmsprop_update)


cdef Table moments(w, dw, m, v, double beta1, double beta2, double eps):
    """What the Adam family has in common."""
    cdef Table table = Table(w, dw, m, v)
    table.args.d1, table.args.d2, table.args.eps = beta1, beta2, eps
    return table


def adam_update(w, dw, m, v, lr, beta1, beta2, eps, weight_decay, step):
    """See reference.adam_update."""
    cdef Table table = moments(w, dw, m, v, beta1, beta2, eps)
    table.args.weight_decay = weight_decay
    table.args.c1 = lr / (1 - beta1**step)
    table.args.c2 = 1 / sqrt(1 - beta2**step)
    table.update(FD_adam_update)


def adamw_update(w, dw, m, v, lr, beta1, beta2, eps, weight_decay, step):
    """See reference.adamw_update."""
    cdef Table table = moments(w, dw, m, v, beta1, beta2, eps)
    table.args.c1 = lr / (1 - beta1**step)
    table.args.c2 = 1 / sqrt(1 - beta2**step)
    table.args.c3 = 1 - lr * weight_decay       # and no L2 term in the gradient
    table.update(FD_adamw_update)


def nadam_update(w, dw, m, v, lr, beta1, beta2, eps, weight_decay, step, mu, mu_next,
                 mu_product):
    """See reference.nadam_update."""
    cdef Table table = moments(w, dw, m, v, beta1, beta2, eps)
    table.args.weight_decay = weight_decay
    table.args.c1 = lr * (1 - mu) / (1 - mu_product)
    table.args.c2 = lr * mu_next / (1 - mu_product * mu_next)
    table.args.c3 = 1 / (1 - beta2**step)
    table.update(FD_nadam_update)
