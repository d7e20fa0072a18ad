"""A 2-3-4 classifier forward, and its cross-entropy."""

import numpy as np
from common import functions

network = {
    "W1": np.array([[0.1, 0.3, 0.5], [0.2, 0.4, 0.6]]), "b1": np.array([0.1, 0.2, 0.3]),
    "W2": np.array([[0.1, 0.4, 0.7, 1.0], [0.2, 0.5, 0.8, 1.1], [0.3, 0.6, 0.9, 1.2]]),
    "b2": np.array([0.1, 0.2, 0.3, 0.4])}


def forward(network, x):
    u1 = np.dot(x, network["W1"]) + network["b1"]
    z1 = functions.relu(u1)
    u2 = np.dot(z1, network["W2"]) + network["b2"]
    return functions.softmax(u2), z1


x, d = np.array([1.0, 2.0]), np.array([0, 0, 0, 1])
y, z1 = forward(network, x)
print("output", y, "sum", np.sum(y))
print("error", functions.cross_entropy_error(d, y))
