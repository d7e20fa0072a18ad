"""A network with branches: its gradient follows from how the nodes meet, and is checked here."""

import numpy as np

import fastdl as fd


class Residual(fd.Module):
    """Two convolutions beside an identity, then everything next to the input (channels)."""

    def __init__(self, channels: int) -> None:
        self.conv1 = fd.layers.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn1 = fd.layers.BatchNorm2d(channels)
        self.conv2 = fd.layers.Conv2d(channels, channels, 3, padding=1)

    def connect(self, x):
        y = fd.relu(self.bn1(self.conv1(x)))
        return fd.concat([fd.tanh(self.conv2(y) + x), x])


fd.seed(0)
rng = np.random.default_rng(0)
net = Residual(3).astype("float64")
print(net)

x = rng.standard_normal((2, 3, 6, 6))
dy = rng.standard_normal(net.forward(x).shape)
net.forward(x)
net.backward(dy)
gradient = net.grads["conv1.weight"][0, 0, 1, 1].item()

w, eps = net.params["conv1.weight"], 1e-6
w[0, 0, 1, 1] += eps
above = (net.forward(x) * dy).sum()
w[0, 0, 1, 1] -= 2 * eps
below = (net.forward(x) * dy).sum()
print(f"backward {gradient:.8f}, by differences {(above - below) / (2 * eps):.8f}")
