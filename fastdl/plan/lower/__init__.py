"""One rule for each family of layers: how it becomes kernel calls, and what fuses with it."""

from ...layers.layer import Layer
from . import (  # noqa: F401 - register
    activation,
    conv,
    dropout,
    join,
    linear,
    norm,
    pool,
    regularization,
    shape,
    stochastic,
)
from .any import AnyLayer
from .loss import LossRule, loss_rule
from .rule import Rule, known

__all__ = ["LossRule", "Rule", "loss_rule", "rule_for"]


def rule_for(layer: Layer) -> type[Rule]:
    """The rule of a layer; one that calls its own functions if there is no better."""
    return known(layer) or AnyLayer
