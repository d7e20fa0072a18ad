"""A 2-3-2 network: forward, backward, and one step of gradient descent."""

import numpy as np
from common import functions

network = {
    "W1": np.array([[0.1, 0.3, 0.5], [0.2, 0.4, 0.6]]), "b1": np.array([0.1, 0.2, 0.3]),
    "W2": np.array([[0.1, 0.4], [0.2, 0.5], [0.3, 0.6]]), "b2": np.array([0.1, 0.2])}


def forward(network, x):
    u1 = np.dot(x, network["W1"]) + network["b1"]
    z1 = functions.relu(u1)
    u2 = np.dot(z1, network["W2"]) + network["b2"]
    return functions.softmax(u2), z1


def backward(x, d, z1, y):
    grad = {}
    delta2 = functions.d_sigmoid_with_loss(d, y)
    grad["b2"], grad["W2"] = np.sum(delta2, axis=0), np.dot(z1.T, delta2)
    delta1 = np.dot(delta2, network["W2"].T) * functions.d_relu(z1)
    grad["b1"], grad["W1"] = np.sum(delta1, axis=0), np.dot(x.T, delta1)
    print("delta2", delta2)
    return grad


x, d, learning_rate = np.array([[1.0, 5.0]]), np.array([[0, 1]]), 0.01
y, z1 = forward(network, x)
print("output", y)
grad = backward(x, d, z1, y)
for key in ("W1", "W2", "b1", "b2"):
    network[key] -= learning_rate * grad[key]
    print(f"gradient of {key}\n{grad[key]}\nnew {key}\n{network[key]}")
