"""Losses: softmax with cross-entropy as one kernel, any other by its own two functions."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..._kernels import _dispatch
from ...cuda import to_device, to_host
from ...errors import ShapeError
from ...losses import Loss, SoftmaxCrossEntropy, WithAuxiliary
from ...ops._arrays import Array, empty, on_device
from ...ops.loss import checked_targets, expect_same_place, mean_loss
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
        Of the last run: the loss, and how many samples were right, which may be counted when
        asked for.
    kind
        Of the targets: another kind means another kernel.
    """

    kind: Hashable = None
    targets: Any = None
    value: float = 0.0
    correct: int | None = None

    def __init__(self, loss: Loss) -> None:
        self.loss = loss

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
        self._on_device = plan.on_device
        plan.run_alone(type(self.loss).__name__, self.run, y, dy)

    def run(self, y: Array, dy: Array) -> None:
        """Set `value` and `correct`, and fill `dy`."""
        t = self.targets
        if self._on_device and not isinstance(t, type(y)):
            t = np.asarray(t)
            t = to_device(t.astype(np.float32) if t.shape == y.shape else t)
        self.value, saved = self.loss.value(y, t)
        dy[...] = self.loss.gradient(*saved)
        self.correct = self.loss.count_correct(to_host(y), to_host(self.targets))


class SoftmaxCrossEntropyRule(LossRule):
    """Targets are checked before anything runs."""

    loss: SoftmaxCrossEntropy

    def add_step(self, plan: Planner, y: Value, dy: Value) -> None:
        if y.ndim != 2:
            raise ShapeError(f"softmax_cross_entropy: x must have 2 dimensions, got {y.shape}")
        self._scores, self._like = y, plan.like
        self._kernels = {
            suffix: _dispatch.kernel(f"softmax_cross_entropy{suffix}_with_gradient", plan.like)
            for suffix in ("", "_dense")}
        plan.run("softmax_cross_entropy", self.run_kernel, y, plan.new(y.shape[:1]), dy,
                 able=True)

    def take(self, t: Any) -> None:
        if on_device(t):
            expect_same_place("softmax_cross_entropy", self._like, t)
        t = self.loss.smoothed(self._scores, t)
        self._suffix, self.targets = checked_targets("softmax_cross_entropy", self._scores, t)

    def run_kernel(self, y: np.ndarray, losses: np.ndarray, dy: np.ndarray) -> None:
        self._kernels[self._suffix](y, self.targets, dy, losses, 1.0 / len(y))
        self.value = mean_loss(losses)

    @property
    def correct(self) -> int | None:    # type: ignore[override]
        """How many samples the last run had right; a single step does not want to know."""
        scores = self._scores.resolve()
        return self.loss.count_correct(to_host(scores), to_host(self.targets))


class SoftmaxCrossEntropyOnDevice(SoftmaxCrossEntropyRule):
    """Targets are copied there; what a run gave is copied back only when somebody asks."""

    def __init__(self, loss: SoftmaxCrossEntropy) -> None:
        super().__init__(loss)
        self._copies: dict[Hashable, Any] = {}

    def add_step(self, plan: Planner, y: Value, dy: Value) -> None:
        super().add_step(plan, y, dy)
        self._losses = empty(y.shape[:1], np.float32, plan.like)

    def take(self, t: Any) -> None:
        super().take(t)
        self.kind = self._suffix
        if self.kind not in self._copies:
            self._copies[self.kind] = empty(self.targets.shape, self.targets.dtype, self._like)
        self._copies[self.kind].copy_from(self.targets)

    def run_kernel(self, y: Array, losses: Array, dy: Array) -> None:
        self._kernels[self._suffix](y, self._copies[self.kind], dy, self._losses, 1.0 / len(y))

    @property
    def value(self) -> float:           # type: ignore[override]
        """The loss of the last run."""
        return mean_loss(self._losses)


class WithAuxiliaryRule(LossRule):
    """The loss of each output has a rule of its own; values and gradients are weighted."""

    loss: WithAuxiliary

    def lower(self, plan: Planner, ys: Sequence[Value]) -> list[Value]:
        self._rules = [loss_rule(self.loss.loss, plan.on_device) for _ in ys]
        dys = [rule.lower(plan, [y])[0] for rule, y in zip(self._rules, ys, strict=True)]
        for dy in dys[1:]:
            plan.run("scale", _scale, dy, self.loss.weight)
        plan.run("sum of losses", self.add_up)
        return dys

    def take(self, t: Any) -> None:
        for rule in self._rules:
            rule.take(t)

    def add_up(self) -> None:
        """Set `value`, when all rules have run."""
        main, *others = self._rules
        self.value = main.value + self.loss.weight * sum(rule.value for rule in others)

    @property
    def correct(self) -> int | None:    # type: ignore[override]
        """How many samples the last run had right, by the main output."""
        return self._rules[0].correct


def _scale(dy: np.ndarray, weight: float) -> None:
    np.multiply(dy, dy.dtype.type(weight), out=dy)


_RULES: dict[type[Loss], type[LossRule]] = {
    SoftmaxCrossEntropy: SoftmaxCrossEntropyRule, WithAuxiliary: WithAuxiliaryRule}
_ON_DEVICE: dict[type[Loss], type[LossRule]] = {
    **_RULES, SoftmaxCrossEntropy: SoftmaxCrossEntropyOnDevice}


def loss_rule(loss: Loss, on_device: bool) -> LossRule:
    """The rule of a loss."""
    return (_ON_DEVICE if on_device else _RULES).get(type(loss), LossRule)(loss)
