"""How fastdl runs a case. What is allocated is what a user's call allocates: results, every time.

Each function is named after its kernel and takes the shape, the arrays, and keywords such as
``backend``.
"""

from collections.abc import Callable, Mapping
from functools import partial
from types import SimpleNamespace
from typing import Any, TypeAlias

import numpy as np

from .. import ops
from .cases import Case

Run: TypeAlias = Callable[[], tuple]


def gemm(shape: Any, a: Any, **how: Any) -> tuple:
    return (ops.gemm(a.a, a.b, trans_a=shape.trans_a, trans_b=shape.trans_b, **how),)


def conv2d(shape: Any, a: Any, **how: Any) -> tuple:
    return (ops.conv2d(a.x, a.w, a.b if shape.bias else None, *shape.window, **how),)


def conv2d_backward(shape: Any, a: Any, **how: Any) -> tuple:
    return ops.conv2d_backward(a.dy, a.x, a.w, *shape.window, bias=shape.bias, **how)


def conv2d_backward_weight(shape: Any, a: Any, **how: Any) -> tuple:
    return conv2d_backward(shape, a, need_dx=False, **how)[1:]


def _window(shape: Any) -> tuple[int, int, int]:
    return shape.K, shape.stride, shape.padding


def max_pool2d(shape: Any, a: Any, **how: Any) -> tuple:
    """Both results: training needs the argmax."""
    return ops.max_pool2d(a.x, *_window(shape), return_indices=True, **how)


def max_pool2d_backward(shape: Any, a: Any, **how: Any) -> tuple:
    return (ops.max_pool2d_backward(a.dy, a.argmax, shape.x, *_window(shape), **how),)


def avg_pool2d(shape: Any, a: Any, **how: Any) -> tuple:
    return (ops.avg_pool2d(a.x, *_window(shape), **how),)


def avg_pool2d_backward(shape: Any, a: Any, **how: Any) -> tuple:
    return (ops.avg_pool2d_backward(a.dy, shape.x, *_window(shape), **how),)


def batch_norm(shape: Any, a: Any, **how: Any) -> tuple:
    if shape.fused:
        how |= {"relu": True, "residual": a.residual if "add" in shape.fused else None}
    return ops.batch_norm(a.x, a.weight, a.bias, a.running_mean, a.running_var, return_stats=True,
                          **how)


def batch_norm_backward(shape: Any, a: Any, **how: Any) -> tuple:
    if shape.fused:
        how |= {"y": a.y, "return_dresidual": "add" in shape.fused}
    return ops.batch_norm_backward(a.dy, a.x, a.weight, a.mean, a.rstd, **how)


def relu(shape: Any, a: Any, **how: Any) -> tuple:
    return (ops.relu(a.x, **how),)


def relu_backward(shape: Any, a: Any, **how: Any) -> tuple:
    return (ops.relu_backward(a.dy, a.y, **how),)


def sigmoid(shape: Any, a: Any, **how: Any) -> tuple:
    return (ops.sigmoid(a.x, **how),)


def sigmoid_backward(shape: Any, a: Any, **how: Any) -> tuple:
    return (ops.sigmoid_backward(a.dy, a.y, **how),)


def dropout(shape: Any, a: Any, **how: Any) -> tuple:
    return (ops.dropout(a.x, 0.5, seed=1, **how),)


def softmax_cross_entropy(shape: Any, a: Any, **how: Any) -> tuple:
    """With its gradient: nobody wants one without the other in training."""
    loss, p = ops.softmax_cross_entropy(a.x, a.t, return_probabilities=True, **how)
    return loss, ops.softmax_cross_entropy_backward(p, a.t, **how)


def im2col(shape: Any, a: Any, **how: Any) -> tuple:
    return (ops.im2col(a.x, *_window(shape), transpose=False, **how),)


def col2im(shape: Any, a: Any, **how: Any) -> tuple:
    return (ops.col2im(a.col, shape.x, *_window(shape), transpose=False, **how),)


def sgd_update(shape: Any, a: Any, **how: Any) -> tuple:
    ops.sgd_update(a.w, a.dw, lr=1e-3, **how)
    return (a.w,)


def momentum_update(shape: Any, a: Any, **how: Any) -> tuple:
    ops.momentum_update(a.w, a.dw, a.v, lr=1e-3, momentum=0.9, **how)
    return a.w, a.v


def adam_update(shape: Any, a: Any, **how: Any) -> tuple:
    ops.adam_update(a.w, a.dw, a.m, a.v, step=1, lr=1e-3, **how)
    return a.w, a.m, a.v


FUNCTIONS: dict[str, Callable[..., tuple]] = {function.__name__: function for function in (
    gemm, conv2d, conv2d_backward, conv2d_backward_weight, max_pool2d, max_pool2d_backward,
    avg_pool2d, avg_pool2d_backward, batch_norm, batch_norm_backward, relu, relu_backward,
    sigmoid, sigmoid_backward, dropout, softmax_cross_entropy, im2col, col2im, sgd_update,
    momentum_update, adam_update)}


def prepared(case: Case, arrays: Mapping[str, np.ndarray], **how: Any) -> Run:
    """What is to be timed: a function without arguments that returns the results."""
    a = SimpleNamespace(**arrays)
    if case.operation == "max_pool2d_backward":
        _, a.argmax = max_pool2d(case.shape, a, **how)
    return partial(FUNCTIONS[case.operation], case.shape, a, **how)


def comparable(case: Case, arrays: Mapping[str, np.ndarray], results: tuple) -> list[np.ndarray]:
    """Of `results` what everybody who does it right agrees on."""
    if case.operation in ("max_pool2d", "batch_norm"):
        results = results[:1]               # the rest is what fastdl saves for backward
    if case.operation == "dropout":         # others drop other elements, but as many
        y = np.asarray(results[0])
        kept = y != 0
        scales = y[kept] / arrays["x"][kept]
        results = np.round(np.mean(kept), 2), scales.min(), scales.max()
    return [np.asarray(result) for result in results if result is not None]
