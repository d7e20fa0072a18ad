"""Update steps of the optimizers, in place on parameters and their state.

The formulas are in the reference kernels' docstrings; they are PyTorch's. Each function takes one
parameter, or lists of any number of them, which a kernel then goes through in one pass.
"""

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from ..errors import ArgumentError, DTypeError, ShapeError
from ._arrays import Array, is_ready, kernel, on_device, real_like

Arrays: TypeAlias = Array | list[Array]

GRADIENTS = 1                   # their place among the lists of arrays

# What each kernel keeps for a parameter, in the order in which it takes them.
STATES: dict[str, tuple[str, ...]] = {
    "sgd_update": (),
    "momentum_update": ("v",),
    "nesterov_update": ("v",),
    "adagrad_update": ("h",),
    "adadelta_update": ("h", "delta"),
    "rmsprop_update": ("h",),
    "adam_update": ("m", "v"),
    "adamw_update": ("m", "v"),
    "nadam_update": ("m", "v"),
}


class Update:
    """An update of lists of arrays, which are checked once, for any number of steps.

    Parameters
    ----------
    name : the kernel
    arrays : lists of the parameters (all of one dtype), their gradients, and the states that the
        kernel keeps (`STATES`)
    labels : what messages put behind the name of an array, for each parameter
    """

    def __init__(self, name: str, *arrays: Sequence[Any], labels: Sequence[str]) -> None:
        self.name = name
        self._arrays = [list(given) for given in arrays]
        ws = self._arrays[0]
        for k, key in enumerate(("w", "dw", *STATES[name])):
            for array, w, label in zip(self._arrays[k], ws, labels, strict=True):
                check = self._check_gradient if k == GRADIENTS else self._check_changed
                check(key + label, array, w, "w" + label)
        for w, label in zip(ws, labels, strict=True):
            if _native(w).dtype != _native(ws[0]).dtype:
                raise DTypeError(f"{name}: w{label} is {w.dtype} but w{labels[0]} is "
                                 f"{ws[0].dtype}; update each dtype by itself")
        # The places of arrays that a kernel cannot take as they are.
        self._awkward = [(k, i) for k, given in enumerate(self._arrays)
                         for i, array in enumerate(given) if not is_ready(array)]

    def _check_changed(self, key: str, array: Any, w: Any, w_key: str) -> None:
        known = on_device(array) or isinstance(array, np.ndarray)
        if not known or array.dtype.char not in "efd":
            got = array.dtype if known else type(array).__name__
            raise DTypeError(f"{self.name}: {key} must be a floating array, got {got}")
        if not array.flags.writeable:
            raise ArgumentError(f"{self.name}: {key} is changed in place, but it is read-only")
        if array.shape != w.shape or array.dtype != w.dtype:
            raise ShapeError(f"{self.name}: {key} must be {w.dtype} {w.shape} like {w_key}, got "
                             f"{array.dtype} {array.shape}")

    def _check_gradient(self, key: str, dw: Any, w: Array, w_key: str) -> None:
        dw = real_like(self.name, key, dw, _native(w), w_key)
        if dw.shape != w.shape:
            raise ShapeError(f"{self.name}: {key} must be {w.shape} like {w_key}, got {dw.shape}")

    def __call__(self, *options: float, backend: str | None = None) -> None:
        """Take a step with these options of the kernel."""
        given = self._arrays
        if not given[0]:
            return
        ready = [list(arrays) for arrays in given] if self._awkward else given
        for k, i in self._awkward:
            ready[k][i] = real_like(self.name, "array", given[k][i], _native(given[0][i]), "w")
        kernel(self.name, ready[0][0], backend)(*ready, *options)
        for k, i in self._awkward:
            if k != GRADIENTS:
                given[k][i][...] = ready[k][i]


def _native(w: Array) -> Array:
    """No elements, of w's dtype in this machine's byte order, or all, if that is on the device."""
    if on_device(w):
        return w
    return np.empty(0, w.dtype.newbyteorder("="))


def _update(name: str, *arrays: Any, options: tuple[float, ...], backend: str | None) -> None:
    """Take a step with one array of each kind, or a list of them."""
    if not all(isinstance(given, list | tuple) for given in arrays[:2]):
        Update(name, *([array] for array in arrays), labels=("",))(*options, backend=backend)
        return
    for key, given in zip(("w", "dw", *STATES[name]), arrays, strict=True):
        if not isinstance(given, list | tuple) or len(given) != len(arrays[0]):
            got = len(given) if isinstance(given, list | tuple) else type(given).__name__
            raise ArgumentError(f"{name}: {key} must be a list of {len(arrays[0])} arrays like w, "
                                f"got {got}")
    labels = [f"[{i}]" for i in range(len(arrays[0]))]
    Update(name, *arrays, labels=labels)(*options, backend=backend)


def sgd_update(w: Arrays, dw: Any, *, lr: float, weight_decay: float = 0.0,
               backend: str | None = None) -> None:
    """``w -= lr * g`` with ``g = dw + weight_decay * w``.

    All functions here also take lists of arrays in place of each array, and then change all of
    them in one pass; no two of the arrays may overlap.

    >>> w = np.ones(2)
    >>> sgd_update(w, np.array([1.0, -1.0]), lr=0.1)
    >>> w
    array([0.9, 1.1])
    """
    _update("sgd_update", w, dw, options=(lr, weight_decay), backend=backend)


def momentum_update(w: Arrays, dw: Any, v: Arrays, *, lr: float, momentum: float = 0.9,
                    weight_decay: float = 0.0, backend: str | None = None) -> None:
    """``v = momentum * v + g; w -= lr * v`` (Polyak, 1964)."""
    _update("momentum_update", w, dw, v, options=(lr, momentum, weight_decay), backend=backend)


def nesterov_update(w: Arrays, dw: Any, v: Arrays, *, lr: float, momentum: float = 0.9,
                    weight_decay: float = 0.0, backend: str | None = None) -> None:
    """``v = momentum * v + g; w -= lr * (g + momentum * v)`` (Sutskever et al., 2013)."""
    _update("nesterov_update", w, dw, v, options=(lr, momentum, weight_decay), backend=backend)


def adagrad_update(w: Arrays, dw: Any, h: Arrays, *, lr: float, eps: float = 1e-10,
                   weight_decay: float = 0.0, backend: str | None = None) -> None:
    """``h += g * g; w -= lr * g / (sqrt(h) + eps)`` (Duchi et al., 2011)."""
    _update("adagrad_update", w, dw, h, options=(lr, eps, weight_decay), backend=backend)


def adadelta_update(w: Arrays, dw: Any, h: Arrays, delta: Arrays, *, lr: float = 1.0,
                    rho: float = 0.9, eps: float = 1e-6, weight_decay: float = 0.0,
                    backend: str | None = None) -> None:
    """Steps in units of past steps (Zeiler, 2012)."""
    _update("adadelta_update", w, dw, h, delta, options=(lr, rho, eps, weight_decay),
            backend=backend)


def rmsprop_update(w: Arrays, dw: Any, h: Arrays, *, lr: float, alpha: float = 0.99,
                   eps: float = 1e-8, weight_decay: float = 0.0,
                   backend: str | None = None) -> None:
    """``h = alpha h + (1 - alpha) g²; w -= lr * g / (sqrt(h) + eps)`` (Hinton, lecture 6e)."""
    _update("rmsprop_update", w, dw, h, options=(lr, alpha, eps, weight_decay), backend=backend)


def adam_update(w: Arrays, dw: Any, m: Arrays, v: Arrays, *, step: int, lr: float = 1e-3,
                beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8,
                weight_decay: float = 0.0, backend: str | None = None) -> None:
    """One step of Adam (Kingma & Ba, 2015); `step` counts from 1."""
    _update("adam_update", w, dw, m, v,
            options=(lr, beta1, beta2, eps, weight_decay, _counted("adam_update", step)),
            backend=backend)


def adamw_update(w: Arrays, dw: Any, m: Arrays, v: Arrays, *, step: int, lr: float = 1e-3,
                 beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8,
                 weight_decay: float = 1e-2, backend: str | None = None) -> None:
    """One step of AdamW: Adam with decoupled weight decay (Loshchilov & Hutter, 2019)."""
    _update("adamw_update", w, dw, m, v,
            options=(lr, beta1, beta2, eps, weight_decay, _counted("adamw_update", step)),
            backend=backend)


def nadam_update(w: Arrays, dw: Any, m: Arrays, v: Arrays, *, step: int, mu: float, mu_next: float,
                 mu_product: float, lr: float = 2e-3, beta1: float = 0.9, beta2: float = 0.999,
                 eps: float = 1e-8, weight_decay: float = 0.0,
                 backend: str | None = None) -> None:
    """One step of NAdam (Dozat, 2016); `mu`, `mu_next`, `mu_product`: its momentum schedule."""
    _update("nadam_update", w, dw, m, v,
            options=(lr, beta1, beta2, eps, weight_decay, _counted("nadam_update", step), mu,
                     mu_next, mu_product),
            backend=backend)


def _counted(operation: str, step: int) -> int:
    if step < 1:
        raise ArgumentError(f"{operation}: step counts from 1, got {step}")
    return step
