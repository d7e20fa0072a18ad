"""Update steps of the optimizers: parameters and state are changed in place.

A kernel takes all parameters of a network at once: lists of the parameters, their gradients and
their states, then the options. Here each step is written for one parameter, and `over_lists` makes
the kernel of it.

Shapes: ``w``, ``dw`` and every state array (``v``, ``h``, ``m``, ``delta``) agree; any shape.
``weight_decay`` is the L2 penalty's factor, added to the gradient: ``g = dw + weight_decay * w``;
AdamW decays the parameter itself instead. The definitions are PyTorch's.
"""

import functools

import numpy as np


def over_lists(step):
    """The kernel that takes `step` for each parameter of the lists."""
    @functools.wraps(step)
    def kernel(*arguments):
        lists = [argument for argument in arguments if isinstance(argument, list)]
        options = arguments[len(lists):]
        for arrays in zip(*lists, strict=True):
            step(*arrays, *options)

    return kernel


def _gradient(w, dw, weight_decay):
    return dw + w.dtype.type(weight_decay) * w if weight_decay else dw


@over_lists
def sgd_update(w, dw, lr, weight_decay):
    """w -= lr * g."""
    w -= w.dtype.type(lr) * _gradient(w, dw, weight_decay)


@over_lists
def momentum_update(w, dw, v, lr, momentum, weight_decay):
    """v = momentum * v + g;  w -= lr * v   (Polyak, 1964)."""
    v *= v.dtype.type(momentum)
    v += _gradient(w, dw, weight_decay)
    w -= w.dtype.type(lr) * v


@over_lists
def nesterov_update(w, dw, v, lr, momentum, weight_decay):
    """v = momentum * v + g;  w -= lr * (g + momentum * v)   (Sutskever et al., 2013)."""
    g = _gradient(w, dw, weight_decay)
    v *= v.dtype.type(momentum)
    v += g
    w -= w.dtype.type(lr) * (g + w.dtype.type(momentum) * v)


@over_lists
def adagrad_update(w, dw, h, lr, eps, weight_decay):
    """h += g * g;  w -= lr * g / (sqrt(h) + eps)   (Duchi et al., 2011)."""
    g = _gradient(w, dw, weight_decay)
    h += g * g
    w -= w.dtype.type(lr) * g / (np.sqrt(h) + w.dtype.type(eps))


@over_lists
def adadelta_update(w, dw, h, delta, lr, rho, eps, weight_decay):
    """Steps in units of past steps, no learning rate needed (Zeiler, 2012).

    h = rho h + (1 - rho) g²;  step = sqrt(delta + eps) / sqrt(h + eps) * g;
    delta = rho delta + (1 - rho) step²;  w -= lr * step.
    """
    real = w.dtype.type
    g = _gradient(w, dw, weight_decay)
    h *= real(rho)
    h += real(1 - rho) * g * g
    step = np.sqrt(delta + real(eps)) / np.sqrt(h + real(eps)) * g
    delta *= real(rho)
    delta += real(1 - rho) * step * step
    w -= real(lr) * step


@over_lists
def rmsprop_update(w, dw, h, lr, alpha, eps, weight_decay):
    """h = alpha h + (1 - alpha) g²;  w -= lr * g / (sqrt(h) + eps)   (Hinton, lecture 6e)."""
    real = w.dtype.type
    g = _gradient(w, dw, weight_decay)
    h *= real(alpha)
    h += real(1 - alpha) * g * g
    w -= real(lr) * g / (np.sqrt(h) + real(eps))


def _moments(g, m, v, beta1, beta2):
    real = g.dtype.type
    m *= real(beta1)
    m += real(1 - beta1) * g
    v *= real(beta2)
    v += real(1 - beta2) * g * g


def _adam_step(w, m, v, lr, beta1, beta2, eps, step):
    real = w.dtype.type
    denominator = np.sqrt(v) * real(1 / np.sqrt(1 - beta2**step)) + real(eps)
    w -= real(lr / (1 - beta1**step)) * m / denominator


@over_lists
def adam_update(w, dw, m, v, lr, beta1, beta2, eps, weight_decay, step):
    """Adam (Kingma & Ba, 2015); `step` counts from 1.

    m, v: running means of g and g²;  w -= lr * m̂ / (sqrt(v̂) + eps), m̂ and v̂ without their bias.
    """
    _moments(_gradient(w, dw, weight_decay), m, v, beta1, beta2)
    _adam_step(w, m, v, lr, beta1, beta2, eps, step)


@over_lists
def adamw_update(w, dw, m, v, lr, beta1, beta2, eps, weight_decay, step):
    """Adam with decoupled weight decay, w *= 1 - lr * weight_decay (Loshchilov & Hutter, 2019)."""
    w *= w.dtype.type(1 - lr * weight_decay)
    _moments(dw, m, v, beta1, beta2)
    _adam_step(w, m, v, lr, beta1, beta2, eps, step)


@over_lists
def nadam_update(w, dw, m, v, lr, beta1, beta2, eps, weight_decay, step, mu, mu_next, mu_product):
    """Adam with Nesterov momentum (Dozat, 2016).

    `mu` and `mu_next` are the momentum schedule's values of this step and the next, `mu_product`
    the product of all its values up to `mu`:
    w -= (lr (1 - mu) / (1 - mu_product) * g + lr mu_next / (1 - mu_product mu_next) * m)
         / (sqrt(v̂) + eps).
    """
    real = w.dtype.type
    g = _gradient(w, dw, weight_decay)
    _moments(g, m, v, beta1, beta2)
    denominator = np.sqrt(v * real(1 / (1 - beta2**step))) + real(eps)
    w -= (real(lr * (1 - mu) / (1 - mu_product)) * g
          + real(lr * mu_next / (1 - mu_product * mu_next)) * m) / denominator
