"""Update steps on dicts of arrays, by name, with the course's constants."""

import numpy as np


class Optimizer:
    def __init__(self, rate, **options):
        self.rate, self.options, self.t, self.states = rate, options, 0, {}

    def state(self, name, key, w):
        return self.states.setdefault((name, key), np.zeros_like(w))

    def update(self, params, grads):
        self.t += 1
        for key, w in params.items():
            self.step(key, w, grads[key], **self.options)


class SGD(Optimizer):
    def step(self, key, w, g):
        w -= self.rate * g


class Momentum(Optimizer):
    def step(self, key, w, g, momentum=0.9):
        v = self.state("v", key, w)
        v[...] = momentum * v - self.rate * g
        w += v


class Nesterov(Optimizer):
    """The textbook's: w moves by the old velocity."""

    def step(self, key, w, g, momentum=0.9):
        v = self.state("v", key, w)
        w += momentum**2 * v - (1 + momentum) * self.rate * g
        v[...] = momentum * v - self.rate * g


class NesterovOfNewVelocity(Optimizer):
    """That of the reports' course material."""

    def step(self, key, w, g, momentum=0.9):
        v = self.state("v", key, w)
        v[...] = momentum * v - self.rate * g
        w += momentum**2 * v - (1 + momentum) * self.rate * g


class AdaGrad(Optimizer):
    def step(self, key, w, g):
        h = self.state("h", key, w)
        h += g**2
        w -= self.rate * g / (np.sqrt(h) + 1e-7)


class RMSprop(Optimizer):
    def step(self, key, w, g, decay_rate=0.99):
        h = self.state("h", key, w)
        h[...] = decay_rate * h + (1 - decay_rate) * g**2
        w -= self.rate * g / (np.sqrt(h) + 1e-7)


class Adam(Optimizer):
    def step(self, key, w, g, beta1=0.9, beta2=0.999):
        m, v = self.state("m", key, w), self.state("v", key, w)
        m += (1 - beta1) * (g - m)
        v += (1 - beta2) * (g**2 - v)
        rate = self.rate * np.sqrt(1 - beta2**self.t) / (1 - beta1**self.t)
        w -= rate * m / (np.sqrt(v) + 1e-7)
