"""fastdl as a member: as users call it, or, with the option "eager", layer by layer."""

import platform
from collections.abc import Callable
from typing import Any

import numpy as np

from ... import losses, optimizers
from ...trainer import Trainer
from .networks import MOMENTUM, Network


def facts() -> dict[str, Any]:
    """For the report."""
    from ... import __version__

    return {"versions": {"python": platform.python_version(), "numpy": np.__version__,
                         "fastdl": __version__}}


def _optimizer(network: Network) -> optimizers.Optimizer:
    if network.optimizer == "adam":
        return optimizers.Adam(lr=network.learning_rate)
    return optimizers.Momentum(lr=network.learning_rate, momentum=MOMENTUM)


def training(network: Network, layers: list[dict[str, Any]], x: np.ndarray, ts: np.ndarray,
             options: dict[str, Any]) -> Callable[[int], float]:
    """See `worker`."""
    net, optimizer = network.build(), _optimizer(network)
    if not options.get("eager"):
        trainer = Trainer(net, optimizer=optimizer)
        return lambda i: trainer.step(x, ts[i])
    criterion = losses.get("softmax_cross_entropy")

    def step(i: int) -> float:
        loss = criterion.forward(net.forward(x), ts[i])
        net.backward(criterion.backward(), need_dx=False)
        optimizer.update(net.params, net.grads)
        return loss

    return step


def inference(network: Network, layers: list[dict[str, Any]], x: np.ndarray,
              options: dict[str, Any]) -> Callable[[], np.ndarray]:
    """See `worker`."""
    net = network.build().eval()
    if options.get("eager"):
        return lambda: net.forward(x)
    return lambda: net.predict(x, batch_size=len(x))
