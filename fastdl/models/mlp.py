"""Multi-layer perceptron: dense layers with an activation between them."""

import itertools
from collections.abc import Sequence

from ..layers import Flatten, Layer, Linear, ReLU
from ..module import Sequential
from ._registry import register


@register
def mlp(num_classes: int = 10, in_channels: int = 1, image_size: int = 28,
        hidden_sizes: Sequence[int] = (256, 128)) -> Sequential:
    """Build a perceptron with ReLU and He's initial weights.

    Parameters
    ----------
    num_classes : scores that come out
    in_channels, image_size : of the square images that go in
    hidden_sizes : widths of the layers between

    >>> net = mlp(hidden_sizes=(100,) * 6)
    >>> sum(w.size for w in net.params.values())
    130010
    """
    sizes = [in_channels * image_size**2, *hidden_sizes]
    parts: list[Layer] = [Flatten()]
    for n_in, n_out in itertools.pairwise(sizes):
        parts += [Linear(n_in, n_out, weight_init="he"), ReLU()]
    return Sequential(*parts, Linear(sizes[-1], num_classes, weight_init="he"))
