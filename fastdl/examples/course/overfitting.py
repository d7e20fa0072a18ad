"""300 images: plain, then with L2 and L1 penalties that are added to the layers' own gradients.

As in the report, the penalised loops change the hidden layers only.
"""

import numpy as np
from common import optimizer
from data.mnist import load_mnist
from multi_layer_net import MultiLayerNet
from study import iterations, study

(x_train, d_train), test = load_mnist(normalize=True)
train = x_train[:300], d_train[:300]


def new_network():
    return MultiLayerNet(input_size=784, hidden_size_list=[100, 100, 100, 100, 100, 100],
                         output_size=10)


def l2(W, weight_decay_lambda=0.1):
    return weight_decay_lambda * W, 0.5 * weight_decay_lambda * np.sqrt(np.sum(W ** 2))


def l1(W, weight_decay_lambda=0.005):
    return weight_decay_lambda * np.sign(W), weight_decay_lambda * np.sum(np.abs(W))


network = new_network()
sgd = optimizer.SGD(learning_rate=0.01)
study("plain", network, lambda i, x, d: sgd.update(network.params, network.gradient(x, d)),
      train, test, iterations(1000), train_on="all")

for title, penalty_of, learning_rate in (("L2", l2, 0.01), ("L1", l1, 0.1)):
    network = new_network()

    def update(i, x_batch, d_batch, network=network, penalty_of=penalty_of, rate=learning_rate):
        network.gradient(x_batch, d_batch)
        weight_decay = 0
        for idx in range(1, network.hidden_layer_num + 1):
            W, b = network.params[f"W{idx}"], network.params[f"b{idx}"]
            layer = network.layers[f"Affine{idx}"]
            W -= rate * (layer.dW + penalty_of(W)[0])
            b -= rate * layer.db
            weight_decay += penalty_of(W)[1]
        return weight_decay

    study(title, network, update, train, test, iterations(1000), train_on="all")
