"""PyTorch as a peer, in a process of its own: ``python -m bench.torch_peer THREADS``.

Reads one JSON object a line and answers each with one:
    {"prepare": case, "compiled": bool}     builds every variant of the case and checks it
    {"time": variant, "calls": n}           seconds of one call, the mean of n

A peer is given its best: a case runs in each layout, or with each implementation of an optimizer,
that PyTorch has; the suite counts the fastest.
"""

import json
import os
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from fastdl.benchmark import CASES, REFERENCE, Case, check, seconds_per_call

COMPILED = "compiled"
LAYOUTS = ("NCHW", "channels-last")


def _with_gradients(forward: Callable, inputs: tuple, dy: Any = None) -> Callable[[], tuple]:
    for tensor in inputs:
        tensor.requires_grad_()

    def run():
        y = forward(*inputs)
        return (y, *torch.autograd.grad(y, inputs, dy))

    return run


def _gemm(_, a, b):
    return lambda: (torch.mm(a, b),)


def _conv2d(wrap, x, w, b, dy, *, padding):
    return _with_gradients(wrap(partial(functional.conv2d, padding=padding)), (x, w, b), dy)


def _max_pool2d(wrap, x, dy, *, kernel_size):
    return _with_gradients(wrap(partial(functional.max_pool2d, kernel_size=kernel_size)), (x,), dy)


def _avg_pool2d(wrap, x, dy, *, kernel_size):
    return _with_gradients(wrap(partial(functional.avg_pool2d, kernel_size=kernel_size)), (x,), dy)


def _batch_norm(wrap, x, w, b, running_mean, running_var, dy):
    def forward(x, w, b):
        return functional.batch_norm(x, running_mean, running_var, w, b, training=True)

    return _with_gradients(wrap(forward), (x, w, b), dy)


def _softmax_cross_entropy(wrap, x, t):
    return _with_gradients(wrap(lambda x: functional.cross_entropy(x, t)), (x,))


def _elementwise(function, wrap, x, **options):
    function = wrap(partial(function, **options))
    return lambda: (function(x),)


def _im2col(_, x, **window):
    return lambda: (functional.unfold(x, **window),)


def _col2im(_, col, *, size, **window):
    return lambda: (functional.fold(col, size, **window),)


def _adam_update(w, dw, m, v, *, lr, **implementation):
    w = torch.nn.Parameter(w)
    w.grad = dw
    optimizer = torch.optim.Adam([w], lr=lr, **implementation)
    optimizer.state[w] = {"step": torch.tensor(0.0), "exp_avg": m, "exp_avg_sq": v}

    def run():
        optimizer.step()
        return w.detach(), m, v

    return run


def _sgd_in_place(w, dw, *, lr):
    return lambda: (w.add_(dw, alpha=-lr),)


def _sgd_fused(w, dw, *, lr):
    w = torch.nn.Parameter(w)
    w.grad = dw
    optimizer = torch.optim.SGD([w], lr=lr, fused=True)

    def run():
        optimizer.step()
        return (w.detach(),)

    return run


# Operation: what builds it from `wrap` (the identity or torch.compile) and its tensors; whether it
# takes images, so that there are two layouts; whether compiling could gain anything.
FUNCTIONS: dict[str, tuple[Callable, bool, bool]] = {
    "gemm": (_gemm, False, False),
    "conv2d": (_conv2d, True, True),
    "max_pool2d": (_max_pool2d, True, True),
    "avg_pool2d": (_avg_pool2d, True, True),
    "batch_norm": (_batch_norm, True, True),
    "relu": (partial(_elementwise, torch.relu), False, True),
    "sigmoid": (partial(_elementwise, torch.sigmoid), False, True),
    "dropout": (partial(_elementwise, functional.dropout), False, True),
    "softmax_cross_entropy": (_softmax_cross_entropy, False, True),
    "im2col": (_im2col, False, False),
    "col2im": (_col2im, False, False),
}
UPDATES: dict[str, dict[str, Callable]] = {
    "adam_update": {"foreach": partial(_adam_update, foreach=True),
                    "fused": partial(_adam_update, fused=True)},
    "sgd_update": {"add_": _sgd_in_place, "fused": _sgd_fused},
}


def builders(operation: str, compiled: bool) -> dict[str, Callable]:
    """For each variant of `operation`, a function from tensors and options to what is timed."""
    if operation in UPDATES:
        return UPDATES[operation]
    function, images, compilable = FUNCTIONS[operation]
    variants: dict[str, Callable] = {name: partial(function, lambda forward: forward)
                                     for name in (LAYOUTS if images else ("eager",))}
    if compiled and compilable:
        variants[COMPILED] = partial(function, torch.compile)
    return variants


def tensors(case: Case, variant: str) -> list[torch.Tensor]:
    """The arrays of `case` in the layout of `variant`."""
    def convert(array):
        tensor = torch.from_numpy(array)
        if variant == "channels-last" and tensor.ndim == 4:
            return tensor.contiguous(memory_format=torch.channels_last)
        return tensor

    return [convert(array) for array in case.arrays()]


def _check_dropout(case: Case, who: str, results: list, expected: tuple) -> None:
    """Another generator drops other elements: as many, and the same is done to those kept."""
    (got,), (wanted,) = results, expected
    if abs(np.mean(got == 0) - case.options["p"]) > 0.01:
        raise ValueError(f"{case.name}: {who} dropped {np.mean(got == 0):.1%}")
    kept = (got != 0) & (wanted != 0)
    check(case, who, [got[kept]], [wanted[kept]])


def prepare(name: str, compiled: bool) -> dict[str, Callable]:
    """Every variant of the case, built, checked against the reference, and warm."""
    case = next(case for case in CASES if case.name == name)
    expected = case.run(*case.arrays(), backend=REFERENCE, **case.options)
    runs = {}
    for variant, build in builders(case.operation, compiled).items():
        runs[variant] = build(*tensors(case, variant), **case.options)
        results = [result.detach().numpy() for result in runs[variant]()]
        verify = _check_dropout if case.operation == "dropout" else check
        verify(case, f"torch, {variant}", results, expected)
    return runs


def serve(threads: int) -> None:
    """Answer the requests on standard input until it ends."""
    # Whatever else prints must not come between the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    torch.set_num_threads(threads)
    runs: dict[str, Callable] = {}
    for line in sys.stdin:
        request = json.loads(line)
        answer: dict[str, Any]
        try:
            if "prepare" in request:
                runs = {}                                   # frees the last case's tensors first
                runs = prepare(request["prepare"], request["compiled"])
                answer = {"result": list(runs)}
            else:
                run = runs[request["time"]]
                answer = {"result": seconds_per_call(run, request["calls"])}
        except Exception as error:                          # it is reported at the other end
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    serve(int(sys.argv[1]))
