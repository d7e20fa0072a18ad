"""Sigmoid with small weights learns nothing in 2,000 iterations; ReLU does."""

from data.mnist import load_mnist
from multi_layer_net import MultiLayerNet
from study import iterations, study

train, test = load_mnist(normalize=True, one_hot_label=True)
learning_rate = 0.1

for activation in ("sigmoid", "relu"):
    network = MultiLayerNet(input_size=784, hidden_size_list=[40, 20], output_size=10,
                            activation=activation, weight_init_std=0.01)

    def update(i, x_batch, d_batch, network=network):
        grad = network.gradient(x_batch, d_batch)
        for key in ("W1", "W2", "W3", "b1", "b2", "b3"):
            network.params[key] -= learning_rate * grad[key]

    study(activation, network, update, train, test, iterations(2000))
