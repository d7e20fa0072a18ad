"""The course's layers in plain NumPy: what ``fastdl run --report`` compares with.

Each entry of `LAYERS` is a pair: ``forward(layer, x, ...) -> y, saved`` and
``backward(layer, dy, saved) -> dx``. They read a layer's parameters and options, and change
nothing of it. Each entry of `UPDATES` changes one parameter in place.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np


def windows(x: np.ndarray, KH: int, KW: int, S: int, P: int) -> np.ndarray:
    """The fields that a filter sees, one a row: (N OH OW, C KH KW)."""
    N, C, H, W = x.shape
    OH, OW = (H + 2 * P - KH) // S + 1, (W + 2 * P - KW) // S + 1
    x = np.pad(x, [(0, 0), (0, 0), (P, P), (P, P)])
    fields = np.empty((N, C, KH, KW, OH, OW), x.dtype)
    for i in range(KH):
        for j in range(KW):
            fields[:, :, i, j] = x[:, :, i:i + S * OH:S, j:j + S * OW:S]
    return fields.transpose(0, 4, 5, 1, 2, 3).reshape(N * OH * OW, -1)


def add_windows(fields: np.ndarray, shape: tuple[int, ...], KH: int, KW: int, S: int,
                P: int) -> np.ndarray:
    """The sum of fields where they lie in an image of `shape`: `windows` backward."""
    N, C, H, W = shape
    OH, OW = (H + 2 * P - KH) // S + 1, (W + 2 * P - KW) // S + 1
    fields = fields.reshape(N, OH, OW, C, KH, KW).transpose(0, 3, 4, 5, 1, 2)
    x = np.zeros((N, C, H + 2 * P, W + 2 * P), fields.dtype)
    for i in range(KH):
        for j in range(KW):
            x[:, :, i:i + S * OH:S, j:j + S * OW:S] += fields[:, :, i, j]
    return x[:, :, P:P + H, P:P + W]


def convolution(layer: Any, x: np.ndarray) -> tuple[np.ndarray, Any]:
    """Fields times filters."""
    OC, _, KH, KW = layer.W.shape
    fields = windows(x, KH, KW, layer.stride, layer.pad)
    y = fields @ layer.W.reshape(OC, -1).T + layer.b
    OH = (x.shape[2] + 2 * layer.pad - KH) // layer.stride + 1
    return y.reshape(len(x), OH, -1, OC).transpose(0, 3, 1, 2), (x.shape, fields)


def convolution_backward(layer: Any, dy: np.ndarray, saved: Any) -> np.ndarray:
    """Gradients of filters and bias, dropped, and of the input."""
    shape, fields = saved
    OC, _, KH, KW = layer.W.shape
    dy = dy.transpose(0, 2, 3, 1).reshape(-1, OC)
    dy.sum(axis=0)
    np.dot(fields.T, dy)
    return add_windows(dy @ layer.W.reshape(OC, -1), shape, KH, KW, layer.stride, layer.pad)


def pooling(layer: Any, x: np.ndarray) -> tuple[np.ndarray, Any]:
    """The largest of each window."""
    N, C, H, _ = x.shape
    KH, KW, S, P = layer.pool_h, layer.pool_w, layer.stride, layer.pad
    fields = windows(x, KH, KW, S, P).reshape(-1, KH * KW)
    where = fields.argmax(axis=1)
    y = fields.max(axis=1).reshape(N, (H + 2 * P - KH) // S + 1, -1, C).transpose(0, 3, 1, 2)
    return y, (x.shape, where)


def pooling_backward(layer: Any, dy: np.ndarray, saved: Any) -> np.ndarray:
    """Each gradient to the place of the largest."""
    shape, where = saved
    KH, KW = layer.pool_h, layer.pool_w
    fields = np.zeros((dy.size, KH * KW), dy.dtype)
    fields[np.arange(len(where)), where] = dy.transpose(0, 2, 3, 1).ravel()
    return add_windows(fields, shape, KH, KW, layer.stride, layer.pad)


def affine(layer: Any, x: np.ndarray) -> tuple[np.ndarray, Any]:
    """A product and a bias."""
    rows = x.reshape(len(x), -1)
    return rows @ layer.W + layer.b, (x.shape, rows)


def affine_backward(layer: Any, dy: np.ndarray, saved: Any) -> np.ndarray:
    """Gradients of weights and bias, dropped, and of the input."""
    shape, rows = saved
    np.dot(rows.T, dy)
    dy.sum(axis=0)
    return (dy @ layer.W.T).reshape(shape)


def relu(layer: Any, x: np.ndarray) -> tuple[np.ndarray, Any]:
    """Zero where x is not above it."""
    mask = x <= 0
    y = x.copy()
    y[mask] = 0
    return y, mask


def relu_backward(layer: Any, dy: np.ndarray, mask: Any) -> np.ndarray:
    """Zero where the output is."""
    dx = dy.copy()
    dx[mask] = 0
    return dx


def sigmoid(layer: Any, x: np.ndarray) -> tuple[np.ndarray, Any]:
    """1 / (1 + exp(-x))."""
    y = 1 / (1 + np.exp(-x))
    return y, y


def sigmoid_backward(layer: Any, dy: np.ndarray, y: Any) -> np.ndarray:
    """By the output."""
    return dy * (1 - y) * y


def softmax_with_loss(layer: Any, x: np.ndarray, t: np.ndarray) -> tuple[Any, Any]:
    """Mean cross entropy of the softmax."""
    powers = np.exp(x - x.max(axis=-1, keepdims=True))
    y = powers / powers.sum(axis=-1, keepdims=True)
    labels = t.argmax(axis=-1) if t.shape == y.shape else t
    rows = y.reshape(-1, y.shape[-1])
    loss = -np.log(rows[np.arange(len(rows)), labels.ravel()] + 1e-7).mean()
    return loss, (y, labels)


def softmax_with_loss_backward(layer: Any, dy: Any, saved: Any) -> np.ndarray:
    """Softmax minus target."""
    y, labels = saved
    dx = y.copy().reshape(-1, y.shape[-1])
    dx[np.arange(len(dx)), labels.ravel()] -= 1
    return dx / len(dx)


def batch_norm(layer: Any, x: np.ndarray, training: bool = True) -> tuple[np.ndarray, Any]:
    """Per activation, over the batch."""
    rows = x.reshape(len(x), -1)
    mean = rows.mean(axis=0) if training else layer.running_mean
    centred = rows - mean
    var = (centred ** 2).mean(axis=0) if training else layer.running_var
    std = np.sqrt(var + 1e-6)
    normed = centred / std
    return (layer.gamma * normed + layer.beta).reshape(x.shape), (centred, std, normed)


def batch_norm_backward(layer: Any, dy: np.ndarray, saved: Any) -> np.ndarray:
    """Through mean and variance."""
    centred, std, normed = saved
    rows = dy.reshape(len(dy), -1)
    rows.sum(axis=0)
    (normed * rows).sum(axis=0)
    dnormed = layer.gamma * rows
    dvar = -(dnormed * centred).sum(axis=0) / (2 * std ** 3)
    dcentred = dnormed / std + 2 / len(dy) * centred * dvar
    return (dcentred - dcentred.mean(axis=0)).reshape(dy.shape)


def dropout(layer: Any, x: np.ndarray, training: bool = True) -> tuple[np.ndarray, Any]:
    """Without rescaling in training; NumPy's random state is as before."""
    if not training:
        return x * (1 - layer.dropout_ratio), None
    state = np.random.get_state()  # noqa: NPY002  (the course's generator)
    mask = np.random.rand(*x.shape) > layer.dropout_ratio  # noqa: NPY002
    np.random.set_state(state)  # noqa: NPY002
    return x * mask, mask


def dropout_backward(layer: Any, dy: np.ndarray, mask: Any) -> np.ndarray:
    """The same elements are dropped."""
    return dy * mask


LAYERS: dict[str, tuple[Callable[..., tuple[Any, Any]], Callable[..., np.ndarray]]] = {
    "Convolution": (convolution, convolution_backward),
    "Pooling": (pooling, pooling_backward),
    "Affine": (affine, affine_backward),
    "Relu": (relu, relu_backward),
    "Sigmoid": (sigmoid, sigmoid_backward),
    "SoftmaxWithLoss": (softmax_with_loss, softmax_with_loss_backward),
    "BatchNormalization": (batch_norm, batch_norm_backward),
    "Dropout": (dropout, dropout_backward),
}


def sgd(w: np.ndarray, dw: np.ndarray, lr: float) -> None:
    """Down the gradient."""
    w -= lr * dw


def momentum(w: np.ndarray, dw: np.ndarray, lr: float, v: np.ndarray) -> None:
    """With a velocity."""
    v[...] = 0.9 * v - lr * dw
    w += v


def adagrad(w: np.ndarray, dw: np.ndarray, lr: float, h: np.ndarray) -> None:
    """By the sum of squares."""
    h += dw * dw
    w -= lr * dw / (np.sqrt(h) + 1e-7)


def rmsprop(w: np.ndarray, dw: np.ndarray, lr: float, h: np.ndarray) -> None:
    """By the mean of squares."""
    h *= 0.99
    h += 0.01 * dw * dw
    w -= lr * dw / (np.sqrt(h) + 1e-7)


def adam(w: np.ndarray, dw: np.ndarray, lr: float, m: np.ndarray, v: np.ndarray) -> None:
    """By means of gradient and square."""
    m += 0.1 * (dw - m)
    v += 0.001 * (dw ** 2 - v)
    w -= lr * m / (np.sqrt(v) + 1e-7)


# The function, and how many arrays it keeps beside a parameter.
UPDATES: dict[str, tuple[Callable[..., None], int]] = {
    "SGD": (sgd, 0), "Momentum": (momentum, 1), "AdaGrad": (adagrad, 1),
    "RMSprop": (rmsprop, 1), "RMSProp": (rmsprop, 1), "Adam": (adam, 2)}
