"""Update steps in Numba: one pass over all parameters, their gradients and their states.

The reference makes a pass over the memory for every operator; here one loop, parallel over blocks
of elements counted through all arrays, does the whole step. The scalars are brought to the
parameters' dtype before the loop.

Compiled code would take a list of arrays only by unpacking it, at the cost of many a small
network's whole update, and a tuple only with a version for each length. It is given a table of
addresses instead.
"""

import math

import numpy as np
from llvmlite import ir
from numba import carray, prange, types
from numba.extending import intrinsic

from .._numba_jit import helper, parallel

_BLOCK = 4096                   # elements; an array's last block may be shorter


@intrinsic
def _pointer(_, address):
    def generate(context, builder, signature, arguments):
        return builder.inttoptr(arguments[0], ir.IntType(8).as_pointer())

    return types.voidptr(address), generate


def _table(w, dw, *states):
    """What the compiled functions take in place of the lists.

    For each parameter a row of its size and its arrays' addresses; the number of each parameter's
    first block, and last of all blocks; and an array of their dtype.
    """
    lists = (w, dw, *states, *[w] * (2 - len(states)))      # what is not there is not used
    table = np.array([[w[i].size, *(arrays[i].ctypes.data for arrays in lists)]
                      for i in range(len(w))], np.int64).reshape(len(w), 5)
    blocks = (table[:, 0] + _BLOCK - 1) // _BLOCK
    return table, np.concatenate(([0], np.cumsum(blocks))), np.empty(0, w[0].dtype)


@helper
def _part(table, firsts, block, like):
    """The elements of `block`: of the parameter, its gradient and its two states."""
    i = np.searchsorted(firsts, block, side="right") - 1
    start = (block - firsts[i]) * _BLOCK
    count, offset = min(_BLOCK, table[i, 0] - start), start * like.itemsize
    return (carray(_pointer(table[i, 1] + offset), count, like.dtype),
            carray(_pointer(table[i, 2] + offset), count, like.dtype),
            carray(_pointer(table[i, 3] + offset), count, like.dtype),
            carray(_pointer(table[i, 4] + offset), count, like.dtype))


@helper
def _gradient(w, dw, weight_decay):
    # Without the test, a weight decay of 0 would carry an infinite parameter into the gradient.
    return dw + weight_decay * w if weight_decay != 0 else dw


@parallel
def _sgd(table, firsts, like, lr, weight_decay):
    for block in prange(firsts[-1]):
        w, dw, _, _ = _part(table, firsts, block, like)
        for i in range(w.size):
            w[i] -= lr * _gradient(w[i], dw[i], weight_decay)


def sgd_update(w, dw, lr, weight_decay):
    real = w[0].dtype.type
    _sgd(*_table(w, dw), real(lr), real(weight_decay))


@parallel
def _momentum(table, firsts, like, lr, momentum, weight_decay):
    for block in prange(firsts[-1]):
        w, dw, v, _ = _part(table, firsts, block, like)
        for i in range(w.size):
            v[i] = v[i] * momentum + _gradient(w[i], dw[i], weight_decay)
            w[i] -= lr * v[i]


def momentum_update(w, dw, v, lr, momentum, weight_decay):
    real = w[0].dtype.type
    _momentum(*_table(w, dw, v), real(lr), real(momentum), real(weight_decay))


@parallel
def _nesterov(table, firsts, like, lr, momentum, weight_decay):
    for block in prange(firsts[-1]):
        w, dw, v, _ = _part(table, firsts, block, like)
        for i in range(w.size):
            g = _gradient(w[i], dw[i], weight_decay)
            v[i] = v[i] * momentum + g
            w[i] -= lr * (g + momentum * v[i])


def nesterov_update(w, dw, v, lr, momentum, weight_decay):
    real = w[0].dtype.type
    _nesterov(*_table(w, dw, v), real(lr), real(momentum), real(weight_decay))


@parallel
def _adagrad(table, firsts, like, lr, eps, weight_decay):
    for block in prange(firsts[-1]):
        w, dw, h, _ = _part(table, firsts, block, like)
        for i in range(w.size):
            g = _gradient(w[i], dw[i], weight_decay)
            h[i] += g * g
            w[i] -= lr * g / (math.sqrt(h[i]) + eps)


def adagrad_update(w, dw, h, lr, eps, weight_decay):
    real = w[0].dtype.type
    _adagrad(*_table(w, dw, h), real(lr), real(eps), real(weight_decay))


@parallel
def _adadelta(table, firsts, like, lr, rho, rest, eps, weight_decay):
    for block in prange(firsts[-1]):
        w, dw, h, delta = _part(table, firsts, block, like)
        for i in range(w.size):
            g = _gradient(w[i], dw[i], weight_decay)
            h[i] = h[i] * rho + rest * g * g
            step = math.sqrt(delta[i] + eps) / math.sqrt(h[i] + eps) * g
            delta[i] = delta[i] * rho + rest * step * step
            w[i] -= lr * step


def adadelta_update(w, dw, h, delta, lr, rho, eps, weight_decay):
    real = w[0].dtype.type
    _adadelta(*_table(w, dw, h, delta), real(lr), real(rho), real(1 - rho), real(eps),
              real(weight_decay))


@parallel
def _rmsprop(table, firsts, like, lr, alpha, rest, eps, weight_decay):
    for block in prange(firsts[-1]):
        w, dw, h, _ = _part(table, firsts, block, like)
        for i in range(w.size):
            g = _gradient(w[i], dw[i], weight_decay)
            h[i] = h[i] * alpha + rest * g * g
            w[i] -= lr * g / (math.sqrt(h[i]) + eps)


def rmsprop_update(w, dw, h, lr, alpha, eps, weight_decay):
    real = w[0].dtype.type
    _rmsprop(*_table(w, dw, h), real(lr), real(alpha), real(1 - alpha), real(eps),
             real(weight_decay))


@parallel
def _adam(table, firsts, like, keep, l2, betas, rests, v_scale, eps, g_rate, m_rate):
    """The step of Adam and its kin; each differs in the scalars alone.

    w = keep * w - (g_rate * g + m_rate * m) / (v_scale * sqrt(v) + eps)
    """
    beta1, beta2 = betas
    rest1, rest2 = rests
    for block in prange(firsts[-1]):
        w, dw, m, v = _part(table, firsts, block, like)
        for i in range(w.size):
            g = _gradient(w[i], dw[i], l2)
            m[i] = m[i] * beta1 + rest1 * g
            v[i] = v[i] * beta2 + rest2 * g * g
            step = m_rate * m[i]
            if g_rate != 0:
                step += g_rate * g
            w[i] = w[i] * keep - step / (math.sqrt(v[i]) * v_scale + eps)


def _adam_like(w, dw, m, v, beta1, beta2, eps, step, keep, l2, g_rate, m_rate):
    real = w[0].dtype.type
    _adam(*_table(w, dw, m, v), real(keep), real(l2), (real(beta1), real(beta2)),
          (real(1 - beta1), real(1 - beta2)), real(1 / math.sqrt(1 - beta2**step)), real(eps),
          real(g_rate), real(m_rate))


def adam_update(w, dw, m, v, lr, beta1, beta2, eps, weight_decay, step):
    _adam_like(w, dw, m, v, beta1, beta2, eps, step,
               keep=1, l2=weight_decay, g_rate=0, m_rate=lr / (1 - beta1**step))


def adamw_update(w, dw, m, v, lr, beta1, beta2, eps, weight_decay, step):
    _adam_like(w, dw, m, v, beta1, beta2, eps, step,
               keep=1 - lr * weight_decay, l2=0, g_rate=0, m_rate=lr / (1 - beta1**step))


def nadam_update(w, dw, m, v, lr, beta1, beta2, eps, weight_decay, step, mu, mu_next, mu_product):
    _adam_like(w, dw, m, v, beta1, beta2, eps, step, keep=1, l2=weight_decay,
               g_rate=lr * (1 - mu) / (1 - mu_product),
               m_rate=lr * mu_next / (1 - mu_product * mu_next))
