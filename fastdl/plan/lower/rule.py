"""What a rule is, and which layer has which."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from ...errors import FastdlError, ShapeError
from ...layers.activation import ReLU, ReLU6
from ...layers.join import Add
from ...layers.layer import Layer
from ...layers.pool import MaxPool2d

if TYPE_CHECKING:
    from ...graph import Node
    from ..planner import Planner
    from ..value import Value


class NotPlannableError(FastdlError):
    """A network that only runs layer by layer, and why."""


class Rule:
    """How a layer becomes steps of a plan, with the layers behind it that fuse with it.

    A rule is made for each use of a layer. `forward` adds steps to the plan and returns the
    output; `backward` is given the gradient of that and hands on those of the inputs. What the
    second needs of the first is kept in attributes.

    Attributes
    ----------
    plan : Planner
    nodes : list of Node
        The layer's own, and those of what is fused with it; `head` and `tail` are its ends.
    layer : Layer
        The first.
    """

    def __init__(self, plan: Planner, nodes: Sequence[Node]) -> None:
        self.plan, self.nodes = plan, nodes
        self.head, self.tail = nodes[0], nodes[-1]
        self.layer: Any = self.head.layer

    @classmethod
    def followers(cls, plan: Planner, layer: Layer) -> Iterable[type[Layer]]:
        """The kinds of layers that can fuse with `layer`, in their order; each may be missing."""
        return ()

    @classmethod
    def fuses(cls, following: Layer) -> bool:
        """Whether this very layer can, being of one of these kinds."""
        return True

    @classmethod
    def takes(cls, layer: Layer) -> bool:
        """Whether it lowers this very layer; if not, the layer is called as it is."""
        return True

    @property
    def ends_in_relu(self) -> bool:
        """Whether its output is a ReLU's, whose backward pass a reader may take over."""
        return self.fused(ReLU) is not None

    @property
    def wants_moments(self) -> bool:
        """Whether it needs mean and variance of its input, which the input's maker may know."""
        return False

    @property
    def is_view(self) -> bool:
        """Whether its output is its input in another shape."""
        return False

    @property
    def where(self) -> str:
        """The layers, by their paths."""
        return " + ".join(self.plan.path(node.layer) for node in self.nodes if node.layer)

    @property
    def sources(self) -> list[Value]:
        """The inputs of the layer."""
        return [self.plan.value_of(node) for node in self.head.inputs]

    def fused(self, kind: type[Layer]) -> Node | None:
        """The node of this kind behind the layer's own."""
        return next((node for node in self.nodes[1:] if type(node.layer) is kind), None)

    @property
    def residual(self) -> Node | None:
        """What a fused addition adds."""
        add = self.fused(Add)
        return next(node for node in add.inputs if node not in self.nodes) if add else None

    def residual_like(self, y: Value) -> Value | None:
        """Its value, in y's layout."""
        if (node := self.residual) is None:
            return None
        value = self.plan.value_of(node)
        if value.shape != y.shape:
            raise ShapeError(f"add: shapes differ: {y.shape}, {value.shape}")
        return self.plan.laid_out(value, y.channels_last)

    def notes(self, bias: Value | None = None, moments: Value | None = None) -> str:
        """What is fused into the forward pass, in words."""
        return fusions(bias=bias, residual=self.fused(Add), ReLU=self.fused(ReLU),
                       ReLU6=self.fused(ReLU6), pool=self.fused(MaxPool2d), moments=moments)

    def forward(self) -> Value:
        """Add the steps of the forward pass."""
        raise NotImplementedError

    def backward(self, dy: Value) -> None:
        """Add the steps of the backward pass."""
        raise NotImplementedError


def fusions(**parts: Any) -> str:
    """The names of those parts that are there."""
    return ", ".join(name for name, part in parts.items() if part is not None)


_rules: dict[type[Layer], type[Rule]] = {}
AnyRule = TypeVar("AnyRule", bound=type[Rule])


def lowers(*kinds: type[Layer]) -> Callable[[AnyRule], AnyRule]:
    """Make a rule that of these layers; of a subclass of theirs it is not."""
    def register(rule: AnyRule) -> AnyRule:
        _rules.update(dict.fromkeys(kinds, rule))
        return rule

    return register


def known(layer: Layer) -> type[Rule] | None:
    """The rule of a layer, if it has one of its own."""
    rule = _rules.get(type(layer))
    return rule if rule is not None and rule.takes(layer) else None
