"""Losses: softmax with cross-entropy as one kernel, any other by its own two functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..._kernels import _dispatch
from ...errors import ShapeError
from ...losses import Loss, SoftmaxCrossEntropy, WithAuxiliary
from ...ops.loss import checked_targets, mean_loss
from ..value import Value

if TYPE_CHECKING:
    from ..planner import Planner


class LossRule:
    """How a loss becomes a step: from the predictions y to their gradient.

    Attributes
    ----------
    targets : array
        Of the next run; set by `take`.
    value, correct : float, int or None
        Of the last run: the loss, and how many samples were right.
    """

    def __init__(self, loss: Loss) -> None:
        self.loss = loss
        self.targets: Any = None
        self.value = 0.0
        self.correct: int | None = None

    def take(self, t: Any) -> None:
        """The targets of the next run."""
        self.targets = t

    def lower(self, plan: Planner, ys: Sequence[Value]) -> list[Value]:
        """Add the steps; returns the gradients of the outputs."""
        plan.phase = "loss"
        y = plan.laid_out(ys[0], False)
        dy = plan.new(y.shape)
        self.add_step(plan, y, dy)
        return [dy]

    def add_step(self, plan: Planner, y: Value, dy: Value) -> None:
        """The step itself."""
        plan.run(type(self.loss).__name__, self.run, y, dy)

    def run(self, y: np.ndarray, dy: np.ndarray) -> None:
        """Set `value` and `correct`, and fill `dy`."""
        self.value, saved = self.loss.value(y, self.targets)
        dy[...] = self.loss.gradient(*saved)
        self.correct = self.loss.count_correct(y, self.targets)


class SoftmaxCrossEntropyRule(LossRule):
    """Targets are checked before anything runs."""

    loss: SoftmaxCrossEntropy

    def add_step(self, plan: Planner, y: Value, dy: Value) -> None:
        if y.ndim != 2:
            raise ShapeError(f"softmax_cross_entropy: x must have 2 dimensions, got {y.shape}")
        self._scores = y
        self._kernels = {
            suffix: _dispatch.kernel(f"softmax_cross_entropy{suffix}_with_gradient", plan.like)
            for suffix in ("", "_dense")}
        plan.run("softmax_cross_entropy", self.run_kernel, y, plan.new(y.shape[:1]), dy)

    def take(self, t: Any) -> None:
        t = self.loss.smoothed(self._scores, t)
        self._suffix, self.targets = checked_targets("softmax_cross_entropy", self._scores, t)

    def run_kernel(self, y: np.ndarray, losses: np.ndarray, dy: np.ndarray) -> None:
        self._kernels[self._suffix](y, self.targets, dy, losses, 1.0 / len(y))
        self.value = mean_loss(losses)
        self.correct = self.loss.count_correct(y, self.targets)


class WithAuxiliaryRule(LossRule):
    """The loss of each output has a rule of its own; values and gradients are weighted."""

    loss: WithAuxiliary

    def lower(self, plan: Planner, ys: Sequence[Value]) -> list[Value]:
        self._rules = [loss_rule(self.loss.loss) for _ in ys]
        dys = [rule.lower(plan, [y])[0] for rule, y in zip(self._rules, ys, strict=True)]
        for dy in dys[1:]:
            plan.run("scale", _scale, dy, self.loss.weight)
        plan.run("sum of losses", self.add_up)
        return dys

    def take(self, t: Any) -> None:
        for rule in self._rules:
            rule.take(t)

    def add_up(self) -> None:
        """Set `value` and `correct`, when all rules have run."""
        main, *others = self._rules
        self.value = main.value + self.loss.weight * sum(rule.value for rule in others)
        self.correct = main.correct


def _scale(dy: np.ndarray, weight: float) -> None:
    np.multiply(dy, dy.dtype.type(weight), out=dy)


_RULES: dict[type[Loss], type[LossRule]] = {
    SoftmaxCrossEntropy: SoftmaxCrossEntropyRule, WithAuxiliary: WithAuxiliaryRule}


def loss_rule(loss: Loss) -> LossRule:
    """The rule of a loss."""
    return _RULES.get(type(loss), LossRule)(loss)
