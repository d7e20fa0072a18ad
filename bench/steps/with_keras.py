"""Keras on TensorFlow as a member, channels-last, with the option "jit_compile" (XLA)."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers as kl

from fastdl.benchmark.steps.networks import MOMENTUM, Network


def facts() -> dict[str, Any]:
    """For the report."""
    return {"versions": {"tensorflow": tf.__version__, "keras": keras.__version__}}


def _pair(size: Any) -> tuple[int, int]:
    return tuple(size) if isinstance(size, list | tuple) else (size, size)


def _window(x: Any, a: Any) -> tuple[Any, dict[str, Any]]:
    """`x`, padded where it must be, and the window's options in Keras.

    Where "same" gives maps of the size that is asked for, it does, for it needs no pass over them.
    """
    kernel, stride, padding = (_pair(size) for size in (a.kernel_size, a.stride, a.padding))
    round_up = getattr(a, "ceil_mode", False)
    wanted = [-(-room // s) + 1 if round_up else room // s + 1
              for room, s in zip((n + 2 * p - k for n, p, k in zip(x.shape[1:3], padding, kernel,
                                                                   strict=True)),
                                 stride, strict=True)]
    same = [-(-n // s) for n, s in zip(x.shape[1:3], stride, strict=True)]
    fits = not any(padding) and wanted == [(n - k) // s + 1 for n, k, s in
                                           zip(x.shape[1:3], kernel, stride, strict=True)]
    if not fits and wanted != same:
        if round_up:
            raise NotImplementedError(f"pool of {x.shape[1:3]} to {wanted}")
        x = kl.ZeroPadding2D(padding)(x)
    return x, {"strides": stride, "padding": "same" if not fits and wanted == same else "valid"}


def _conv(x: Any, a: Any) -> Any:
    x, window = _window(x, a)
    if a.groups == a.in_channels == a.out_channels:
        return kl.DepthwiseConv2D(_pair(a.kernel_size), use_bias=a.bias, **window)(x)
    return kl.Conv2D(a.out_channels, _pair(a.kernel_size), groups=a.groups, use_bias=a.bias,
                     **window)(x)


def _max_pool(x: Any, a: Any) -> Any:
    x, window = _window(x, a)
    return kl.MaxPooling2D(_pair(a.kernel_size), **window)(x)


# What each kind of layer makes of its inputs; `a` has the layer's options.
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "Conv2d": lambda a, x: _conv(x, a),
    "Linear": lambda a, x: kl.Dense(a.out_features, use_bias=a.bias)(x),
    "BatchNorm2d": lambda a, x: kl.BatchNormalization(momentum=1 - a.momentum, epsilon=a.eps)(x),
    "MaxPool2d": lambda a, x: _max_pool(x, a),
    # No network here pads before an average.
    "AvgPool2d": lambda a, x: kl.AveragePooling2D(_pair(a.kernel_size), _pair(a.stride))(x),
    "GlobalAvgPool2d": lambda a, x: kl.GlobalAveragePooling2D(keepdims=True)(x),
    # Maps have that size already in all networks here.
    "AdaptiveAvgPool2d": lambda a, x: x,
    "ReLU": lambda a, x: kl.ReLU()(x),
    "ReLU6": lambda a, x: kl.ReLU(max_value=6)(x),
    "Dropout": lambda a, x: kl.Dropout(a.p)(x),
    "Flatten": lambda a, x: kl.Flatten()(x),
    "Add": lambda a, *inputs: kl.Add()(inputs),
    "Concat": lambda a, *inputs: kl.Concatenate(axis=-1)(inputs),
}


def _model(network: Network, layers: list[dict[str, Any]], threads: int) -> keras.Model:
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    values = [keras.Input((network.size, network.size, network.channels))]
    for layer in layers:
        inputs = [values[i] for i in layer["inputs"]]
        values.append(FUNCTIONS[layer["kind"]](SimpleNamespace(**layer), *inputs))
    return keras.Model(values[0], values[-1])


def _images(x: np.ndarray) -> tf.Tensor:
    return tf.constant(x.transpose(0, 2, 3, 1))


def training(network: Network, layers: list[dict[str, Any]], x: np.ndarray, ts: np.ndarray,
             options: dict[str, Any]) -> Callable[[int], float]:
    """See `fastdl.benchmark.steps.worker`; the loss is Keras's running mean."""
    model, rate = _model(network, layers, options["threads"]), network.learning_rate
    optimizer = (keras.optimizers.Adam(rate) if network.optimizer == "adam" else
                 keras.optimizers.SGD(rate, MOMENTUM))
    model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True),
                  jit_compile=options["jit_compile"])
    images, labels = _images(x), [tf.constant(t) for t in ts]
    return lambda i: model.train_on_batch(images, labels[i])


def inference(network: Network, layers: list[dict[str, Any]], x: np.ndarray,
              options: dict[str, Any]) -> Callable[[], Any]:
    """See `fastdl.benchmark.steps.worker`."""
    model = _model(network, layers, options["threads"])
    function = tf.function(lambda images: model(images, training=False),
                           jit_compile=options["jit_compile"])
    images = _images(x)
    return lambda: function(images).numpy()
