"""Layers with ``forward(x, training)`` and ``backward(dy)``; everything in float64."""

import numpy as np


def im2col(x, KH, KW, stride, pad):
    """(N, C, H, W) to (N * OH * OW, C * KH * KW)."""
    N, C, H, W = x.shape
    OH, OW = (H + 2 * pad - KH) // stride + 1, (W + 2 * pad - KW) // stride + 1
    x = np.pad(x, [(0, 0), (0, 0), (pad, pad), (pad, pad)])
    fields = np.zeros((N, C, KH, KW, OH, OW))
    for i in range(KH):
        for j in range(KW):
            fields[:, :, i, j] = x[:, :, i:i + stride * OH:stride, j:j + stride * OW:stride]
    return fields.transpose(0, 4, 5, 1, 2, 3).reshape(N * OH * OW, -1)


def col2im(col, shape, KH, KW, stride, pad):
    """Adjoint of `im2col`."""
    N, C, H, W = shape
    OH, OW = (H + 2 * pad - KH) // stride + 1, (W + 2 * pad - KW) // stride + 1
    fields = col.reshape(N, OH, OW, C, KH, KW).transpose(0, 3, 4, 5, 1, 2)
    x = np.zeros((N, C, H + 2 * pad + stride, W + 2 * pad + stride))
    for i in range(KH):
        for j in range(KW):
            x[:, :, i:i + stride * OH:stride, j:j + stride * OW:stride] += fields[:, :, i, j]
    return x[:, :, pad:H + pad, pad:W + pad]


class Convolution:
    weighted = True

    def __init__(self, W, b, stride, pad):
        self.W, self.b, self.stride, self.pad = W, b, stride, pad

    def forward(self, x, training):
        OC, _, KH, KW = self.W.shape
        self.shape = x.shape
        self.col = im2col(x, KH, KW, self.stride, self.pad)
        y = self.col @ self.W.reshape(OC, -1).T + self.b
        OH = (x.shape[2] + 2 * self.pad - KH) // self.stride + 1
        return y.reshape(len(x), OH, -1, OC).transpose(0, 3, 1, 2)

    def backward(self, dy):
        OC, _, KH, KW = self.W.shape
        dy = dy.transpose(0, 2, 3, 1).reshape(-1, OC)
        self.db = dy.sum(axis=0)
        self.dW = (self.col.T @ dy).T.reshape(self.W.shape)
        return col2im(dy @ self.W.reshape(OC, -1), self.shape, KH, KW, self.stride, self.pad)


class Pooling:
    weighted = False

    def __init__(self, size, stride):
        self.size, self.stride = size, stride

    def forward(self, x, training):
        N, C, H, _ = self.shape = x.shape
        col = im2col(x, self.size, self.size, self.stride, 0).reshape(-1, self.size**2)
        self.best = col.argmax(axis=1)
        OH = (H - self.size) // self.stride + 1
        return col.max(axis=1).reshape(N, OH, -1, C).transpose(0, 3, 1, 2)

    def backward(self, dy):
        flat = dy.transpose(0, 2, 3, 1).ravel()
        col = np.zeros((flat.size, self.size**2))
        col[np.arange(flat.size), self.best] = flat
        return col2im(col, self.shape, self.size, self.size, self.stride, 0)


class Affine:
    weighted = True

    def __init__(self, W, b):
        self.W, self.b = W, b

    def forward(self, x, training):
        self.shape, self.x = x.shape, x.reshape(len(x), -1)
        return np.dot(self.x, self.W) + self.b

    def backward(self, dy):
        self.dW, self.db = np.dot(self.x.T, dy), dy.sum(axis=0)
        return np.dot(dy, self.W.T).reshape(self.shape)


class Relu:
    weighted = False

    def forward(self, x, training):
        self.off = x <= 0
        y = x.copy()
        y[self.off] = 0
        return y

    def backward(self, dy):
        dy[self.off] = 0
        return dy


class Sigmoid:
    weighted = False

    def forward(self, x, training):
        self.y = 1 / (1 + np.exp(-x))
        return self.y

    def backward(self, dy):
        return dy * self.y * (1 - self.y)


class Dropout:
    weighted = False

    def __init__(self, ratio):
        self.ratio = ratio

    def forward(self, x, training):
        if not training:
            return x * (1 - self.ratio)
        self.kept = np.random.rand(*x.shape) > self.ratio           # noqa: NPY002
        return x * self.kept

    def backward(self, dy):
        return dy * self.kept


class BatchNorm:
    """Over the batch, each activation by itself."""

    weighted = False

    def __init__(self, gamma, beta, momentum=0.9):
        self.gamma, self.beta, self.momentum = gamma, beta, momentum
        self.mean = self.var = 0.0

    def forward(self, x, training):
        self.shape, x = x.shape, x.reshape(len(x), -1)
        mean, var = (x.mean(axis=0), x.var(axis=0)) if training else (self.mean, self.var)
        if training:
            self.mean = self.momentum * self.mean + (1 - self.momentum) * mean
            self.var = self.momentum * self.var + (1 - self.momentum) * var
        self.std = np.sqrt(var + 1e-6)
        self.xn = (x - mean) / self.std
        return (self.gamma * self.xn + self.beta).reshape(self.shape)

    def backward(self, dy):
        N, dy = len(dy), dy.reshape(len(dy), -1)
        self.dbeta, self.dgamma = dy.sum(axis=0), (dy * self.xn).sum(axis=0)
        dxn = dy * self.gamma
        dx = (N * dxn - dxn.sum(axis=0) - self.xn * (dxn * self.xn).sum(axis=0)) / (N * self.std)
        return dx.reshape(self.shape)


class SoftmaxLoss:
    """Targets are indices."""

    def forward(self, x, t):
        e = np.exp(x - x.max(axis=1, keepdims=True))
        self.y, self.t = e / e.sum(axis=1, keepdims=True), t
        return -np.log(self.y[np.arange(len(t)), t] + 1e-7).mean()

    def backward(self):
        one_hot = np.eye(self.y.shape[1])[self.t]
        return (self.y - one_hot) / len(self.t)
