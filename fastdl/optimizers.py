"""Optimizers: rules that change parameters by their gradients.

``optimizer.update(params, grads)`` takes two dicts of arrays with the same keys and changes the
parameters in place. Defaults and definitions are PyTorch's.
"""

from collections import Counter
from collections.abc import Mapping, MutableMapping, Sequence
from operator import is_
from typing import Any, ClassVar, NamedTuple

import numpy as np

from .cuda import Array, to_device, to_host, zeros
from .errors import ArgumentError, CheckpointError, ShapeError
from .ops.optimizer import STATES, Update


def _checked(name: str, value: float, low: float, high: float = float("inf")) -> float:
    if not low <= value < high:
        raise ArgumentError(f"{name} must be in [{low}, {high}), got {value}")
    return float(value)


def _shape(array: Any) -> tuple[int, ...]:
    return array.shape if isinstance(array, Array) else np.shape(array)


def _zeros(w: Any) -> Any:
    """Like `w`, and where it lies."""
    return zeros(w.shape, w.dtype) if isinstance(w, Array) else np.zeros_like(w)


def _beside(w: Any, state: dict[str, Any]) -> dict[str, Any]:
    """A parameter's state, its arrays brought to where the parameter lies."""
    for slot, value in state.items():
        if isinstance(w, Array) and isinstance(value, np.ndarray):
            state[slot] = to_device(value)
        elif isinstance(w, np.ndarray):
            state[slot] = to_host(value)
    return state


class Optimizer:
    """Base of the optimizers.

    An optimizer of your own names the arrays it keeps for each parameter in `slots` and defines
    `step_of`. (Those below take a step of all parameters at once, by a kernel: `KernelOptimizer`.)

    Attributes
    ----------
    lr : float
        Learning rate; may be changed between updates.
    lr_scale : float
        What a schedule multiplies it by; 1 without one.
    weight_decay : float
        Factor of the L2 penalty.
    state : dict
        For each parameter's name: its slots, and ``step``, the number of updates it has had.
    """

    slots: ClassVar[tuple[str, ...]] = ()

    def __init__(self, lr: float, weight_decay: float = 0.0) -> None:
        self.lr = _checked("lr", lr, 0)
        self.lr_scale = 1.0
        self.weight_decay = _checked("weight_decay", weight_decay, 0)
        self.state: dict[str, dict[str, Any]] = {}

    @property
    def rate(self) -> float:
        """The learning rate in force."""
        return self.lr * self.lr_scale

    def step_of(self, w: np.ndarray, dw: np.ndarray, state: dict[str, Any]) -> None:
        """Change one parameter and its state in place."""
        raise NotImplementedError(f"{type(self).__name__} does not define step_of")

    def update(self, params: MutableMapping[str, np.ndarray],
               grads: Mapping[str, np.ndarray]) -> None:
        """Change all parameters in place.

        Raises
        ------
        ArgumentError, ShapeError
            when a parameter has no gradient, or one of another shape; nothing is changed then
        """
        self._check(params, grads)
        for name, w in params.items():
            state = self.state.get(name)
            if state is None:
                state = self.state[name] = self._new_state(w)
            state["step"] += 1
            self.step_of(w, grads[name], state)

    def _check(self, params: Mapping[str, np.ndarray], grads: Mapping[str, np.ndarray]) -> None:
        if missing := [name for name in params if grads.get(name) is None]:
            raise ArgumentError(f"{type(self).__name__}.update: no gradient for "
                                f"{', '.join(missing)}; call backward first")
        for name, w in params.items():
            if _shape(grads[name]) != w.shape:
                raise ShapeError(f"{type(self).__name__}.update: the gradient of {name} must be "
                                 f"{w.shape}, got {_shape(grads[name])}")

    def _new_state(self, w: np.ndarray) -> dict[str, Any]:
        return {"step": 0, **{slot: _zeros(w) for slot in self.slots}}

    def state_dict(self) -> dict[str, dict[str, Any]]:
        """A copy of what it takes to go on: state by parameter, and the settings."""
        copied = {name: {key: value.copy() if isinstance(value, np.ndarray) else to_host(value)
                         for key, value in state.items()} for name, state in self.state.items()}
        return {"settings": self.settings(), "state": copied}

    def settings(self) -> dict[str, float]:
        """The hyper-parameters."""
        return {key: value.item() if isinstance(value, np.number) else value
                for key, value in vars(self).items()
                if isinstance(value, int | float | np.number)}

    def load_state_dict(self, saved: Mapping[str, Mapping[str, Any]]) -> None:
        """Go on from what `state_dict` returned."""
        if set(saved["settings"]) != set(self.settings()):
            raise CheckpointError(f"{type(self).__name__}: the saved optimizer has settings "
                                  f"{', '.join(saved['settings'])}; this one has "
                                  f"{', '.join(self.settings())}")
        vars(self).update(saved["settings"])
        self.state = {name: {key: np.array(value) if isinstance(value, np.ndarray) else value
                             for key, value in state.items()}
                      for name, state in saved["state"].items()}


class _Group(NamedTuple):
    """Parameters that a kernel updates in one call."""

    update: Update
    states: list[dict[str, Any]]


class KernelOptimizer(Optimizer):
    """Base of the optimizers whose step is a kernel that takes all parameters in one pass.

    What `update` is given is checked when it is not the same arrays as the last time.

    Attributes
    ----------
    kernel : str
        Name of the kernel.
    """

    kernel: str

    def __init__(self, lr: float, weight_decay: float = 0.0) -> None:
        super().__init__(lr, weight_decay)
        self._groups: list[_Group] = []
        self._seen: list[Any] = []          # what the groups were made from,
        self._steps: list[int] = []         # and how many updates each parameter had had

    def __getstate__(self) -> dict[str, Any]:
        """What a copy takes along, or a pickle: not the calls, which hold addresses."""
        return vars(self) | {"_groups": [], "_seen": [], "_steps": []}

    def options_of(self, state: dict[str, Any]) -> tuple[float, ...]:
        """The kernel's options for parameters in this state."""
        raise NotImplementedError(f"{type(self).__name__} does not define options_of")

    def update(self, params: MutableMapping[str, np.ndarray],
               grads: Mapping[str, np.ndarray]) -> None:
        """Change all parameters in place, in one pass over memory.

        Raises
        ------
        ArgumentError, ShapeError, DTypeError
            when a parameter has no gradient, or one of another shape or dtype; nothing is changed
            then
        """
        if not self._is_prepared(params, grads):
            self._prepare(params, grads)
        for group in self._groups:
            for state in group.states:
                self._advance(state)
            group.update(*self.options_of(group.states[0]))
        self._steps = [step + 1 for step in self._steps]

    def _advance(self, state: dict[str, Any]) -> None:
        """Count a step."""
        state["step"] += 1

    def _new_state(self, w: np.ndarray) -> dict[str, Any]:
        return {"step": 0, **{slot: _zeros(w) for slot in STATES[self.kernel]}}

    def _involved(self, params: Mapping[str, np.ndarray], grads: Mapping[str, np.ndarray],
                  states: Sequence[dict[str, Any]]) -> list[Any]:
        """The objects that the prepared groups were made from."""
        objects = [self.kernel, *params.values(), *map(grads.get, params), *states]
        for slot in STATES[self.kernel]:
            objects += [state.get(slot) for state in states]
        return objects

    def _is_prepared(self, params: Mapping[str, np.ndarray],
                     grads: Mapping[str, np.ndarray]) -> bool:
        states = [self.state.get(name, {}) for name in params]
        involved = self._involved(params, grads, states)
        return (len(involved) == len(self._seen) and all(map(is_, involved, self._seen))
                and [state.get("step") for state in states] == self._steps)

    def _prepare(self, params: Mapping[str, np.ndarray], grads: Mapping[str, np.ndarray]) -> None:
        """Make groups of parameters of one dtype that have been updated equally often."""
        self._check(params, grads)
        states = {name: self._new_state(w) | _beside(w, self.state.get(name, {}))
                  for name, w in params.items()}
        together: dict[Any, list[str]] = {}
        copies: Counter[int] = Counter()
        for name, w in params.items():
            # An array that is there under two names is updated twice, one after the other.
            copies[id(w)] += 1
            numbers = tuple(value for value in states[name].values()
                            if not isinstance(value, np.ndarray | Array))
            together.setdefault((w.dtype, copies[id(w)], numbers), []).append(name)
        groups = []
        for names in together.values():
            own = [states[name] for name in names]
            slots = [[state[slot] for state in own] for slot in STATES[self.kernel]]
            update = Update(self.kernel, [params[name] for name in names],
                            [grads[name] for name in names], *slots,
                            labels=[f" of {name}" for name in names])
            groups.append(_Group(update, own))
        self.state.update(states)
        self._groups, self._seen = groups, self._involved(params, grads, list(states.values()))
        self._steps = [state["step"] for state in states.values()]


# ---- clipping ----

def clip_grad_value(grads: Mapping[str, np.ndarray], clip_value: float) -> None:
    """Bring every element of the gradients into ±`clip_value`, in place.

    >>> grads = {"w": np.array([-3.0, 0.5])}
    >>> clip_grad_value(grads, 1.0)
    >>> grads["w"]
    array([-1. ,  0.5])
    """
    _checked("clip_value", clip_value, 0)
    for dw in _distinct(grads):
        np.clip(dw, -clip_value, clip_value, out=dw)


def clip_grad_norm(grads: Mapping[str, np.ndarray], max_norm: float) -> float:
    """Scale all gradients alike, in place, so that their norm is at most `max_norm`.

    The norm is that of all elements together (Pascanu et al., 2013). It is returned as it was.

    >>> grads = {"w": np.array([3.0]), "b": np.array([4.0])}
    >>> clip_grad_norm(grads, 1.0)
    5.0
    >>> grads["w"].round(6), grads["b"].round(6)
    (array([0.6]), array([0.8]))
    """
    _checked("max_norm", max_norm, 0)
    distinct = _distinct(grads)
    squares = [float(np.vdot(dw, dw)) for dw in distinct]
    norm = float(np.sqrt(sum(squares)))
    if norm > max_norm:
        for dw in distinct:
            dw *= dw.dtype.type(max_norm / (norm + 1e-6))
    return norm


def _distinct(grads: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """Each array once."""
    return list({id(dw): dw for dw in grads.values()}.values())


class SGD(KernelOptimizer):
    """Stochastic gradient descent, ``w -= lr * g``; with momentum if asked.

    Parameters
    ----------
    lr : learning rate
    momentum : share of the last step that goes on, below 1; 0 for none
    weight_decay : factor of the L2 penalty
    nesterov : look ahead along the momentum

    >>> params, grads = {"w": np.array([1.0])}, {"w": np.array([2.0])}
    >>> SGD(lr=0.1).update(params, grads)
    >>> params["w"]
    array([0.8])
    """

    def __init__(self, lr: float = 1e-3, momentum: float = 0.0, weight_decay: float = 0.0,
                 nesterov: bool = False) -> None:
        super().__init__(lr, weight_decay)
        self.momentum = _checked("momentum", momentum, 0, 1)
        self.nesterov = bool(nesterov)
        if nesterov and not momentum:
            raise ArgumentError("SGD: nesterov needs a momentum above 0")

    @property
    def kernel(self) -> str:                                # type: ignore[override]
        """Name of the kernel."""
        if not self.momentum:
            return "sgd_update"
        return "nesterov_update" if self.nesterov else "momentum_update"

    def options_of(self, state: dict[str, Any]) -> tuple[float, ...]:
        return self.rate, *((self.momentum,) if self.momentum else ()), self.weight_decay


class Momentum(SGD):
    """SGD with momentum: ``v = momentum * v + g; w -= lr * v`` (Polyak, 1964).

    Parameters
    ----------
    lr : learning rate
    momentum : share of the last step that goes on, below 1
    weight_decay : factor of the L2 penalty
    """

    def __init__(self, lr: float = 1e-2, momentum: float = 0.9, weight_decay: float = 0.0) -> None:
        super().__init__(lr, momentum, weight_decay)


class Nesterov(SGD):
    """SGD with Nesterov's momentum (Sutskever et al., 2013).

    Parameters
    ----------
    lr : learning rate
    momentum : share of the last step that goes on, below 1
    weight_decay : factor of the L2 penalty
    """

    def __init__(self, lr: float = 1e-2, momentum: float = 0.9, weight_decay: float = 0.0) -> None:
        super().__init__(lr, momentum, weight_decay, nesterov=True)


class Adagrad(KernelOptimizer):
    """Steps shrink with the sum of squared gradients (Duchi et al., 2011).

    Parameters
    ----------
    lr : learning rate
    eps : added to the root, against division by 0
    weight_decay : factor of the L2 penalty
    """

    kernel = "adagrad_update"

    def __init__(self, lr: float = 1e-2, eps: float = 1e-10, weight_decay: float = 0.0) -> None:
        super().__init__(lr, weight_decay)
        self.eps = _checked("eps", eps, 0)

    def options_of(self, state: dict[str, Any]) -> tuple[float, ...]:
        return self.rate, self.eps, self.weight_decay


class Adadelta(KernelOptimizer):
    """Steps in units of past steps (Zeiler, 2012).

    Parameters
    ----------
    lr : factor of the step, 1 in the paper
    rho : decay of the running means, below 1
    eps : added inside the roots
    weight_decay : factor of the L2 penalty
    """

    kernel = "adadelta_update"

    def __init__(self, lr: float = 1.0, rho: float = 0.9, eps: float = 1e-6,
                 weight_decay: float = 0.0) -> None:
        super().__init__(lr, weight_decay)
        self.rho = _checked("rho", rho, 0, 1)
        self.eps = _checked("eps", eps, 0)

    def options_of(self, state: dict[str, Any]) -> tuple[float, ...]:
        return self.rate, self.rho, self.eps, self.weight_decay


class RMSprop(KernelOptimizer):
    """Steps divided by a running root mean square of the gradient (Hinton, lecture 6e, 2012).

    Parameters
    ----------
    lr : learning rate
    alpha : decay of the running mean, below 1
    eps : added to the root, against division by 0
    weight_decay : factor of the L2 penalty
    """

    kernel = "rmsprop_update"

    def __init__(self, lr: float = 1e-2, alpha: float = 0.99, eps: float = 1e-8,
                 weight_decay: float = 0.0) -> None:
        super().__init__(lr, weight_decay)
        self.alpha = _checked("alpha", alpha, 0, 1)
        self.eps = _checked("eps", eps, 0)

    def options_of(self, state: dict[str, Any]) -> tuple[float, ...]:
        return self.rate, self.alpha, self.eps, self.weight_decay


class Adam(KernelOptimizer):
    """Momentum and RMSprop, both without their bias towards 0 (Kingma & Ba, 2015).

    Parameters
    ----------
    lr : learning rate
    betas : decay of the running means of the gradient and of its square, below 1
    eps : added to the root, against division by 0
    weight_decay : factor of the L2 penalty
    """

    kernel = "adam_update"

    def __init__(self, lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999),
                 eps: float = 1e-8, weight_decay: float = 0.0) -> None:
        super().__init__(lr, weight_decay)
        self.beta1, self.beta2 = (_checked("betas", beta, 0, 1) for beta in betas)
        self.eps = _checked("eps", eps, 0)

    def options_of(self, state: dict[str, Any]) -> tuple[float, ...]:
        return (self.rate, self.beta1, self.beta2, self.eps, self.weight_decay, state["step"])


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov & Hutter, 2019).

    Parameters
    ----------
    lr : learning rate
    betas, eps : as in `Adam`
    weight_decay : share of the parameter, times lr, that each step takes away
    """

    kernel = "adamw_update"

    def __init__(self, lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999),
                 eps: float = 1e-8, weight_decay: float = 1e-2) -> None:
        super().__init__(lr, betas, eps, weight_decay)


class NAdam(Adam):
    """Adam with Nesterov's momentum and its schedule (Dozat, 2016).

    Parameters
    ----------
    lr : learning rate
    betas, eps, weight_decay : as in `Adam`
    momentum_decay : how fast the momentum nears betas[0]
    """

    kernel = "nadam_update"

    def __init__(self, lr: float = 2e-3, betas: tuple[float, float] = (0.9, 0.999),
                 eps: float = 1e-8, weight_decay: float = 0.0,
                 momentum_decay: float = 4e-3) -> None:
        super().__init__(lr, betas, eps, weight_decay)
        self.momentum_decay = _checked("momentum_decay", momentum_decay, 0)

    def _momentum(self, step: int) -> float:
        return self.beta1 * (1 - 0.5 * 0.96 ** (step * self.momentum_decay))

    def _new_state(self, w: np.ndarray) -> dict[str, Any]:
        return {**super()._new_state(w), "mu_product": 1.0}

    def _advance(self, state: dict[str, Any]) -> None:
        super()._advance(state)
        state["mu_product"] *= self._momentum(state["step"])

    def options_of(self, state: dict[str, Any]) -> tuple[float, ...]:
        step = state["step"]
        return (*super().options_of(state), self._momentum(step), self._momentum(step + 1),
                state["mu_product"])


# The names that papers and courses use.
AdaGrad, RMSProp, Nadam = Adagrad, RMSprop, NAdam

_BY_NAME: dict[str, type[Optimizer]] = {
    optimizer.__name__.lower(): optimizer
    for optimizer in (SGD, Momentum, Nesterov, Adagrad, Adadelta, RMSprop, Adam, AdamW, NAdam)}


def names() -> tuple[str, ...]:
    """The names that `get` knows."""
    return tuple(_BY_NAME)


def get(optimizer: str | Optimizer, **options: Any) -> Optimizer:
    """The optimizer of that name (any case) with `options`, or the optimizer given.

    >>> get("adam", lr=0.01).lr
    0.01
    """
    if isinstance(optimizer, Optimizer):
        return optimizer
    try:
        kind = _BY_NAME[optimizer.lower()]
    except (KeyError, AttributeError):
        raise ArgumentError(f"unknown optimizer {optimizer!r}; there are: {', '.join(_BY_NAME)}, "
                            "or an instance of fastdl.optimizers.Optimizer") from None
    return kind(**options)
