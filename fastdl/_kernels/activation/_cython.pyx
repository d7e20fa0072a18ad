"""Activations: elements, or rows of softmax, split among threads (native/kernel_activation.h)."""

from ..native._native cimport *

cdef enum:
    EXP_WORK = 8                    # what exp costs beside a plain pass over memory
    ERF_WORK = 16


cdef int map_elements(fd_kernel kernel, x, y, double slope, double work) except -1:
    """y = f(x)."""
    cdef fd_activation_args args
    cdef fd_dtype dtype = dtype_of(x)
    cdef Py_ssize_t size = x.size
    args.x = buffer(x, dtype, size)
    args.dy = NULL
    args.y = buffer(y, dtype, size)
    args.slope = slope
    args.stream = args.y != args.x and streams(size, dtype)
    return run(kernel, dtype, &args, size, work * size)


cdef int map_gradient(fd_kernel kernel, dy, saved, dx, double slope,
                      double work=1) except -1:
    """dx = f(dy, saved), `saved` being the input or the output of the forward pass."""
    cdef fd_activation_args args
    cdef fd_dtype dtype = dtype_of(saved)
    cdef Py_ssize_t size = saved.size
    args.x = buffer(saved, dtype, size)
    args.dy = buffer(dy, dtype, size)
    args.y = buffer(dx, dtype, size)
    args.slope = slope
    args.stream = args.y != args.x and args.y != args.dy and streams(size, dtype)
    return run(kernel, dtype, &args, size, work * size)


def relu(x, y):
    """See reference.relu."""
    map_elements(FD_relu, x, y, 0, 1)


def relu_backward(dy, y, dx):
    """See reference.relu_backward."""
    map_gradient(FD_relu_backward, dy, y, dx, 0)


def relu6(x, y):
    """See reference.relu6."""
    map_elements(FD_relu6, x, y, 0, 1)


def relu6_backward(dy, y, dx):
    """See reference.relu6_backward."""
    map_gradient(FD_relu6_backward, dy, y, dx, 0)


def leaky_relu(x, y, negative_slope):
    """See reference.leaky_relu."""
    map_elements(FD_leaky_relu, x, y, negative_slope, 1)


def leaky_relu_backward(dy, x, dx, negative_slope):
    """See reference.leaky_relu_backward."""
    map_gradient(FD_leaky_relu_backward, dy, x, dx, negative_slope)


def sigmoid(x, y):
    """See reference.sigmoid."""
    map_elements(FD_sigmoid, x, y, 0, EXP_WORK)


def sigmoid_backward(dy, y, dx):
    """See reference.sigmoid_backward."""
    map_gradient(FD_sigmoid_backward, dy, y, dx, 0)


def tanh(x, y):
    """See reference.tanh."""
    map_elements(FD_tanh, x, y, 0, EXP_WORK)


def tanh_backward(dy, y, dx):
    """See reference.tanh_backward."""
    map_gradient(FD_tanh_backward, dy, y, dx, 0)


def silu(x, y):
    """See reference.silu."""
    map_elements(FD_silu, x, y, 0, EXP_WORK)


def silu_backward(dy, x, dx):
    """See reference.silu_backward."""
    map_gradient(FD_silu_backward, dy, x, dx, 0, EXP_WORK)


def hardsigmoid(x, y):
    """See reference.hardsigmoid."""
    map_elements(FD_hardsigmoid, x, y, 0, 1)


def hardsigmoid_backward(dy, y, dx):
    """See reference.hardsigmoid_backward."""
    map_gradient(FD_hardsigmoid_backward, dy, y, dx, 0, 1)


def hardswish(x, y):
    """See reference.hardswish."""
    map_elements(FD_hardswish, x, y, 0, 1)


def hardswish_backward(dy, x, dx):
    """See reference.hardswish_backward."""
    map_gradient(FD_hardswish_backward, dy, x, dx, 0, 1)


def gelu(x, y):
    """See reference.gelu."""
    map_elements(FD_gelu, x, y, 0, ERF_WORK)


def gelu_backward(dy, x, dx):
    """See reference.gelu_backward."""
    map_gradient(FD_gelu_backward, dy, x, dx, 0, ERF_WORK)


def gelu_tanh(x, y):
    """See reference.gelu_tanh."""
    map_elements(FD_gelu_tanh, x, y, 0, EXP_WORK)


def gelu_tanh_backward(dy, x, dx):
    """See reference.gelu_tanh_backward."""
    map_gradient(FD_gelu_tanh_backward, dy, x, dx, 0, EXP_WORK)


def softmax(x, y):
    """See reference.softmax."""
    cdef fd_activation_args args
    cdef fd_dtype dtype = dtype_of(x)
    cdef Py_ssize_t rows
    rows, args.columns = x.shape
    if args.columns < 1:
        raise ValueError(f"native kernel: softmax over no columns, {x.shape}")
    args.x = buffer2(x, dtype, rows, args.columns)
    args.y = buffer2(y, dtype, rows, args.columns)
    run(FD_softmax, dtype, &args, rows, <double> EXP_WORK * x.size)


def softmax_backward(dy, y, dx):
    """See reference.softmax_backward."""
    cdef fd_activation_args args
    cdef fd_dtype dtype = dtype_of(y)
    cdef Py_ssize_t rows
    rows, args.columns = y.shape
    args.x = buffer2(y, dtype, rows, args.columns)
    args.dy = buffer2(dy, dtype, rows, args.columns)
    args.y = buffer2(dx, dtype, rows, args.columns)
    run(FD_softmax_backward, dtype, &args, rows, 2.0 * y.size)
