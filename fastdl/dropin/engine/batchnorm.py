"""The batch normalisation layer: each activation by itself, also in feature maps."""

from typing import Any

import numpy as np

from . import arrays
from .lazy import lazy

_EPS = 10e-7                    # as the course writes 1e-6


class BatchNormalization:
    """``gamma * (x - mean) / sqrt(var + 1e-6) + beta`` over the batch (Ioffe & Szegedy, 2015).

    Every one of the D activations of an example has a mean of its own; maps (N, C, H, W) are
    flattened to D = C * H * W.

    Parameters
    ----------
    gamma, beta : (D,)
    momentum : float
        Weight of the past in the running averages.
    running_mean, running_var : (D,) or None
        Used when ``train_flg`` is False; None starts them at 0.

    Attributes
    ----------
    input_shape, batch_size, xc, xn, std
        From the last `forward` in training: the centred input, the normalised one, the deviation.
    dgamma, dbeta : (D,)
        From the last `backward`.
    """

    def __init__(self, gamma: Any, beta: Any, momentum: float = 0.9, running_mean: Any = None,
                 running_var: Any = None) -> None:
        self.gamma, self.beta, self.momentum = gamma, beta, momentum
        self.running_mean, self.running_var = running_mean, running_var
        self.input_shape: Any = None
        self.batch_size: Any = None
        self.xn: Any = None
        self.std: Any = None
        self.dgamma: Any = None
        self.dbeta: Any = None

    @lazy
    def xc(self) -> Any:
        """The input minus its mean."""
        return None if self.xn is None else self.xn * self.std

    def forward(self, x: Any, train_flg: bool = True) -> Any:
        """Of x's shape; in training the running averages move."""
        self.input_shape = x.shape
        x = arrays.flat(x)
        if self.running_mean is None:
            self.running_mean, self.running_var = np.zeros(x.shape[1]), np.zeros(x.shape[1])
        return self._normalized(x, train_flg).reshape(self.input_shape)

    def _normalized(self, x: Any, train_flg: bool) -> Any:
        if not train_flg:
            xn = (x - self.running_mean) / np.sqrt(self.running_var + _EPS)
            return self.gamma * xn + self.beta
        mean = x.mean(axis=0)
        xc = x - mean
        var = np.mean(xc**2, axis=0)
        self.batch_size = x.shape[0]
        self.std = np.sqrt(var + _EPS)
        self.xn = xc / self.std
        past = self.momentum
        self.running_mean = past * self.running_mean + (1 - past) * mean
        self.running_var = past * self.running_var + (1 - past) * var
        return self.gamma * self.xn + self.beta

    def backward(self, dout: Any) -> Any:
        """Gradient of the input, of its shape."""
        dout = arrays.flat(dout)
        self.dbeta = dout.sum(axis=0)
        self.dgamma = np.sum(self.xn * dout, axis=0)
        inner = dout - (self.dbeta + self.xn * self.dgamma) / self.batch_size
        return (self.gamma / self.std * inner).reshape(self.input_shape)
