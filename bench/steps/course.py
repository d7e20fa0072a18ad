"""Networks as courses teach them: im2col, `np.dot` and dicts, in NumPy's own float64.

A stand-in for the code of the exercises that fastdl's first networks come from; made to be measured
beside, with the passes over memory that the classic form has.
"""

import numpy as np


def im2col(images, size, stride, pad):
    """Each receptive field as a row: (N × OH × OW, C × size × size)."""
    N, C, H, W = images.shape
    OH, OW = (H + 2 * pad - size) // stride + 1, (W + 2 * pad - size) // stride + 1
    padded = np.pad(images, [(0, 0), (0, 0), (pad, pad), (pad, pad)])
    col = np.zeros((N, C, size, size, OH, OW))
    for i in range(size):
        for j in range(size):
            col[:, :, i, j] = padded[:, :, i:i + stride * OH:stride, j:j + stride * OW:stride]
    return col.transpose(0, 4, 5, 1, 2, 3).reshape(N * OH * OW, -1)


def col2im(col, shape, size, stride, pad):
    """The rows of `im2col` added up where they came from."""
    N, C, H, W = shape
    OH, OW = (H + 2 * pad - size) // stride + 1, (W + 2 * pad - size) // stride + 1
    col = col.reshape(N, OH, OW, C, size, size).transpose(0, 3, 4, 5, 1, 2)
    images = np.zeros((N, C, H + 2 * pad + stride - 1, W + 2 * pad + stride - 1))
    for i in range(size):
        for j in range(size):
            images[:, :, i:i + stride * OH:stride, j:j + stride * OW:stride] += col[:, :, i, j]
    return images[:, :, pad:H + pad, pad:W + pad]


class Convolution:
    """A product of receptive fields and filters."""

    def __init__(self, W, b, stride, pad):
        self.W, self.b, self.stride, self.pad = W, b, stride, pad

    def forward(self, x, training):
        OC, _, size, _ = self.W.shape
        self.shape, self.col = x.shape, im2col(x, size, self.stride, self.pad)
        self.rows = self.W.reshape(OC, -1).T
        OH = (x.shape[2] + 2 * self.pad - size) // self.stride + 1
        out = np.dot(self.col, self.rows) + self.b
        return out.reshape(len(x), OH, -1, OC).transpose(0, 3, 1, 2)

    def backward(self, dout):
        OC, C, size, _ = self.W.shape
        dout = dout.transpose(0, 2, 3, 1).reshape(-1, OC)
        self.db = np.sum(dout, axis=0)
        self.dW = np.dot(self.col.T, dout).transpose(1, 0).reshape(OC, C, size, size)
        return col2im(np.dot(dout, self.rows.T), self.shape, size, self.stride, self.pad)


class Pooling:
    """The maximum of each window, by its place in a row."""

    def __init__(self, size, stride):
        self.size, self.stride = size, stride

    def forward(self, x, training):
        N, C, H, W = self.shape = x.shape
        OH, OW = (H - self.size) // self.stride + 1, (W - self.size) // self.stride + 1
        col = im2col(x, self.size, self.stride, 0).reshape(-1, self.size**2)
        self.arg_max = np.argmax(col, axis=1)
        return np.max(col, axis=1).reshape(N, OH, OW, C).transpose(0, 3, 1, 2)

    def backward(self, dout):
        dout = dout.transpose(0, 2, 3, 1)
        dmax = np.zeros((dout.size, self.size**2))
        dmax[np.arange(self.arg_max.size), self.arg_max] = dout.flatten()
        dcol = dmax.reshape(dout.shape[0] * dout.shape[1] * dout.shape[2], -1)
        return col2im(dcol, self.shape, self.size, self.stride, 0)


class Affine:
    """A dense layer; flattens what comes in."""

    def __init__(self, W, b):
        self.W, self.b = W, b

    def forward(self, x, training):
        self.shape, self.x = x.shape, x.reshape(len(x), -1)
        return np.dot(self.x, self.W) + self.b

    def backward(self, dout):
        self.dW, self.db = np.dot(self.x.T, dout), np.sum(dout, axis=0)
        return np.dot(dout, self.W.T).reshape(self.shape)


class Relu:
    """Zero where the input is not above it."""

    def forward(self, x, training):
        self.mask = x <= 0
        out = x.copy()
        out[self.mask] = 0
        return out

    def backward(self, dout):
        dout[self.mask] = 0
        return dout


class Dropout:
    """Drops in training, scales in inference."""

    def __init__(self, ratio):
        self.ratio, self.random = ratio, np.random.default_rng()

    def forward(self, x, training):
        if not training:
            return x * (1 - self.ratio)
        self.mask = self.random.random(x.shape) > self.ratio
        return x * self.mask

    def backward(self, dout):
        return dout * self.mask


class SoftmaxWithLoss:
    """The last layer."""

    def forward(self, x, t):
        e = np.exp(x - np.max(x, axis=1, keepdims=True))
        self.y, self.t = e / np.sum(e, axis=1, keepdims=True), t
        return -np.sum(np.log(self.y[np.arange(len(t)), t] + 1e-7)) / len(t)

    def backward(self):
        dx = self.y.copy()
        dx[np.arange(len(self.t)), self.t] -= 1
        return dx / len(self.t)


class Adam:
    """One parameter after the other."""

    def __init__(self, lr, beta1=0.9, beta2=0.999):
        self.lr, self.beta1, self.beta2, self.iter = lr, beta1, beta2, 0
        self.m, self.v = {}, {}

    def update(self, params, grads):
        if not self.m:
            self.m = {key: np.zeros_like(value) for key, value in params.items()}
            self.v = {key: np.zeros_like(value) for key, value in params.items()}
        self.iter += 1
        lr = self.lr * np.sqrt(1 - self.beta2**self.iter) / (1 - self.beta1**self.iter)
        for key in params:
            self.m[key] += (1 - self.beta1) * (grads[key] - self.m[key])
            self.v[key] += (1 - self.beta2) * (grads[key]**2 - self.v[key])
            params[key] -= lr * self.m[key] / (np.sqrt(self.v[key]) + 1e-7)
