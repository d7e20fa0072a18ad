"""What will run, and why: of an operation, or of a network at a shape."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from .. import backend, cuda
from ..errors import ArgumentError
from ..losses import get as get_loss
from ..ops._arrays import on_device
from .plan import Plan
from .roofline import roofline
from .step import Step


def explain(subject: Any, x: Any = None, *, loss: Any = None) -> backend.Text:
    """Say what runs: for the name of an operation which backend, for a network its plan.

    Parameters
    ----------
    subject : str or Module
    x : for an operation, an array like those it is to run on; for a network, the shape of its
        input (or an array)
    loss : name or `Loss`: the plan of a training step with it; None for that of `predict`

    Returns
    -------
    text that prints itself. For a network: each step's layers, kernel, output, arithmetic, bytes,
    and the least time it can take on this machine, by a matrix product and a sweep over memory
    that are measured for it. The arithmetic is that of the definition, which Winograd's algorithm
    undercuts.

    Raises
    ------
    ArgumentError, ShapeError

    >>> import fastdl as fd
    >>> net = fd.Sequential(fd.layers.Linear(4, 3), fd.layers.ReLU(), fd.layers.Linear(3, 2))
    >>> print(explain(net, (10, 4)))  # doctest: +SKIP
    """
    if isinstance(subject, str):
        return backend.explain(subject, x)
    plans = getattr(subject, "plans" if loss is not None else "inference_plans", None)
    if plans is None:
        raise ArgumentError("explain: expected the name of an operation or a network, got "
                            f"{type(subject).__name__}")
    shape = getattr(x, "shape", x)
    if not isinstance(shape, tuple | list) or not all(
            isinstance(n, int | np.integer) and n > 0 for n in shape):
        raise ArgumentError(f"explain: x must be the shape of a batch, such as (100, 1, 28, 28), "
                            f"got {x!r}")
    zeros = subject.as_inputs(np.broadcast_to(np.zeros((), np.float32), tuple(shape)))
    plan = plans.get(zeros, None if loss is None else get_loss(loss))
    if plan is None:
        return backend.Text(f"{type(subject).__name__} runs layer by layer: {plans.reason(zeros)}")
    return backend.Text(describe(plan, type(subject).__name__, tuple(shape)))


def describe(plan: Plan, name: str, shape: tuple[int, ...]) -> str:
    """The plan as a table."""
    limits = roofline(plan.like)
    rows = [_row(number, step, limits.seconds(step)) for number, step in enumerate(plan.steps)]
    total = sum(limits.seconds(step) for step in plan.steps)
    flops, moved = (sum(getattr(step, what) for step in plan.steps) for what in ("flops", "bytes"))
    kind = f"a training step ({type(plan.loss.loss).__name__})" if plan.loss else "inference"
    head = [f"{name} on {plan.dtype} {shape}, {kind}: {len(rows)} steps"]
    feet = [f"arithmetic {flops * 1e-9:.3g} GFLOP, arrays touched {moved * 1e-6:.4g} MB, "
            f"arena {plan.arena_bytes * 1e-6:.4g} MB, parameters "
            f"{plan.parameter_bytes * 1e-6:.3g} MB",
            f"at least {total * 1e3:.3g} ms: at {limits.flops * 1e-9:.0f} GFLOP/s and "
            f"{limits.bandwidth * 1e-9:.0f} GB/s, {_place(plan)}"]
    return "\n".join([*head, *columns([_HEAD, *rows]), *feet])


def _place(plan: Plan) -> str:
    if on_device(plan.like):
        return cuda.describe()["device"]
    return f"{backend.get_num_threads()} threads"


_HEAD = ("", "layers", "kernel", "with", "writes", "MFLOP", "MB", "µs at least")


def _row(number: int, step: Step, seconds: float) -> tuple[str, ...]:
    return (str(number), step.where, step.name, step.notes, written(step),
            f"{step.flops * 1e-6:.4g}" if step.flops else "", f"{step.bytes * 1e-6:.3g}",
            f"{seconds * 1e6:.3g}")


def written(step: Step) -> str:
    """The last array it names that is in the arena: what it makes, as a rule."""
    made = [value for value in step.values() if value.root.in_arena]
    if not made:
        return ""
    shape = "×".join(map(str, made[-1].shape))
    return shape + " channels-last" * made[-1].channels_last


def columns(rows: Sequence[Iterable[str]]) -> list[str]:
    """Lines with the cells of each column one below the other; numbers to the right."""
    cells = [list(row) for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return ["  ".join(text.rjust(width) if _is_number(text) else text.ljust(width)
                      for text, width in zip(row, widths, strict=True)).rstrip() for row in cells]


def _is_number(text: str) -> bool:
    try:
        float(text.replace(",", ""))
    except ValueError:
        return False
    return True
