"""SGD, Momentum and Adam, written out, on a network of sigmoids."""

import numpy as np
from data.mnist import load_mnist
from multi_layer_net import MultiLayerNet
from study import iterations, study

train, test = load_mnist(normalize=True, one_hot_label=True)
KEYS = ("W1", "W2", "W3", "b1", "b2", "b3")
learning_rate, momentum, beta1, beta2 = 0.01, 0.9, 0.9, 0.999


def sgd(params, grad, i, state):
    for key in KEYS:
        params[key] -= learning_rate * grad[key]


def with_momentum(params, grad, i, state):
    for key in KEYS:
        v = state.setdefault(key, np.zeros_like(params[key]))
        state[key] = momentum * v - learning_rate * grad[key]
        params[key] += state[key]


def adam(params, grad, i, state):
    rate = learning_rate * np.sqrt(1.0 - beta2 ** (i + 1)) / (1.0 - beta1 ** (i + 1))
    for key in KEYS:
        m, v = state.setdefault(key, (np.zeros_like(params[key]), np.zeros_like(params[key])))
        m += (1 - beta1) * (grad[key] - m)
        v += (1 - beta2) * (grad[key] ** 2 - v)
        params[key] -= rate * m / (np.sqrt(v) + 1e-7)


for title, rule in (("SGD", sgd), ("Momentum", with_momentum), ("Adam", adam)):
    network = MultiLayerNet(input_size=784, hidden_size_list=[40, 20], output_size=10,
                            activation="sigmoid", weight_init_std=0.01, use_batchnorm=False)
    state: dict = {}

    def update(i, x_batch, d_batch, network=network, rule=rule, state=state):
        rule(network.params, network.gradient(x_batch, d_batch), i, state)

    study(title, network, update, train, test, iterations(1000))
