"""Stochastic depth: a network that is short while it trains and long when it is done.

Huang, Sun, Liu, Sedra & Weinberger, 2016 (arXiv 1603.09382), figure 2 and equation 4. New was to
leave out residual branches at random in training, the later the more often: it is faster, the
gradient's way is shorter, and the whole is like an ensemble of networks of all depths.

ResNet-110's 1,727,962 parameters (1.7 M); 0.51 GFLOP for an image of 32 × 32.
"""

from typing import Any

from ..layers import StochasticDepth
from ._registry import register
from .resnet_cifar import SmallBlock, SmallResNet, blocks_of


@register
def stochastic_depth110(num_classes: int = 10, *, depth: int = 110, last: float = 0.5,
                        **options: Any) -> SmallResNet:
    """Build the ResNet of 110 layers whose last branch survives with the probability `last`."""
    blocks = blocks_of(depth, 2)
    return SmallResNet(
        lambda before, after, stride, i: SmallBlock(
            before, after, stride,
            StochasticDepth((i + 1) / (3 * blocks) * (1 - last), "batch")),
        blocks, num_classes=num_classes, **options)
