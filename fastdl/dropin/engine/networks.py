"""Networks of the course: layers in a row, with a softmax and a loss behind them."""

import itertools
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from .activation import Relu, Sigmoid
from .batchnorm import BatchNormalization
from .convolution import Convolution
from .dense import Affine
from .dropout import Dropout
from .pooling import Pooling

_ACTIVATIONS = {"sigmoid": Sigmoid, "relu": Relu}

# Of the layers that change nothing of their input, and keep to themselves what they are given.
_FORWARDS = frozenset(kind.forward for kind in (
    Affine, BatchNormalization, Convolution, Dropout, Pooling, Relu, Sigmoid))

# What may stand for the first layer's `backward`, whose result nobody takes. It is found by the
# function: one that a script has put in its place is called.
_WITHOUT_DX: dict[Any, Callable[[Any, Any], None]] = {
    Affine.backward: Affine.backward_of_weights,
    Convolution.backward: Convolution.backward_of_weights,
}


def forward(layers: Iterable[Any], x: Any, training: bool) -> Any:
    """`x` through all layers.

    A ReLU behind a product is part of it, unless a script has put a layer or method of its own
    somewhere, which could change the output that the ReLU remembers.
    """
    layers = list(layers)
    fuses = all(getattr(layer.forward, "__func__", None) in _FORWARDS for layer in layers)
    fused = None
    for layer, after in itertools.zip_longest(layers, layers[1:]):
        if layer is fused:
            fused = None
        elif fuses and isinstance(layer, Affine | Convolution) and isinstance(after, Relu):
            x, fused = layer.forward_relu(x), after
            after.remember(x)
        elif isinstance(layer, Dropout | BatchNormalization):
            x = layer.forward(x, training)
        else:
            x = layer.forward(x)
    return x


def backward(layers: Sequence[Any], last_layer: Any) -> None:
    """The gradients of all layers; a forward pass and the loss went before."""
    dout = last_layer.backward(1)
    for layer in reversed(layers[1:]):
        dout = layer.backward(dout)
    first = layers[0]
    without_dx = _WITHOUT_DX.get(getattr(first.backward, "__func__", None))
    if without_dx:
        without_dx(first, dout)
    else:
        first.backward(dout)


def accuracy(scores: Any, targets: Any) -> Any:
    """The part of rows whose largest score is at the target; indices or one-hot."""
    if targets.ndim != 1:
        targets = np.argmax(targets, axis=1)
    return np.sum(np.argmax(scores, axis=1) == targets) / float(scores.shape[0])


def initial_scale(weight_init_std: Any, inputs: int) -> Any:
    """The deviation of normally distributed weights: a number, or the name of a rule.

    "relu" and "he" name He's rule, "sigmoid" and "xavier" Glorot's.

    >>> float(initial_scale("he", 8))
    0.5
    """
    name = str(weight_init_std).lower()
    if name in ("relu", "he"):
        return np.sqrt(2.0 / inputs)
    if name in ("sigmoid", "xavier"):
        return np.sqrt(1.0 / inputs)
    return weight_init_std


class MultiLayer:
    """Dense layers with an activation each, and batch norm and dropout where they are asked for.

    Parameters
    ----------
    last_layer : the profile's softmax with loss
    input_size, output_size : int
    hidden_size_list : list of int
    activation : "relu" or "sigmoid"
    weight_init_std : float or str
        See `initial_scale`.
    weight_decay_lambda : float
        Of an L2 penalty on all weights.
    use_dropout, dropout_ratio, use_batchnorm
        Batch norm comes before each activation, dropout after it.

    Attributes
    ----------
    params : dict
        W1, b1, W2, …, then gamma1, beta1, …
    layers : OrderedDict
        Affine1, BatchNorm1, Activation_function1, Dropout1, Affine2, …
    """

    def __init__(self, last_layer: Any, input_size: int, hidden_size_list: list[int],
                 output_size: int, activation: str = "relu", weight_init_std: Any = "relu",
                 weight_decay_lambda: float = 0, use_dropout: bool = False,
                 dropout_ratio: float = 0.5, use_batchnorm: bool = False) -> None:
        self.input_size, self.output_size = input_size, output_size
        self.hidden_size_list, self.hidden_layer_num = hidden_size_list, len(hidden_size_list)
        self.weight_decay_lambda = weight_decay_lambda
        self.use_dropout, self.use_batchnorm = use_dropout, use_batchnorm
        self.params: dict[str, Any] = {}
        self.layers: OrderedDict[str, Any] = OrderedDict()
        self.last_layer = last_layer
        sizes = [input_size, *hidden_size_list, output_size]
        for i, (inputs, outputs) in enumerate(itertools.pairwise(sizes), 1):
            scale = initial_scale(weight_init_std, inputs)
            self.params[f"W{i}"] = scale * np.random.randn(inputs, outputs)     # noqa: NPY002
            self.params[f"b{i}"] = np.zeros(outputs)
        for i in self._numbers:
            self.layers[f"Affine{i}"] = Affine(self.params[f"W{i}"], self.params[f"b{i}"])
            if i <= self.hidden_layer_num:
                self._add_hidden(i, activation, dropout_ratio)

    def _add_hidden(self, i: int, activation: str, dropout_ratio: float) -> None:
        """What follows the dense layer `i`, unless it is the last one."""
        if self.use_batchnorm:
            gamma = self.params[f"gamma{i}"] = np.ones(self.hidden_size_list[i - 1])
            beta = self.params[f"beta{i}"] = np.zeros(self.hidden_size_list[i - 1])
            self.layers[f"BatchNorm{i}"] = BatchNormalization(gamma, beta)
        self.layers[f"Activation_function{i}"] = _ACTIVATIONS[activation]()
        if self.use_dropout:
            self.layers[f"Dropout{i}"] = Dropout(dropout_ratio)

    @property
    def _numbers(self) -> range:
        return range(1, self.hidden_layer_num + 2)

    def _predict(self, x: Any, training: bool) -> Any:
        return forward(self.layers.values(), x, training)

    def _loss(self, scores: Any, targets: Any) -> Any:
        """The loss with its penalty."""
        decay = 0.0
        if self.weight_decay_lambda:
            squares = sum(np.sum(self.params[f"W{i}"]**2) for i in self._numbers)
            decay = 0.5 * self.weight_decay_lambda * squares
        return self.last_layer.forward(scores, targets) + decay

    def _gradients(self) -> dict[str, Any]:
        """Of all parameters; a forward pass and the loss went before."""
        backward(list(self.layers.values()), self.last_layer)
        grads = {}
        for i in self._numbers:
            affine = self.layers[f"Affine{i}"]
            grads[f"W{i}"] = affine.dW
            if self.weight_decay_lambda:
                grads[f"W{i}"] = affine.dW + self.weight_decay_lambda * self.params[f"W{i}"]
            grads[f"b{i}"] = affine.db
            if self.use_batchnorm and i <= self.hidden_layer_num:
                norm = self.layers[f"BatchNorm{i}"]
                grads[f"gamma{i}"], grads[f"beta{i}"] = norm.dgamma, norm.dbeta
        return grads
