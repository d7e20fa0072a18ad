"""The NumPy code of courses (bench/course.py) as a member: plain chains of layers."""

from collections.abc import Callable
from typing import Any

import numpy as np

from fastdl.benchmark.steps.networks import Network

from ..course import layers as plain
from ..course import optimizers


def facts() -> dict[str, Any]:
    """For the report."""
    return {"versions": {"numpy": np.__version__}}


random = np.random.default_rng()


def _he(shape: tuple[int, ...], fan_in: int) -> np.ndarray:
    return random.standard_normal(shape) * np.sqrt(2 / fan_in)


def _layer(a: dict[str, Any]) -> Any:
    if a["kind"] == "Conv2d":
        OC, C, size = a["out_channels"], a["in_channels"], a["kernel_size"][0]
        return plain.Convolution(_he((OC, C, size, size), C * size**2), np.zeros(OC),
                                 a["stride"][0], a["padding"][0])
    if a["kind"] == "Linear":
        return plain.Affine(_he((a["in_features"], a["out_features"]), a["in_features"]),
                            np.zeros(a["out_features"]))
    if a["kind"] == "MaxPool2d":
        return plain.Pooling(a["kernel_size"], a["stride"])
    return {"ReLU": plain.Relu, "Dropout": lambda: plain.Dropout(a["p"])}[a["kind"]]()


def _chain(layers: list[dict[str, Any]]) -> list[Any]:
    return [_layer(a) for a in layers if a["kind"] != "Flatten"]


def training(network: Network, layers: list[dict[str, Any]], x: np.ndarray, ts: np.ndarray,
             options: dict[str, Any]) -> Callable[[int], float]:
    """See `fastdl.benchmark.steps.worker`."""
    chain, last = _chain(layers), plain.SoftmaxLoss()
    optimizer = optimizers.Adam(network.learning_rate)
    images = x.astype(np.float64)
    weighted = [layer for layer in chain if layer.weighted]
    params = {f"{name}{i}": getattr(layer, name) for i, layer in enumerate(weighted)
              for name in "Wb"}

    def step(i: int) -> float:
        y = images
        for layer in chain:
            y = layer.forward(y, True)
        loss = last.forward(y, ts[i])
        dout = last.backward()
        for layer in reversed(chain):
            dout = layer.backward(dout)
        optimizer.update(params, {f"{name}{i}": getattr(layer, f"d{name}")
                                  for i, layer in enumerate(weighted) for name in "Wb"})
        return loss

    return step


def inference(network: Network, layers: list[dict[str, Any]], x: np.ndarray,
              options: dict[str, Any]) -> Callable[[], np.ndarray]:
    """See `fastdl.benchmark.steps.worker`."""
    chain, images = _chain(layers), x.astype(np.float64)

    def predict() -> np.ndarray:
        y = images
        for layer in chain:
            y = layer.forward(y, False)
        return y

    return predict
