"""ShakeDrop: Shake-Shake for networks of one branch.

Yamada, Iwamura, Akiba & Kise, 2018 (arXiv 1802.02375), equation 6. New was that the random factor
of Shake-Shake needs no second branch if it is not always there: stochastic depth's coin decides,
for each block, whether the branch is weighed (by a factor that may be negative) or passes as it is.

PyramidNet's 26,049,530 parameters (26.0 M, table 1); 8.9 GFLOP for an image of 32 × 32.
"""

from typing import Any

from ..layers import ShakeDrop
from ._registry import register
from .pyramidnet import pyramidnet
from .resnet_cifar import SmallResNet, blocks_of


@register
def shakedrop272_a200(num_classes: int = 10, *, depth: int = 272, alpha: float = 200,
                      last: float = 0.5, bottleneck: bool = True, **options: Any) -> SmallResNet:
    """Build the PyramidNet of 272 layers whose last branch is weighed with probability `last`."""
    count = 3 * blocks_of(depth, 3 if bottleneck else 2)
    return pyramidnet(depth, alpha, num_classes, bottleneck=bottleneck,
                      after=lambda i: ShakeDrop((i + 1) / count * last), **options)
