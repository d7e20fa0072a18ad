"""PyTorch as a member: in both layouts, with each implementation of an optimizer.

Backward passes are the calls that its autograd makes, without autograd's own cost.
"""

from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from fastdl.benchmark.cases import Case

aten = torch.ops.aten
torch.set_grad_enabled(False)


def facts() -> dict[str, Any]:
    """For the report."""
    return {"threads": torch.get_num_threads(),
            "versions": {"torch": f"{torch.__version__} (oneDNN "
                                  f"{'on' if torch.backends.mkldnn.is_available() else 'off'})"}}


# ---- one function for each kernel, named after it ----

def gemm(shape, t):
    return (torch.mm(t.a.t() if shape.trans_a else t.a, t.b.t() if shape.trans_b else t.b),)


def conv2d(shape, t):
    return (functional.conv2d(t.x, t.w, t.b if shape.bias else None, *shape.window),)


def _convolution_backward(shape, t, *wanted):
    stride, padding, dilation = ([size, size] for size in shape.window[:3])
    return aten.convolution_backward(t.dy, t.x, t.w, [shape.OC] if shape.bias else None, stride,
                                     padding, dilation, False, [0, 0], shape.groups, wanted)


def conv2d_backward_input(shape, t):
    return _convolution_backward(shape, t, True, False, False)[:1]


def conv2d_backward_weight(shape, t):
    return _convolution_backward(shape, t, False, True, bool(shape.bias))[1:]


def _window(shape):
    return tuple([size, size] for size in (shape.K, shape.stride, shape.padding))


def max_pool2d(shape, t):
    return aten.max_pool2d_with_indices(t.x, *_window(shape))


def max_pool2d_backward(shape, t):
    return (aten.max_pool2d_with_indices_backward(t.dy, t.x, *_window(shape), [1, 1], False,
                                                  t.argmax),)


def avg_pool2d(shape, t):
    return (functional.avg_pool2d(t.x, *_window(shape)),)


def avg_pool2d_backward(shape, t):
    return (aten.avg_pool2d_backward(t.dy, t.x, *_window(shape), False, True, None),)


def batch_norm(shape, t):
    y = functional.batch_norm(t.x, t.running_mean, t.running_var, t.weight, t.bias, training=True)
    if "add" in shape.fused:
        y.add_(t.residual)
    if shape.fused:
        y.relu_()
    return (y,)


def batch_norm_backward(shape, t):
    dy = aten.threshold_backward(t.dy, t.y, 0) if shape.fused else t.dy
    results = aten.native_batch_norm_backward(dy, t.x, t.weight, None, None, t.mean, t.rstd, True,
                                              1e-5, [True, True, True])
    return (*results, dy) if "add" in shape.fused else results


def relu(shape, t):
    return (torch.relu(t.x),)


def relu_backward(shape, t):
    return (aten.threshold_backward(t.dy, t.y, 0),)


def sigmoid(shape, t):
    return (torch.sigmoid(t.x),)


def sigmoid_backward(shape, t):
    return (aten.sigmoid_backward(t.dy, t.y),)


def dropout(shape, t):
    return (functional.dropout(t.x),)


def softmax_cross_entropy(shape, t):
    with torch.enable_grad():
        loss = functional.cross_entropy(t.x.requires_grad_(), t.t)
        return loss, *torch.autograd.grad(loss, t.x)


def im2col(shape, t):
    return (functional.unfold(t.x, shape.K, stride=shape.stride, padding=shape.padding),)


def col2im(shape, t):
    return (functional.fold(t.col, (shape.H, shape.W), shape.K, stride=shape.stride,
                            padding=shape.padding),)


def _adam(w, m, v, **implementation):
    optimizer = torch.optim.Adam([w], lr=1e-3, **implementation)
    optimizer.state[w] = {"step": torch.tensor(0.0), "exp_avg": m, "exp_avg_sq": v}
    return optimizer, (w, m, v)


def _momentum(w, m, v, **implementation):
    optimizer = torch.optim.SGD([w], lr=1e-3, momentum=0.9, **implementation)
    optimizer.state[w] = {"momentum_buffer": v}
    return optimizer, (w, v)


def _sgd(w, m, v, **implementation):
    return torch.optim.SGD([w], lr=1e-3, **implementation), (w,)


FUNCTIONS = {function.__name__: function for function in (
    gemm, conv2d, conv2d_backward_input, conv2d_backward_weight, max_pool2d, max_pool2d_backward,
    avg_pool2d, avg_pool2d_backward, batch_norm, batch_norm_backward, relu, relu_backward,
    sigmoid, sigmoid_backward, dropout, softmax_cross_entropy, im2col, col2im)}
OPTIMIZERS = {"adam_update": _adam, "momentum_update": _momentum, "sgd_update": _sgd}


# ---- variants ----

def variants(case: Case, options: dict[str, Any]) -> dict[str, Any]:
    """See `bench.worker`; with the option "compiled", by torch.compile."""
    compiled = options.get("compiled", False)
    if case.operation in OPTIMIZERS:
        return {} if compiled else {name: partial(_optimizer, OPTIMIZERS[case.operation], name)
                                    for name in ("foreach", "fused")}
    return {layout: partial(_built, case, layout, compiled) for layout in case.layouts}


def _built(case: Case, layout: str, compiled: bool, arrays: dict[str, np.ndarray]) -> Callable:
    t = SimpleNamespace(**{name: _tensor(array, layout) for name, array in arrays.items()})
    if case.operation == "max_pool2d_backward":
        _, t.argmax = max_pool2d(case.shape, t)
    run = partial(FUNCTIONS[case.operation], case.shape, t)
    return torch.compile(run) if compiled else run


def _tensor(array: np.ndarray, layout: str) -> torch.Tensor:
    tensor = torch.from_numpy(array)
    if layout == "channels-last" and tensor.ndim == 4:      # filters too: so it is fastest
        return tensor.contiguous(memory_format=torch.channels_last)
    return tensor


def _optimizer(make: Callable, implementation: str, arrays: dict[str, np.ndarray]) -> Callable:
    w, dw, m, v = (torch.from_numpy(arrays[name]) for name in ("w", "dw", "m", "v"))
    w = torch.nn.Parameter(w)
    w.grad = dw
    optimizer, results = make(w, m, v, **{implementation: True})

    def run() -> tuple:
        optimizer.step()
        return results

    return run


def to_numpy(result: torch.Tensor) -> np.ndarray:
    """See `bench.worker`."""
    return result.detach().numpy()
