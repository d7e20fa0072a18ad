"""The update steps: every parameter of a dict changed in place, or replaced if it is a number.

A step over arrays of one dtype is one call of a kernel for all of them. Where a kernel cannot go
(numbers, float16, read-only or overlapping arrays), `_Optimizer._step` has the same in NumPy.
"""

import math
from collections.abc import Mapping, MutableMapping
from typing import Any

import numpy as np

from ... import ops

_EPS = 1e-7                     # beside the square roots

Params = MutableMapping[Any, Any]


class _Optimizer:
    """What all have in common.

    A subclass names its states, which start at zero with the first update, and gives the step for
    lists of arrays and for one parameter. The profiles name the learning rate: `_rate` reads it.
    """

    _rate_name = "lr"
    _states: tuple[str, ...] = ()

    def __init__(self, rate: float) -> None:
        setattr(self, self._rate_name, rate)
        for name in self._states:
            setattr(self, name, None)

    @property
    def _rate(self) -> Any:
        return getattr(self, self._rate_name)

    def _update(self, params: Params, grads: Mapping[Any, Any]) -> None:
        for name in self._states:
            if getattr(self, name) is None:
                setattr(self, name, {key: np.zeros_like(value) for key, value in params.items()})
        self._begin()
        states = [getattr(self, name) for name in self._states]
        arrays: dict[np.dtype, list[list[np.ndarray]]] = {}
        taken: set[int] = set()
        for key in params:
            row = [params[key], grads[key], *(state[key] for state in states)]
            if _is_for_kernels(row) and id(row[0]) not in taken:
                taken.add(id(row[0]))
                row[1] = row[1].astype(row[0].dtype, copy=False)
                lists = arrays.setdefault(row[0].dtype, [[] for _ in row])
                for column, array in zip(lists, row, strict=True):
                    column.append(array)
            else:
                params[key] = self._step(key, params[key], grads[key])
        for lists in arrays.values():
            self._step_over(*lists)

    def _begin(self) -> None:
        """Before the parameters of an update."""

    def _step_over(self, *lists: list[np.ndarray]) -> None:
        """Change parameters; after them come their gradients and states."""
        raise NotImplementedError(f"{type(self).__name__} does not define _step_over")

    def _step(self, key: Any, w: Any, g: Any) -> Any:
        """The parameter `key` after the step: `w` itself if it is an array."""
        raise NotImplementedError(f"{type(self).__name__} does not define _step")


def _is_for_kernels(row: list[Any]) -> bool:
    w, g, *states = row
    return (type(w) is np.ndarray and type(g) is np.ndarray and w.dtype.char in "fd"
            and w.flags.c_contiguous and w.flags.writeable and g.shape == w.shape
            and g.dtype.char in "fd" and g.dtype.itemsize <= w.dtype.itemsize
            and all(type(s) is np.ndarray and s.shape == w.shape and s.dtype == w.dtype
                    for s in states))


class SGD(_Optimizer):
    """``w -= lr * g``."""

    def _step_over(self, *lists):
        ops.sgd_update(*lists, lr=self._rate)

    def _step(self, key, w, g):
        w -= self._rate * g
        return w


class Momentum(_Optimizer):
    """``v = momentum * v - lr * g; w += v`` (Polyak, 1964)."""

    _states = ("v",)

    def __init__(self, rate: float, momentum: float) -> None:
        super().__init__(rate)
        self.momentum = momentum

    def _step_over(self, ws, gs, vs):
        for v in vs:
            v *= self.momentum
        ops.sgd_update(vs, gs, lr=self._rate)
        ops.sgd_update(ws, vs, lr=-1.0)

    def _step(self, key, w, g):
        self.v[key] = self.momentum * self.v[key] - self._rate * g
        w += self.v[key]
        return w


class Nesterov(_Optimizer):
    """Momentum that looks ahead (Nesterov, 1983; Bengio et al., 2012).

    ``w += momentum**2 * v - (1 + momentum) * lr * g; v = momentum * v - lr * g``.
    """

    _states = ("v",)
    _velocity_first = False     # whether w moves by the new v

    def __init__(self, rate: float, momentum: float) -> None:
        super().__init__(rate)
        self.momentum = momentum

    def _step_over(self, ws, gs, vs):
        if not self._velocity_first:
            self._move(ws, gs, vs)
        for v in vs:
            v *= self.momentum
        ops.sgd_update(vs, gs, lr=self._rate)
        if self._velocity_first:
            self._move(ws, gs, vs)

    def _move(self, ws, gs, vs):
        ops.sgd_update(ws, vs, lr=-self.momentum * self.momentum)
        ops.sgd_update(ws, gs, lr=(1 + self.momentum) * self._rate)

    def _step(self, key, w, g):
        v = self.v[key]
        after = self.momentum * v - self._rate * g
        w += self.momentum * self.momentum * (after if self._velocity_first else v)
        w -= (1 + self.momentum) * self._rate * g
        self.v[key] = after
        return w


class AdaGrad(_Optimizer):
    """``h += g * g; w -= lr * g / (sqrt(h) + 1e-7)`` (Duchi et al., 2011)."""

    _states = ("h",)

    def _step_over(self, *lists):
        ops.adagrad_update(*lists, lr=self._rate, eps=_EPS)

    def _step(self, key, w, g):
        self.h[key] += g * g
        w -= self._rate * g / (np.sqrt(self.h[key]) + _EPS)
        return w


class RMSprop(_Optimizer):
    """``h = decay_rate * h + (1 - decay_rate) * g * g; w -= lr * g / (sqrt(h) + 1e-7)``.

    Hinton's lectures, 6e.
    """

    _states = ("h",)

    def __init__(self, rate: float, decay_rate: float) -> None:
        super().__init__(rate)
        self.decay_rate = decay_rate

    def _step_over(self, *lists):
        ops.rmsprop_update(*lists, lr=self._rate, alpha=self.decay_rate, eps=_EPS)

    def _step(self, key, w, g):
        self.h[key] *= self.decay_rate
        self.h[key] += (1 - self.decay_rate) * g * g
        w -= self._rate * g / (np.sqrt(self.h[key]) + _EPS)
        return w


class Adam(_Optimizer):
    """Running means of g and g², the step corrected for their start (Kingma & Ba, 2015).

    ``w -= lr_t * m / (sqrt(v) + 1e-7)``: here 1e-7 stands beside the root of `v` before its own
    correction, unlike in the paper.
    """

    _states = ("m", "v")

    def __init__(self, rate: float, beta1: float, beta2: float) -> None:
        super().__init__(rate)
        self.beta1, self.beta2 = beta1, beta2
        self.iter = 0

    def _begin(self):
        self.iter += 1

    def _step_over(self, *lists):
        correction = math.sqrt(1 - self.beta2**self.iter)
        ops.adam_update(*lists, step=self.iter, lr=self._rate, beta1=self.beta1,
                        beta2=self.beta2, eps=_EPS / correction)

    def _step(self, key, w, g):
        lr = self._rate * math.sqrt(1 - self.beta2**self.iter) / (1 - self.beta1**self.iter)
        self.m[key] += (1 - self.beta1) * (g - self.m[key])
        self.v[key] += (1 - self.beta2) * (g**2 - self.v[key])
        w -= lr * self.m[key] / (np.sqrt(self.v[key]) + _EPS)
        return w
