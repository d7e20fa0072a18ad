"""A convolutional network of one's own on the course's layers, on 1,000 images, with Adam."""

from collections import OrderedDict

import numpy as np
from common import layers, optimizer
from data.mnist import load_mnist
from study import iterations, study


class SimpleConvNet:
    """conv - relu - pool - affine - relu - affine - softmax."""

    def __init__(self, filters=30, size=5, hidden_size=100, output_size=10, std=0.01):
        pooled = filters * ((28 - size + 1) // 2) ** 2
        self.params = {
            "W1": std * np.random.randn(filters, 1, size, size),        # noqa: NPY002
            "b1": np.zeros(filters),
            "W2": std * np.random.randn(pooled, hidden_size),           # noqa: NPY002
            "b2": np.zeros(hidden_size),
            "W3": std * np.random.randn(hidden_size, output_size),      # noqa: NPY002
            "b3": np.zeros(output_size)}
        p = self.params
        self.layers = OrderedDict()
        self.layers["Conv1"] = layers.Convolution(p["W1"], p["b1"], 1, 0)
        self.layers["Relu1"] = layers.Relu()
        self.layers["Pool1"] = layers.Pooling(pool_h=2, pool_w=2, stride=2)
        self.layers["Affine1"] = layers.Affine(p["W2"], p["b2"])
        self.layers["Relu2"] = layers.Relu()
        self.layers["Affine2"] = layers.Affine(p["W3"], p["b3"])
        self.last_layer = layers.SoftmaxWithLoss()

    def predict(self, x):
        for layer in self.layers.values():
            x = layer.forward(x)
        return x

    def loss(self, x, d):
        return self.last_layer.forward(self.predict(x), d)

    def accuracy(self, x, d, batch_size=100):
        if d.ndim != 1:
            d = np.argmax(d, axis=1)
        right = 0.0
        for i in range(0, len(x), batch_size):
            y = np.argmax(self.predict(x[i:i + batch_size]), axis=1)
            right += np.sum(y == d[i:i + batch_size])
        return right / len(x)

    def gradient(self, x, d):
        self.loss(x, d)
        dout = self.last_layer.backward(1)
        for layer in reversed(self.layers.values()):
            dout = layer.backward(dout)
        grad = {}
        for i, name in enumerate(("Conv1", "Affine1", "Affine2"), start=1):
            grad[f"W{i}"], grad[f"b{i}"] = self.layers[name].dW, self.layers[name].db
        return grad


(x_train, d_train), (x_test, d_test) = load_mnist(flatten=False)
network, adam = SimpleConvNet(), optimizer.Adam()
study("SimpleConvNet", network,
      lambda i, x, d: adam.update(network.params, network.gradient(x, d)),
      (x_train[:1000], d_train[:1000]), (x_test[:200], d_test[:200]), iterations(1000),
      train_on="all")
