"""Optimizer steps in Numba: parameter, gradient and state are each read once and written once.

The reference makes a pass over the memory for every operator; here one loop, parallel over the
elements, does the whole step. The scalars are brought to the parameter's dtype before the loop.
"""

import math

from numba import prange

from .._numba_jit import const_flat, helper, parallel


def _flat(*arrays):
    """The parameter and its state as rows."""
    return [array.reshape(-1) for array in arrays]


@helper
def _gradient(w, dw, weight_decay):
    # Without the test, a weight decay of 0 would carry an infinite parameter into the gradient.
    return dw + weight_decay * w if weight_decay != 0 else dw


@parallel
def _sgd(w, dw, lr, weight_decay):
    for i in prange(w.size):
        w[i] -= lr * _gradient(w[i], dw[i], weight_decay)


def sgd_update(w, dw, lr, weight_decay):
    real = w.dtype.type
    _sgd(w.reshape(-1), const_flat(dw), real(lr), real(weight_decay))


@parallel
def _momentum(w, dw, v, lr, momentum, weight_decay):
    for i in prange(w.size):
        v[i] = v[i] * momentum + _gradient(w[i], dw[i], weight_decay)
        w[i] -= lr * v[i]


def momentum_update(w, dw, v, lr, momentum, weight_decay):
    real = w.dtype.type
    w, v = _flat(w, v)
    _momentum(w, const_flat(dw), v, real(lr), real(momentum), real(weight_decay))


@parallel
def _nesterov(w, dw, v, lr, momentum, weight_decay):
    for i in prange(w.size):
        g = _gradient(w[i], dw[i], weight_decay)
        v[i] = v[i] * momentum + g
        w[i] -= lr * (g + momentum * v[i])


def nesterov_update(w, dw, v, lr, momentum, weight_decay):
    real = w.dtype.type
    w, v = _flat(w, v)
    _nesterov(w, const_flat(dw), v, real(lr), real(momentum), real(weight_decay))


@parallel
def _adagrad(w, dw, h, lr, eps, weight_decay):
    for i in prange(w.size):
        g = _gradient(w[i], dw[i], weight_decay)
        h[i] += g * g
        w[i] -= lr * g / (math.sqrt(h[i]) + eps)


def adagrad_update(w, dw, h, lr, eps, weight_decay):
    real = w.dtype.type
    w, h = _flat(w, h)
    _adagrad(w, const_flat(dw), h, real(lr), real(eps), real(weight_decay))


@parallel
def _adadelta(w, dw, h, delta, lr, rho, rest, eps, weight_decay):
    for i in prange(w.size):
        g = _gradient(w[i], dw[i], weight_decay)
        h[i] = h[i] * rho + rest * g * g
        step = math.sqrt(delta[i] + eps) / math.sqrt(h[i] + eps) * g
        delta[i] = delta[i] * rho + rest * step * step
        w[i] -= lr * step


def adadelta_update(w, dw, h, delta, lr, rho, eps, weight_decay):
    real = w.dtype.type
    w, h, delta = _flat(w, h, delta)
    _adadelta(w, const_flat(dw), h, delta, real(lr), real(rho), real(1 - rho), real(eps),
              real(weight_decay))


@parallel
def _rmsprop(w, dw, h, lr, alpha, rest, eps, weight_decay):
    for i in prange(w.size):
        g = _gradient(w[i], dw[i], weight_decay)
        h[i] = h[i] * alpha + rest * g * g
        w[i] -= lr * g / (math.sqrt(h[i]) + eps)


def rmsprop_update(w, dw, h, lr, alpha, eps, weight_decay):
    real = w.dtype.type
    w, h = _flat(w, h)
    _rmsprop(w, const_flat(dw), h, real(lr), real(alpha), real(1 - alpha), real(eps),
             real(weight_decay))


@parallel
def _adam(w, dw, m, v, keep, l2, betas, rests, v_scale, eps, g_rate, m_rate):
    """The step of Adam and its kin; each differs in the scalars alone.

    w = keep * w - (g_rate * g + m_rate * m) / (v_scale * sqrt(v) + eps)
    """
    beta1, beta2 = betas
    rest1, rest2 = rests
    for i in prange(w.size):
        g = _gradient(w[i], dw[i], l2)
        m[i] = m[i] * beta1 + rest1 * g
        v[i] = v[i] * beta2 + rest2 * g * g
        step = m_rate * m[i]
        if g_rate != 0:
            step += g_rate * g
        w[i] = w[i] * keep - step / (math.sqrt(v[i]) * v_scale + eps)


def _adam_like(w, dw, m, v, beta1, beta2, eps, step, keep, l2, g_rate, m_rate):
    real = w.dtype.type
    w, m, v = _flat(w, m, v)
    _adam(w, const_flat(dw), m, v, real(keep), real(l2), (real(beta1), real(beta2)),
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
