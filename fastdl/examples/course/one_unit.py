"""One unit, forward: with given weights and ReLU, then with random ones and the sigmoid."""

import numpy as np
from common import functions


def print_vec(text, vec):
    print(f"*** {text} ***\n{vec}\n")


def forward(W, b, x, activation):
    u = np.dot(x, W) + b
    print_vec("total input", u)
    z = activation(u)
    print_vec("output", z)
    return z


x = np.array([2, 3])
forward(np.array([[0.1], [0.2]]), 0.5, x, functions.relu)
forward(np.array([3, 3]), -0.9937218440748694, x, functions.sigmoid)

W = np.random.randint(5, size=(2))              # noqa: NPY002 - as the report tries it
b = np.random.rand() * 10 - 5                   # noqa: NPY002
forward(W, b, x, functions.relu)
