"""Update steps on the device: all parameters of a network in one launch, in one pass over memory.

A step is written for one element: of the parameter, its gradient and its two states (those it does
not have are 0), it makes the new ones. A block does a piece of one array, which a table names.
reference.py has the formulas.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from ...cuda._array import to_device
from ...cuda._device import (
    THREADS,
    ZERO,
    cuda,
    device,
    float32,
    int32,
    ints,
    kernel,
    load4,
    longs,
    pointer_to_floats,
    sqrt,
    store4,
)

_PIECE = 16 * THREADS                   # elements of a block


@device
def _decayed(w, dw, decay):
    return dw + decay * w if decay != ZERO else dw


@device
def _sgd(w, dw, a, b, o):
    return w - o[0] * _decayed(w, dw, o[1]), a, b


@device
def _momentum(w, dw, v, b, o):
    v = v * o[1] + _decayed(w, dw, o[2])
    return w - o[0] * v, v, b


@device
def _nesterov(w, dw, v, b, o):
    g = _decayed(w, dw, o[2])
    v = v * o[1] + g
    return w - o[0] * (g + o[1] * v), v, b


@device
def _adagrad(w, dw, h, b, o):
    g = _decayed(w, dw, o[2])
    h += g * g
    return w - o[0] * g / (sqrt(h) + o[1]), h, b


@device
def _adadelta(w, dw, h, delta, o):
    g = _decayed(w, dw, o[4])
    h = h * o[1] + o[2] * g * g
    step = sqrt(delta + o[3]) / sqrt(h + o[3]) * g
    return w - o[0] * step, h, delta * o[1] + o[2] * step * step


@device
def _rmsprop(w, dw, h, b, o):
    g = _decayed(w, dw, o[4])
    h = h * o[1] + o[2] * g * g
    return w - o[0] * g / (sqrt(h) + o[3]), h, b


@device
def _adam(w, dw, m, v, o):
    g = _decayed(w, dw, o[6])
    m = m * o[0] + o[1] * g
    v = v * o[2] + o[3] * g * g
    return w * o[7] - o[4] * m / (sqrt(v) * o[5] + o[8]), m, v


@device
def _nadam(w, dw, m, v, o):
    g = _decayed(w, dw, o[6])
    m = m * o[0] + o[1] * g
    v = v * o[2] + o[3] * g * g
    return w - (o[4] * g + o[7] * m) / (sqrt(v * o[5]) + o[8]), m, v


def _update(step, states, name):
    """The kernel of a step that keeps so many states."""
    @kernel(constants=(name, states))
    def update(table: longs, sizes: longs, owners: ints, begins: longs, count: int32,
               aligned: int32, o0: float32, o1: float32, o2: float32, o3: float32, o4: float32,
               o5: float32, o6: float32, o7: float32, o8: float32):
        o = (o0, o1, o2, o3, o4, o5, o6, o7, o8)
        owner, begin = owners[cuda.blockIdx.x], begins[cuda.blockIdx.x]
        w = pointer_to_floats(table[owner])
        dw = pointer_to_floats(table[count + owner])
        a = pointer_to_floats(table[2 * count + owner]) if states > 0 else w
        b = pointer_to_floats(table[3 * count + owner]) if states > 1 else w
        end = min(begin + _PIECE, sizes[owner])
        rest = begin
        if aligned:
            rest = begin + (end - begin) // 4 * 4
            for i in range(begin + 4 * cuda.threadIdx.x, rest, 4 * THREADS):
                ws, gs = load4(w, i), load4(dw, i)
                first = load4(a, i) if states > 0 else gs
                second = load4(b, i) if states > 1 else gs
                n0 = step(ws[0], gs[0], first[0], second[0], o)
                n1 = step(ws[1], gs[1], first[1], second[1], o)
                n2 = step(ws[2], gs[2], first[2], second[2], o)
                n3 = step(ws[3], gs[3], first[3], second[3], o)
                store4(w, i, (n0[0], n1[0], n2[0], n3[0]))
                if states > 0:
                    store4(a, i, (n0[1], n1[1], n2[1], n3[1]))
                if states > 1:
                    store4(b, i, (n0[2], n1[2], n2[2], n3[2]))
        for i in range(rest + cuda.threadIdx.x, end, THREADS):
            new = step(w[i], dw[i], a[i] if states > 0 else ZERO, b[i] if states > 1 else ZERO, o)
            w[i] = new[0]
            if states > 0:
                a[i] = new[1]
            if states > 1:
                b[i] = new[2]

    return update


_kernels = {name: _update(step, states, name) for name, step, states in (
    ("sgd", _sgd, 0), ("momentum", _momentum, 1), ("nesterov", _nesterov, 1),
    ("adagrad", _adagrad, 1), ("adadelta", _adadelta, 2), ("rmsprop", _rmsprop, 1),
    ("adam", _adam, 2), ("nadam", _nadam, 2))}


class _Table(NamedTuple):
    """Where the arrays are, and the pieces: whose each is, and where it begins."""

    addresses: object
    sizes: object
    owners: object
    begins: object
    blocks: int


@lru_cache(maxsize=64)
def _table(addresses, sizes):
    counts = [-(-size // _PIECE) for size in sizes]
    owners = np.repeat(np.arange(len(sizes), dtype=np.int32), counts)
    begins = [np.arange(count, dtype=np.int64) * _PIECE for count in counts]
    arrays = (np.array(addresses, np.int64), np.array(sizes, np.int64), owners,
              np.concatenate(begins) if begins else np.zeros(0, np.int64))
    return _Table(*map(to_device, arrays), len(owners))


def _run(name, lists, *options):
    addresses = tuple([array.address for arrays in lists for array in arrays])
    table = _table(addresses, tuple([array.size for array in lists[0]]))
    aligned = not any(address % 16 for address in addresses)
    padded = (*options, *(0.0,) * (9 - len(options)))
    _kernels[name][table.blocks](*table[:-1], len(lists[0]), aligned, *padded)


def sgd_update(w, dw, lr, weight_decay):
    _run("sgd", (w, dw), lr, weight_decay)


def momentum_update(w, dw, v, lr, momentum, weight_decay):
    _run("momentum", (w, dw, v), lr, momentum, weight_decay)


def nesterov_update(w, dw, v, lr, momentum, weight_decay):
    _run("nesterov", (w, dw, v), lr, momentum, weight_decay)


def adagrad_update(w, dw, h, lr, eps, weight_decay):
    _run("adagrad", (w, dw, h), lr, eps, weight_decay)


def adadelta_update(w, dw, h, delta, lr, rho, eps, weight_decay):
    _run("adadelta", (w, dw, h, delta), lr, rho, 1 - rho, eps, weight_decay)


def rmsprop_update(w, dw, h, lr, alpha, eps, weight_decay):
    _run("rmsprop", (w, dw, h), lr, alpha, 1 - alpha, eps, weight_decay)


def _adam_options(lr, beta1, beta2, eps, decay, shrink, step):
    return (beta1, 1 - beta1, beta2, 1 - beta2, lr / (1 - beta1**step),
            1 / np.sqrt(1 - beta2**step), decay, shrink, eps)


def adam_update(w, dw, m, v, lr, beta1, beta2, eps, weight_decay, step):
    _run("adam", (w, dw, m, v), *_adam_options(lr, beta1, beta2, eps, weight_decay, 1.0, step))


def adamw_update(w, dw, m, v, lr, beta1, beta2, eps, weight_decay, step):
    shrink = 1 - lr * weight_decay
    _run("adam", (w, dw, m, v), *_adam_options(lr, beta1, beta2, eps, 0.0, shrink, step))


def nadam_update(w, dw, m, v, lr, beta1, beta2, eps, weight_decay, step, mu, mu_next, mu_product):
    _run("nadam", (w, dw, m, v), beta1, 1 - beta1, beta2, 1 - beta2,
         lr * (1 - mu) / (1 - mu_product), 1 / (1 - beta2**step), weight_decay,
         lr * mu_next / (1 - mu_product * mu_next), eps)
