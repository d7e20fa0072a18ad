"""Update steps of the optimizers, in place on a parameter and its state.

The formulas are in the reference kernels' docstrings; they are PyTorch's.
"""

from typing import Any

import numpy as np

from ..errors import ArgumentError, DTypeError, ShapeError
from ._arrays import Array, kernel, real_like


def _update(name: str, w: Array, dw: Any, states: dict[str, Array], *options: float,
            backend: str | None) -> None:
    """Check, then run the kernel; arrays that are not contiguous are written back."""
    changed = {"w": w, **states}
    for key, array in changed.items():
        if not isinstance(array, np.ndarray) or array.dtype.char not in "efd":
            got = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
            raise DTypeError(f"{name}: {key} must be a floating array, got {got}")
        if not array.flags.writeable:
            raise ArgumentError(f"{name}: {key} is changed in place, but it is read-only")
        if array.shape != w.shape or array.dtype != w.dtype:
            raise ShapeError(f"{name}: {key} must be {w.dtype} {w.shape} like w, got "
                             f"{array.dtype} {array.shape}")
    dw = real_like(name, "dw", dw, w, "w")
    if dw.shape != w.shape:
        raise ShapeError(f"{name}: dw must be {w.shape} like w, got {dw.shape}")
    ready = {key: array if array.flags.carray else np.ascontiguousarray(array).reshape(array.shape)
             for key, array in changed.items()}
    kernel(name, w, backend)(ready["w"], dw, *(ready[key] for key in states), *options)
    for key, array in changed.items():
        if ready[key] is not array:
            array[...] = ready[key]


def sgd_update(w: Array, dw: Any, *, lr: float, weight_decay: float = 0.0,
               backend: str | None = None) -> None:
    """``w -= lr * g`` with ``g = dw + weight_decay * w``.

    >>> w = np.ones(2)
    >>> sgd_update(w, np.array([1.0, -1.0]), lr=0.1)
    >>> w
    array([0.9, 1.1])
    """
    _update("sgd_update", w, dw, {}, lr, weight_decay, backend=backend)


def momentum_update(w: Array, dw: Any, v: Array, *, lr: float, momentum: float = 0.9,
                    weight_decay: float = 0.0, backend: str | None = None) -> None:
    """``v = momentum * v + g; w -= lr * v`` (Polyak, 1964)."""
    _update("momentum_update", w, dw, {"v": v}, lr, momentum, weight_decay, backend=backend)


def nesterov_update(w: Array, dw: Any, v: Array, *, lr: float, momentum: float = 0.9,
                    weight_decay: float = 0.0, backend: str | None = None) -> None:
    """``v = momentum * v + g; w -= lr * (g + momentum * v)`` (Sutskever et al., 2013)."""
    _update("nesterov_update", w, dw, {"v": v}, lr, momentum, weight_decay, backend=backend)


def adagrad_update(w: Array, dw: Any, h: Array, *, lr: float, eps: float = 1e-10,
                   weight_decay: float = 0.0, backend: str | None = None) -> None:
    """``h += g * g; w -= lr * g / (sqrt(h) + eps)`` (Duchi et al., 2011)."""
    _update("adagrad_update", w, dw, {"h": h}, lr, eps, weight_decay, backend=backend)


def adadelta_update(w: Array, dw: Any, h: Array, delta: Array, *, lr: float = 1.0,
                    rho: float = 0.9, eps: float = 1e-6, weight_decay: float = 0.0,
                    backend: str | None = None) -> None:
    """Steps in units of past steps (Zeiler, 2012)."""
    _update("adadelta_update", w, dw, {"h": h, "delta": delta}, lr, rho, eps, weight_decay,
            backend=backend)


def rmsprop_update(w: Array, dw: Any, h: Array, *, lr: float, alpha: float = 0.99,
                   eps: float = 1e-8, weight_decay: float = 0.0,
                   backend: str | None = None) -> None:
    """``h = alpha h + (1 - alpha) g²; w -= lr * g / (sqrt(h) + eps)`` (Hinton, lecture 6e)."""
    _update("rmsprop_update", w, dw, {"h": h}, lr, alpha, eps, weight_decay, backend=backend)


def adam_update(w: Array, dw: Any, m: Array, v: Array, *, step: int, lr: float = 1e-3,
                beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8,
                weight_decay: float = 0.0, backend: str | None = None) -> None:
    """One step of Adam (Kingma & Ba, 2015); `step` counts from 1."""
    _update("adam_update", w, dw, {"m": m, "v": v}, lr, beta1, beta2, eps, weight_decay,
            _counted("adam_update", step), backend=backend)


def adamw_update(w: Array, dw: Any, m: Array, v: Array, *, step: int, lr: float = 1e-3,
                 beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8,
                 weight_decay: float = 1e-2, backend: str | None = None) -> None:
    """One step of AdamW: Adam with decoupled weight decay (Loshchilov & Hutter, 2019)."""
    _update("adamw_update", w, dw, {"m": m, "v": v}, lr, beta1, beta2, eps, weight_decay,
            _counted("adamw_update", step), backend=backend)


def nadam_update(w: Array, dw: Any, m: Array, v: Array, *, step: int, mu: float, mu_next: float,
                 mu_product: float, lr: float = 2e-3, beta1: float = 0.9, beta2: float = 0.999,
                 eps: float = 1e-8, weight_decay: float = 0.0,
                 backend: str | None = None) -> None:
    """One step of NAdam (Dozat, 2016); `mu`, `mu_next`, `mu_product`: its momentum schedule."""
    _update("nadam_update", w, dw, {"m": m, "v": v}, lr, beta1, beta2, eps, weight_decay,
            _counted("nadam_update", step), mu, mu_next, mu_product, backend=backend)


def _counted(operation: str, step: int) -> int:
    if step < 1:
        raise ArgumentError(f"{operation}: step counts from 1, got {step}")
    return step
