"""Networks: parameters in the course's order, under its names."""

import numpy as np

from .layers import (
    Affine,
    BatchNorm,
    Convolution,
    Dropout,
    Pooling,
    Relu,
    Sigmoid,
    SoftmaxLoss,
)


class Network:
    def __init__(self):
        self.params, self.layers, self.last = {}, [], SoftmaxLoss()
        self.decay = 0

    def draw(self, scale, *shape):
        """Weights and bias of the next layer that has them."""
        i = sum(key[0] == "W" for key in self.params) + 1
        self.params[f"W{i}"] = scale * np.random.randn(*shape)      # noqa: NPY002
        self.params[f"b{i}"] = np.zeros(shape[1] if len(shape) == 2 else shape[0])

    def weights(self, i):
        return self.params[f"W{i}"], self.params[f"b{i}"]

    def predict(self, x, training=False):
        for layer in self.layers:
            x = layer.forward(x, training)
        return x

    def loss(self, x, t, training=True):
        penalty = sum(np.sum(W**2) for key, W in self.params.items() if key[0] == "W")
        return self.last.forward(self.predict(x, training), t) + self.decay / 2 * penalty

    def gradient(self, x, t):
        self.loss(x, t)
        dy = self.last.backward()
        for layer in reversed(self.layers):
            dy = layer.backward(dy)
        grads = {}
        for i, layer in enumerate((one for one in self.layers if one.weighted), 1):
            grads[f"W{i}"], grads[f"b{i}"] = layer.dW + self.decay * layer.W, layer.db
        for i, norm in enumerate((one for one in self.layers if isinstance(one, BatchNorm)), 1):
            grads[f"gamma{i}"], grads[f"beta{i}"] = norm.dgamma, norm.dbeta
        return grads


class MultiLayer(Network):
    def __init__(self, sizes, activation="relu", scale="relu", decay=0, dropout=None,
                 batchnorm=False):
        super().__init__()
        self.decay, last = decay, len(sizes) - 1
        for i in range(1, last + 1):
            rule = {"relu": np.sqrt(2 / sizes[i - 1]), "he": np.sqrt(2 / sizes[i - 1]),
                    "sigmoid": np.sqrt(1 / sizes[i - 1]), "xavier": np.sqrt(1 / sizes[i - 1])}
            self.draw(rule.get(scale, scale), sizes[i - 1], sizes[i])
        for i in range(1, last + 1):
            self.layers.append(Affine(*self.weights(i)))
            if i == last:
                break
            if batchnorm:
                gamma, beta = np.ones(sizes[i]), np.zeros(sizes[i])
                self.params |= {f"gamma{i}": gamma, f"beta{i}": beta}
                self.layers.append(BatchNorm(gamma, beta))
            self.layers.append({"relu": Relu, "sigmoid": Sigmoid}[activation]())
            if dropout is not None:
                self.layers.append(Dropout(dropout))


class ShallowConvNet(Network):
    """conv - relu, as often as there are `convs` (filters, size, pad) - pool - two dense layers."""

    def __init__(self, convs, image=(1, 28, 28), hidden=100, outputs=10, scale=0.01):
        super().__init__()
        channels, side = image[:2]
        for filters, size, pad in convs:
            self.draw(scale, filters, channels, size, size)
            channels, side = filters, side + 2 * pad - size + 1
        self.draw(scale, channels * (side // 2)**2, hidden)
        self.draw(scale, hidden, outputs)
        n = len(convs)
        for i, (_, _, pad) in enumerate(convs, 1):
            self.layers += [Convolution(*self.weights(i), 1, pad), Relu()]
        self.layers += [Pooling(2, 2), Affine(*self.weights(n + 1)), Relu(),
                        Affine(*self.weights(n + 2))]


class DeepConvNet(Network):
    def __init__(self, filters=(16, 16, 32, 32, 64, 64), hidden=50, outputs=10, side=28):
        super().__init__()
        pads, channels = (1, 1, 1, 2, 1, 1), 1
        for number in filters:
            self.draw(np.sqrt(2 / (channels * 9)), number, channels, 3, 3)
            channels = number
        side = (side // 2 + 2) // 2 // 2
        self.draw(np.sqrt(2 / (channels * side**2)), channels * side**2, hidden)
        self.draw(np.sqrt(2 / hidden), hidden, outputs)
        for i, pad in enumerate(pads, 1):
            self.layers += [Convolution(*self.weights(i), 1, pad), Relu()]
            if i % 2 == 0:
                self.layers.append(Pooling(2, 2))
        self.layers += [Affine(*self.weights(7)), Relu(), Dropout(0.5), Affine(*self.weights(8)),
                        Dropout(0.5)]
