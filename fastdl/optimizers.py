"""Optimizers: rules that change parameters by their gradients.

``optimizer.update(params, grads)`` takes two dicts of arrays with the same keys and changes the
parameters in place. Defaults and definitions are PyTorch's.
"""

from collections.abc import Callable, Mapping, MutableMapping
from typing import Any, ClassVar

import numpy as np

from . import ops
from .errors import ArgumentError, CheckpointError, ShapeError


def _checked(name: str, value: float, low: float, high: float = float("inf")) -> float:
    if not low <= value < high:
        raise ArgumentError(f"{name} must be in [{low}, {high}), got {value}")
    return float(value)


class Optimizer:
    """Base of the optimizers.

    A subclass names the arrays it keeps for each parameter in `slots` and defines `step_of`.

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
        if missing := [name for name in params if grads.get(name) is None]:
            raise ArgumentError(f"{type(self).__name__}.update: no gradient for "
                                f"{', '.join(missing)}; call backward first")
        for name, w in params.items():
            if np.shape(grads[name]) != w.shape:
                raise ShapeError(f"{type(self).__name__}.update: the gradient of {name} must be "
                                 f"{w.shape}, got {np.shape(grads[name])}")
        for name, w in params.items():
            state = self.state.get(name)
            if state is None:
                state = self.state[name] = self._new_state(w)
            state["step"] += 1
            self.step_of(w, grads[name], state)

    def _new_state(self, w: np.ndarray) -> dict[str, Any]:
        return {"step": 0, **{slot: np.zeros_like(w) for slot in self.slots}}

    def state_dict(self) -> dict[str, dict[str, Any]]:
        """A copy of what it takes to go on: state by parameter, and the settings."""
        copied = {name: {key: value.copy() if isinstance(value, np.ndarray) else value
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


class SGD(Optimizer):
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

    slots = ("v",)

    def __init__(self, lr: float = 1e-3, momentum: float = 0.0, weight_decay: float = 0.0,
                 nesterov: bool = False) -> None:
        super().__init__(lr, weight_decay)
        self.momentum = _checked("momentum", momentum, 0, 1)
        self.nesterov = bool(nesterov)
        if nesterov and not momentum:
            raise ArgumentError("SGD: nesterov needs a momentum above 0")

    def _new_state(self, w: np.ndarray) -> dict[str, Any]:
        return super()._new_state(w) if self.momentum else {"step": 0}

    def step_of(self, w: np.ndarray, dw: np.ndarray, state: dict[str, Any]) -> None:
        if not self.momentum:
            ops.sgd_update(w, dw, lr=self.rate, weight_decay=self.weight_decay)
            return
        update = ops.nesterov_update if self.nesterov else ops.momentum_update
        update(w, dw, state["v"], lr=self.rate, momentum=self.momentum,
               weight_decay=self.weight_decay)


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


class Adagrad(Optimizer):
    """Steps shrink with the sum of squared gradients (Duchi et al., 2011).

    Parameters
    ----------
    lr : learning rate
    eps : added to the root, against division by 0
    weight_decay : factor of the L2 penalty
    """

    slots = ("h",)

    def __init__(self, lr: float = 1e-2, eps: float = 1e-10, weight_decay: float = 0.0) -> None:
        super().__init__(lr, weight_decay)
        self.eps = _checked("eps", eps, 0)

    def step_of(self, w: np.ndarray, dw: np.ndarray, state: dict[str, Any]) -> None:
        ops.adagrad_update(w, dw, state["h"], lr=self.rate, eps=self.eps,
                           weight_decay=self.weight_decay)


class Adadelta(Optimizer):
    """Steps in units of past steps (Zeiler, 2012).

    Parameters
    ----------
    lr : factor of the step, 1 in the paper
    rho : decay of the running means, below 1
    eps : added inside the roots
    weight_decay : factor of the L2 penalty
    """

    slots = ("h", "delta")

    def __init__(self, lr: float = 1.0, rho: float = 0.9, eps: float = 1e-6,
                 weight_decay: float = 0.0) -> None:
        super().__init__(lr, weight_decay)
        self.rho = _checked("rho", rho, 0, 1)
        self.eps = _checked("eps", eps, 0)

    def step_of(self, w: np.ndarray, dw: np.ndarray, state: dict[str, Any]) -> None:
        ops.adadelta_update(w, dw, state["h"], state["delta"], lr=self.rate, rho=self.rho,
                            eps=self.eps, weight_decay=self.weight_decay)


class RMSprop(Optimizer):
    """Steps divided by a running root mean square of the gradient (Hinton, lecture 6e, 2012).

    Parameters
    ----------
    lr : learning rate
    alpha : decay of the running mean, below 1
    eps : added to the root, against division by 0
    weight_decay : factor of the L2 penalty
    """

    slots = ("h",)

    def __init__(self, lr: float = 1e-2, alpha: float = 0.99, eps: float = 1e-8,
                 weight_decay: float = 0.0) -> None:
        super().__init__(lr, weight_decay)
        self.alpha = _checked("alpha", alpha, 0, 1)
        self.eps = _checked("eps", eps, 0)

    def step_of(self, w: np.ndarray, dw: np.ndarray, state: dict[str, Any]) -> None:
        ops.rmsprop_update(w, dw, state["h"], lr=self.rate, alpha=self.alpha, eps=self.eps,
                           weight_decay=self.weight_decay)


class Adam(Optimizer):
    """Momentum and RMSprop, both without their bias towards 0 (Kingma & Ba, 2015).

    Parameters
    ----------
    lr : learning rate
    betas : decay of the running means of the gradient and of its square, below 1
    eps : added to the root, against division by 0
    weight_decay : factor of the L2 penalty
    """

    slots = ("m", "v")
    _update: ClassVar[Callable] = staticmethod(ops.adam_update)

    def __init__(self, lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999),
                 eps: float = 1e-8, weight_decay: float = 0.0) -> None:
        super().__init__(lr, weight_decay)
        self.beta1, self.beta2 = (_checked("betas", beta, 0, 1) for beta in betas)
        self.eps = _checked("eps", eps, 0)

    def _options(self, state: dict[str, Any]) -> dict[str, float]:
        return {"step": state["step"], "lr": self.rate, "beta1": self.beta1, "beta2": self.beta2,
                "eps": self.eps, "weight_decay": self.weight_decay}

    def step_of(self, w: np.ndarray, dw: np.ndarray, state: dict[str, Any]) -> None:
        self._update(w, dw, state["m"], state["v"], **self._options(state))


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov & Hutter, 2019).

    Parameters
    ----------
    lr : learning rate
    betas, eps : as in `Adam`
    weight_decay : share of the parameter, times lr, that each step takes away
    """

    _update = staticmethod(ops.adamw_update)

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

    _update = staticmethod(ops.nadam_update)

    def __init__(self, lr: float = 2e-3, betas: tuple[float, float] = (0.9, 0.999),
                 eps: float = 1e-8, weight_decay: float = 0.0,
                 momentum_decay: float = 4e-3) -> None:
        super().__init__(lr, betas, eps, weight_decay)
        self.momentum_decay = _checked("momentum_decay", momentum_decay, 0)

    def _momentum(self, step: int) -> float:
        return self.beta1 * (1 - 0.5 * 0.96 ** (step * self.momentum_decay))

    def _new_state(self, w: np.ndarray) -> dict[str, Any]:
        return {**super()._new_state(w), "mu_product": 1.0}

    def _options(self, state: dict[str, Any]) -> dict[str, float]:
        mu = self._momentum(state["step"])
        state["mu_product"] *= mu
        return {**super()._options(state), "mu": mu, "mu_next": self._momentum(state["step"] + 1),
                "mu_product": state["mu_product"]}


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
