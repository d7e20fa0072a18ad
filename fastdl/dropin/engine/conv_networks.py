"""Convolution networks of the course."""

from collections import OrderedDict
from typing import Any

import numpy as np

from .activation import Relu
from .convolution import Convolution
from .dense import Affine
from .dropout import Dropout
from .networks import accuracy, backward, forward
from .pickles import load_arrays, save_arrays

ConvParam = dict[str, int]


class ConvNetwork:
    """What the convolution networks share: parameters W1, b1, W2, … of layers in that order.

    Parameters
    ----------
    last_layer : the profile's softmax with loss

    Attributes
    ----------
    params : dict
    layers : OrderedDict, or list
        A list in deep networks.
    """

    def __init__(self, last_layer: Any) -> None:
        self.params: dict[str, Any] = {}
        self.layers: Any = OrderedDict()
        self.last_layer = last_layer

    def _draw(self, scale: Any, *shape: int) -> None:
        """The next layer's weights, from NumPy's global state, and its bias."""
        i = len(self.params) // 2 + 1
        self.params[f"W{i}"] = scale * np.random.randn(*shape)      # noqa: NPY002
        # A dense layer's outputs are last, a convolution's first.
        self.params[f"b{i}"] = np.zeros(shape[-1] if len(shape) == 2 else shape[0])

    def _parameters(self, i: int) -> tuple[Any, Any]:
        return self.params[f"W{i}"], self.params[f"b{i}"]

    def _draw_convolution(self, scale: Any, channels: int, conv_param: ConvParam) -> None:
        size = conv_param["filter_size"]
        self._draw(scale, conv_param["filter_num"], channels, size, size)

    def _convolution(self, i: int, conv_param: ConvParam) -> Convolution:
        return Convolution(*self._parameters(i), conv_param["stride"], conv_param["pad"])

    def _affine(self, i: int) -> Affine:
        return Affine(*self._parameters(i))

    @property
    def _chain(self) -> list[Any]:
        return self.layers if isinstance(self.layers, list) else list(self.layers.values())

    @property
    def _weighted(self) -> list[Any]:
        return [layer for layer in self._chain if isinstance(layer, Convolution | Affine)]

    def predict(self, x: Any, train_flg: bool = False) -> Any:
        """Scores (N, output_size)."""
        return forward(self._chain, x, train_flg)

    def loss(self, x: Any, d: Any) -> Any:
        """The loss of a batch; dropout drops."""
        return self.last_layer.forward(self.predict(x, train_flg=True), d)

    def accuracy(self, x: Any, d: Any, batch_size: int = 100) -> Any:
        """The part that is classified as `d` says; what does not fill a batch counts as wrong."""
        right = 0.0
        for begin in range(0, len(x) // batch_size * batch_size, batch_size):
            batch = slice(begin, begin + batch_size)
            right += accuracy(self.predict(x[batch]), d[batch]) * batch_size
        return right / x.shape[0]

    def gradient(self, x: Any, d: Any) -> dict[str, Any]:
        """Gradients of all parameters, by backpropagation."""
        self.loss(x, d)
        backward(self._chain, self.last_layer)
        grads = {}
        for i, layer in enumerate(self._weighted, 1):
            grads[f"W{i}"], grads[f"b{i}"] = layer.dW, layer.db
        return grads

    def save_params(self, file_name: str = "params.pkl") -> None:
        """Write the parameters to a pickle file."""
        save_arrays(file_name, self.params)

    def load_params(self, file_name: str = "params.pkl") -> None:
        """Read parameters, and nothing but arrays, from a pickle file."""
        self.params.update(load_arrays(file_name))
        for i, layer in enumerate(self._weighted, 1):
            layer.W, layer.b = self._parameters(i)


def after(conv_param: ConvParam, size: float) -> float:
    """Height or width behind a convolution, not rounded."""
    return (size - conv_param["filter_size"] + 2 * conv_param["pad"]) / conv_param["stride"] + 1


class ShallowConvNetwork(ConvNetwork):
    """(conv - relu) for each of `conv_params` - pool - affine - relu - affine."""

    def __init__(self, last_layer: Any, pooling: Any, input_dim: tuple[int, int, int],
                 conv_params: list[ConvParam], hidden_size: int, output_size: int,
                 weight_init_std: float) -> None:
        super().__init__(last_layer)
        channels, size = input_dim[0], float(input_dim[1])
        for conv_param in conv_params:
            self._draw_convolution(weight_init_std, channels, conv_param)
            channels, size = conv_param["filter_num"], after(conv_param, size)
        self._draw(weight_init_std, int(channels * (size / 2) * (size / 2)), hidden_size)
        self._draw(weight_init_std, hidden_size, output_size)
        count = len(conv_params)
        for i, conv_param in enumerate(conv_params, 1):
            self.layers[f"Conv{i}"] = self._convolution(i, conv_param)
            self.layers[f"Relu{i}"] = Relu()
        self.layers["Pool1"] = pooling(pool_h=2, pool_w=2, stride=2)
        self.layers["Affine1"] = self._affine(count + 1)
        self.layers[f"Relu{count + 1}"] = Relu()
        self.layers["Affine2"] = self._affine(count + 2)


class DeepConvNetwork(ConvNetwork):
    """(conv - relu - conv - relu - pool) three times - affine - relu - dropout - affine - dropout.

    Weights start by He's rule.
    """

    def __init__(self, last_layer: Any, pooling: Any, input_dim: tuple[int, int, int],
                 conv_params: list[ConvParam], hidden_size: int, output_size: int) -> None:
        super().__init__(last_layer)
        channels, size = input_dim[0], float(input_dim[1])
        layers: list[Any] = []
        for i, conv_param in enumerate(conv_params, 1):
            fan_in = channels * conv_param["filter_size"]**2
            self._draw_convolution(np.sqrt(2.0 / fan_in), channels, conv_param)
            channels, size = conv_param["filter_num"], after(conv_param, size)
            layers += [self._convolution(i, conv_param), Relu()]
            if i % 2 == 0:
                size //= 2
                layers.append(pooling(pool_h=2, pool_w=2, stride=2))
        features, count = int(channels * size * size), len(conv_params)
        self._draw(np.sqrt(2.0 / features), features, hidden_size)
        self._draw(np.sqrt(2.0 / hidden_size), hidden_size, output_size)
        self.layers = [*layers, self._affine(count + 1), Relu(), Dropout(0.5),
                       self._affine(count + 2), Dropout(0.5)]
