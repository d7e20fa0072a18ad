"""JAX with Flax and Optax as a member: one compiled step, whose state is donated."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import flax
import jax
import numpy as np
import optax
from flax import linen as nn

from fastdl.benchmark.steps.networks import MOMENTUM, Network


def facts() -> dict[str, Any]:
    """For the report."""
    return {"versions": {"jax": jax.__version__, "flax": flax.__version__,
                         "optax": optax.__version__}}


def _pair(size: Any) -> tuple[int, int]:
    return tuple(size) if isinstance(size, list | tuple) else (size, size)


def _conv(x: Any, a: Any) -> Any:
    padding = [(p, p) for p in _pair(a.padding)]
    return nn.Conv(a.out_channels, _pair(a.kernel_size), _pair(a.stride), padding,
                   feature_group_count=a.groups, use_bias=a.bias)(x)


def _max_pool(x: Any, a: Any) -> Any:
    kernel, stride, padding = (_pair(size) for size in (a.kernel_size, a.stride, a.padding))
    # Rounding up means that the last window may reach past the end.
    past = [-(n + 2 * p - k) % s if a.ceil_mode else 0
            for n, p, k, s in zip(x.shape[1:3], padding, kernel, stride, strict=True)]
    return nn.max_pool(x, kernel, stride, [(p, p + more) for p, more
                                           in zip(padding, past, strict=True)])


# What each kind of layer makes of its inputs; `a` has the layer's options.
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "Conv2d": lambda a, x: _conv(x, a),
    "Linear": lambda a, x: nn.Dense(a.out_features, use_bias=a.bias)(x),
    "BatchNorm2d": lambda a, x: nn.BatchNorm(not a.training, momentum=1 - a.momentum,
                                             epsilon=a.eps)(x),
    "MaxPool2d": lambda a, x: _max_pool(x, a),
    # No network here pads before an average.
    "AvgPool2d": lambda a, x: nn.avg_pool(x, _pair(a.kernel_size), _pair(a.stride)),
    "GlobalAvgPool2d": lambda a, x: x.mean((1, 2), keepdims=True),
    # Maps have that size already in all networks here.
    "AdaptiveAvgPool2d": lambda a, x: x,
    "ReLU": lambda a, x: nn.relu(x),
    "ReLU6": lambda a, x: nn.relu6(x),
    "Dropout": lambda a, x: nn.Dropout(a.p, deterministic=not a.training)(x),
    "Flatten": lambda a, x: x.reshape(len(x), -1),
    "Add": lambda a, x, y: x + y,
    "Concat": lambda a, *inputs: jax.numpy.concatenate(inputs, -1),
}


class Net(nn.Module):
    """The network of a description (`networks.description`), on (N, H, W, C)."""

    layers: Any

    @nn.compact
    def __call__(self, x: Any, training: bool) -> Any:
        values = [x]
        for layer in self.layers:
            inputs = [values[i] for i in layer["inputs"]]
            options = SimpleNamespace(**layer, training=training)
            values.append(FUNCTIONS[layer["kind"]](options, *inputs))
        return values[-1]


def _prepared(layers: list[dict[str, Any]], x: np.ndarray) -> tuple[Net, Any, Any]:
    net, images = Net(layers), jax.numpy.asarray(x.transpose(0, 2, 3, 1))
    return net, images, jax.jit(net.init, static_argnums=2)(jax.random.key(0), images, False)


def training(network: Network, layers: list[dict[str, Any]], x: np.ndarray, ts: np.ndarray,
             options: dict[str, Any]) -> Callable[[int], float]:
    """See `fastdl.benchmark.steps.worker`."""
    net, images, variables = _prepared(layers, x)
    rate = network.learning_rate
    optimizer = optax.adam(rate) if network.optimizer == "adam" else optax.sgd(rate, MOMENTUM)
    labels, params = jax.numpy.asarray(ts), variables["params"]
    state = params, variables.get("batch_stats", {}), optimizer.init(params), jax.random.key(1)

    def loss_of(params: Any, stats: Any, key: Any, t: Any) -> Any:
        scores, changed = net.apply({"params": params, "batch_stats": stats}, images, True,
                                    rngs={"dropout": key}, mutable=["batch_stats"])
        loss = optax.softmax_cross_entropy_with_integer_labels(scores, t).mean()
        return loss, changed.get("batch_stats", {})

    def step_of(state: Any, images: Any, t: Any) -> Any:
        params, stats, moments, key = state
        key, now = jax.random.split(key)
        (loss, stats), grads = jax.value_and_grad(loss_of, has_aux=True)(params, stats, now, t)
        updates, moments = optimizer.update(grads, moments, params)
        return (optax.apply_updates(params, updates), stats, moments, key), loss

    compiled, rows = jax.jit(step_of, donate_argnums=0), list(labels)

    def step(i: int) -> float:
        nonlocal state
        state, loss = compiled(state, images, rows[i])
        return loss.item()

    return step


def inference(network: Network, layers: list[dict[str, Any]], x: np.ndarray,
              options: dict[str, Any]) -> Callable[[], Any]:
    """See `fastdl.benchmark.steps.worker`."""
    net, images, variables = _prepared(layers, x)
    predict = jax.jit(lambda images: net.apply(variables, images, False))
    return lambda: predict(images).block_until_ready()
