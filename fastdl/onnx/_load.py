"""An ONNX file as a network."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from os import PathLike
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from .. import layers
from ..errors import CheckpointError
from ..layers.layer import Layer
from ..module import Module
from ._package import onnx_package


def load(path: str | PathLike[str]) -> OnnxModel:
    """Read a network from an ONNX file.

    Parameters
    ----------
    path : file of convolutions, dense layers, batch norm, pools, activations and joins: what the
        architectures of `fastdl.models` need

    Returns
    -------
    OnnxModel
        a module like any other: it predicts, and it can be trained further. Layers are called as
        in the file, so weights that were exported from PyTorch or fastdl keep their names.

    Raises
    ------
    CheckpointError
        when the file cannot be read, or has an operator that is not known; it says which
    ImportError
        without the package onnx

    >>> net = load("resnet18.onnx")  # doctest: +SKIP
    """
    onnx, name = onnx_package("onnx.load"), os.fspath(path)
    try:
        model = onnx.load(name)
        onnx.checker.check_model(model)
    except FileNotFoundError:
        raise CheckpointError(f"{name}: no such file") from None
    except Exception as error:          # of protobuf and of onnx, which have no common base
        raise CheckpointError(f"{name}: not a readable ONNX file ({error})") from error
    reader = _Reader(onnx, onnx.shape_inference.infer_shapes(model).graph, name)
    return OnnxModel(reader.steps, reader.inputs, reader.outputs)


class _Step(NamedTuple):
    """A layer, and the names of what it reads and makes."""

    path: str
    layer: Layer
    inputs: list[str]
    output: str


class OnnxModel(Module):
    """A network that was read from an ONNX file; `load` makes it.

    Parameters
    ----------
    steps : layers in their order, each with its path and the names of its inputs and its output
    inputs, outputs : names of what goes in and comes out
    """

    def __init__(self, steps: list[_Step], inputs: list[str], outputs: list[str]) -> None:
        self._steps, self._inputs, self._outputs = tuple(steps), inputs, outputs

    def _input_names(self) -> list[str]:
        return self._inputs

    def named_children(self) -> Iterator[tuple[str, Module | Layer]]:
        return ((step.path, step.layer) for step in self._steps)

    def connect(self, *inputs: Any, **options: Any) -> Any:
        values = dict(zip(self._inputs, inputs, strict=True))
        for _, layer, names, output in self._steps:
            values[output] = layer(*(values[name] for name in names))
        results = tuple(values[name] for name in self._outputs)
        return results[0] if len(results) == 1 else results


class _Reader:
    """Goes through a graph of onnx and makes layers of its operators."""

    def __init__(self, onnx: Any, graph: Any, name: str) -> None:
        self._onnx, self.name = onnx, name
        self.constants = {array.name: onnx.numpy_helper.to_array(array)
                          for array in graph.initializer}
        self.inputs = [x.name for x in graph.input if x.name not in self.constants]
        self.steps: list[_Step] = []
        self._same: dict[str, str] = {}         # what operators that do nothing return
        self._names: dict[str, str] = {}        # of constants before they were transposed
        self._shapes = {
            value.name: tuple(d.dim_value for d in value.type.tensor_type.shape.dim)
            for value in (*graph.input, *graph.value_info, *graph.output)}
        for node in graph.node:
            self._read(node)
        self.outputs = [self._same.get(y.name, y.name) for y in graph.output]

    def _read(self, node: Any) -> None:
        operator = node.op_type
        options = {a.name: self._onnx.helper.get_attribute_value(a) for a in node.attribute}
        inputs = [self._same.get(name, name) for name in node.input]
        if operator == "Constant":
            self.constants[node.output[0]] = self._onnx.numpy_helper.to_array(options["value"])
            return
        if operator in ("Identity", "Dropout"):
            if inputs[0] in self.constants:
                self.constants[node.output[0]] = self.constants[inputs[0]]
            self._same[node.output[0]] = inputs[0]
            return
        if operator == "Transpose" and inputs[0] in self.constants:
            self.constants[node.output[0]] = self.constants[inputs[0]].transpose(
                options.get("perm"))
            self._names[node.output[0]] = inputs[0]
            return
        if operator not in _READERS:
            raise CheckpointError(f"{self.name}: operator {operator} (of {node.name or inputs}) is "
                                  f"not known; there are: {', '.join(sorted(_READERS))}")
        weights = [self.constants.get(name) for name in inputs]
        layer = _READERS[operator](_Node(
            self.name, operator, options, weights,
            *(self._shapes.get(name, ()) for name in (inputs[0], node.output[0]))))
        named = (self._names.get(name, name) for name in inputs if name in self.constants)
        path = next((name.rpartition(".")[0] for name in named
                     if layer.params and "." in name), "")
        taken = {step.path for step in self.steps}
        if not path or path in taken:
            path = f"{operator.lower()}_{len(self.steps)}"
        data = [name for name in inputs if name and name not in self.constants]
        self.steps.append(_Step(path, layer, data, node.output[0]))


class _Node(NamedTuple):
    """An operator: its attributes, and for each input the array if it is a constant."""

    file: str
    operator: str
    options: dict[str, Any]
    weights: list[np.ndarray | None]
    x_shape: tuple[int, ...]            # of the first input, and of the output; () if not known
    y_shape: tuple[int, ...]

    def weight(self, number: int) -> np.ndarray | None:
        """The constant that is this input, if there is one."""
        return self.weights[number] if number < len(self.weights) else None

    def needed(self, number: int) -> np.ndarray:
        """The constant that must be this input."""
        if (array := self.weight(number)) is None:
            raise self.error(f"its input {number} must be a constant")
        return array

    def expect(self, **usual: Any) -> None:
        """Raise if an attribute is there and has another value."""
        for name, value in usual.items():
            if name in self.options and self.options[name] != value:
                raise self.error(f"{name} must be {value}, got {self.options[name]}")

    def error(self, what: str) -> CheckpointError:
        """An error that says where it is."""
        return CheckpointError(f"{self.file}: operator {self.operator}: {what}")

    def window(self, dims: int) -> dict[str, Any]:
        """Stride and padding of a convolution or pool; the same padding before and behind."""
        self.expect(auto_pad=b"NOTSET")
        pads = tuple(self.options.get("pads", (0,) * 2 * dims))
        if pads[:dims] != pads[dims:]:
            raise self.error(f"its padding differs before and behind: {pads}")
        return {"stride": tuple(self.options.get("strides", (1,) * dims)), "padding": pads[:dims]}


Reader: TypeAlias = Callable[[_Node], Layer]
_READERS: dict[str, Reader] = {}


def _reads(operator: str) -> Callable[[Reader], Reader]:
    def register(reader: Reader) -> Reader:
        _READERS[operator] = reader
        return reader

    return register


def _joins(kind: Callable[[], Layer]) -> Reader:
    """Of an operator on several inputs, all of which the network must compute."""
    def read(node: _Node) -> Layer:
        if any(weight is not None for weight in node.weights):
            raise node.error("one of its inputs is a constant")
        return kind()

    return read


_READERS.update({
    "Relu": lambda node: layers.ReLU(), "Sigmoid": lambda node: layers.Sigmoid(),
    "Tanh": lambda node: layers.Tanh(), "HardSwish": lambda node: layers.Hardswish(),
    "GlobalAveragePool": lambda node: _global_pool(node, "GlobalAvgPool"),
    "GlobalMaxPool": lambda node: _global_pool(node, "GlobalMaxPool"),
    "Add": _joins(layers.Add), "Sum": _joins(layers.Add), "Mean": _joins(layers.Mean),
    "Mul": _joins(layers.Multiply)})


@_reads("HardSigmoid")
def _hard_sigmoid(node: _Node) -> Layer:
    slope, middle = node.options.get("alpha", 0.2), node.options.get("beta", 0.5)
    if abs(slope - 1 / 6) > 1e-6 or middle != 0.5:
        raise node.error(f"alpha and beta must be 1/6 and 0.5, got {slope} and {middle}")
    return layers.Hardsigmoid()


@_reads("Clip")
def _clip(node: _Node) -> Layer:
    low, high = node.needed(1), node.needed(2)
    if (low, high) != (0, 6):
        raise node.error(f"it must be from 0 to 6, got {low} to {high}")
    return layers.ReLU6()


@_reads("LeakyRelu")
def _leaky_relu(node: _Node) -> Layer:
    return layers.LeakyReLU(node.options.get("alpha", 0.01))


@_reads("Gelu")
def _gelu(node: _Node) -> Layer:
    return layers.GELU(node.options.get("approximate", b"none").decode())


@_reads("Softmax")
def _softmax(node: _Node) -> Layer:
    return layers.Softmax(node.options.get("axis", -1))


@_reads("Concat")
def _concat(node: _Node) -> Layer:
    return _joins(lambda: layers.Concat(node.options["axis"]))(node)


@_reads("Flatten")
def _flatten(node: _Node) -> Layer:
    node.expect(axis=1)
    return layers.Flatten()


@_reads("Reshape")
def _reshape(node: _Node) -> Layer:
    shape = node.needed(1).tolist()
    if len(shape) != 2 or (shape[1] < 1 and shape[0] < 1):
        raise node.error(f"it must flatten samples, got the shape {shape}")
    return layers.Flatten()


@_reads("ReduceMean")
def _reduce_mean(node: _Node) -> Layer:
    axes = node.options.get("axes") if len(node.weights) < 2 else node.needed(1).tolist()
    node.expect(keepdims=1)
    if sorted(axes or ()) not in ([2, 3], [-2, -1]):
        raise node.error(f"axes must be those of the maps, 2 and 3, got {axes}")
    return layers.GlobalAvgPool2d()


def _with_arrays(layer: Layer, **arrays: np.ndarray | None) -> Layer:
    """The layer with these parameters and buffers, in their dtype."""
    for name, array in arrays.items():
        if array is not None:
            store = layer.buffers if name in layer.buffers else layer.params
            store[name] = np.array(array)
    return layer


def _kind(node: _Node, name: str, dims: int) -> Any:
    """The layer of this name in so many spatial dimensions."""
    if not 1 <= dims <= 3:
        raise node.error(f"it must be in one to three dimensions, got {dims}")
    return getattr(layers, f"{name}{dims}d")


@_reads("Conv")
def _conv(node: _Node) -> Layer:
    w, b = node.needed(1), node.weight(2)
    groups, dims = node.options.get("group", 1), w.ndim - 2
    layer = _kind(node, "Conv", dims)(
        w.shape[1] * groups, len(w), w.shape[2:], **node.window(dims),
        dilation=tuple(node.options.get("dilations", (1,) * dims)), groups=groups,
        bias=b is not None, weight_init="zeros")
    return _with_arrays(layer, weight=w, bias=b)


@_reads("ConvTranspose")
def _conv_transpose(node: _Node) -> Layer:
    w, b = node.needed(1), node.weight(2)
    groups, dims = node.options.get("group", 1), w.ndim - 2
    layer = _kind(node, "ConvTranspose", dims)(
        len(w), w.shape[1] * groups, w.shape[2:], **node.window(dims),
        output_padding=tuple(node.options.get("output_padding", (0,) * dims)),
        dilation=tuple(node.options.get("dilations", (1,) * dims)), groups=groups,
        bias=b is not None, weight_init="zeros")
    return _with_arrays(layer, weight=w, bias=b)


@_reads("LRN")
def _local_response_norm(node: _Node) -> Layer:
    return layers.LocalResponseNorm(
        node.options["size"], node.options.get("alpha", 1e-4), node.options.get("beta", 0.75),
        node.options.get("bias", 1.0))


@_reads("Gemm")
def _gemm(node: _Node) -> Layer:
    node.expect(alpha=1.0, beta=1.0, transA=0)
    w, b = node.needed(1), node.weight(2)
    w = w if node.options.get("transB", 0) else w.T
    layer = layers.Linear(w.shape[1], len(w), b is not None, weight_init="zeros")
    return _with_arrays(layer, weight=w, bias=None if b is None else np.broadcast_to(b, len(w)))


@_reads("MatMul")
def _matmul(node: _Node) -> Layer:
    w = node.needed(1).T
    return _with_arrays(layers.Linear(w.shape[1], len(w), False, weight_init="zeros"), weight=w)


@_reads("BatchNormalization")
def _batch_norm(node: _Node) -> Layer:
    node.expect(training_mode=0)
    weight, bias, mean, var = (node.needed(i) for i in range(1, 5))
    dims = max(1, len(node.x_shape or (0,) * 4) - 2)        # feature maps, if it is not known
    layer = _kind(node, "BatchNorm", dims)(len(weight), node.options.get("epsilon", 1e-5))
    return _with_arrays(layer, weight=weight, bias=bias, running_mean=mean, running_var=var)


@_reads("LayerNormalization")
def _layer_norm(node: _Node) -> Layer:
    weight, bias, axis = node.needed(1), node.weight(2), node.options.get("axis", -1)
    if weight.ndim != (-axis if axis < 0 else len(node.x_shape) - axis):
        raise node.error(f"its scale must have the shape of what it normalises, got {weight.shape}")
    layer = layers.LayerNorm(weight.shape, node.options.get("epsilon", 1e-5),
                             bias=bias is not None)
    return _with_arrays(layer, weight=weight, bias=bias)


@_reads("GroupNormalization")
def _group_norm(node: _Node) -> Layer:
    weight, bias, groups = node.needed(1), node.needed(2), node.options["num_groups"]
    if node.x_shape and node.x_shape[1] != len(weight):     # which it had before opset 21
        raise node.error(f"its scale must have a number for each channel, got {len(weight)}")
    layer = layers.GroupNorm(groups, len(weight), node.options.get("epsilon", 1e-5))
    return _with_arrays(layer, weight=weight, bias=bias)


@_reads("InstanceNormalization")
def _instance_norm(node: _Node) -> Layer:
    weight, bias = node.needed(1), node.needed(2)
    layer = _kind(node, "InstanceNorm", len(node.x_shape or (0,) * 4) - 2)(
        len(weight), node.options.get("epsilon", 1e-5), affine=True)
    return _with_arrays(layer, weight=weight, bias=bias)


@_reads("Pad")
def _pad(node: _Node) -> Layer:
    pads, mode = node.needed(1).tolist(), node.options.get("mode", b"constant")
    if len(pads) != 8 or any(pads[i] for i in (0, 1, 4, 5)) or node.weight(3) is not None:
        raise node.error(f"it must be around maps (N, C, H, W), got pads {pads}")
    (top, left), (bottom, right) = pads[2:4], pads[6:]
    sides = (left, right, top, bottom)
    if mode == b"reflect":
        return layers.ReflectionPad2d(sides)
    if mode == b"edge":
        return layers.ReplicationPad2d(sides)
    if mode != b"constant":
        raise node.error(f"mode must be constant, reflect or edge, got {mode.decode()}")
    value = node.weight(2)
    return layers.ConstantPad2d(sides, 0.0 if value is None else float(value))


@_reads("Resize")
def _resize(node: _Node) -> Layer:
    scales, sizes = node.weight(2), node.weight(3)
    given = scales if sizes is None else sizes
    axes = node.options.get("axes", range(0 if given is None else len(given)))
    amounts = {} if given is None else dict(zip(axes, given.tolist(), strict=True))
    spatial = [amounts[axis] for axis in sorted(amounts) if axis >= 2]
    channels = 1 if sizes is None else (*node.x_shape, 0, 0)[1]
    if (len(spatial) not in (1, 2, 3) or max(amounts) != len(spatial) + 1
            or amounts.get(1, channels) != channels):
        raise node.error("it must be of maps, by constant factors or sizes, "
                         f"got axes {list(axes)}")
    mode = node.options.get("mode", b"nearest")
    how = node.options.get("coordinate_transformation_mode", b"half_pixel")
    nearest = node.options.get("nearest_mode", b"round_prefer_floor")
    amount: dict[str, Any] = {"size" if sizes is not None else "scale_factor": tuple(spatial)}
    if (mode, how, nearest) == (b"nearest", b"asymmetric", b"floor"):
        return layers.Upsample(**amount)
    if mode != b"linear" or how not in (b"half_pixel", b"pytorch_half_pixel", b"align_corners"):
        raise node.error(f"cannot resize by {mode.decode()} with {how.decode()}")
    name = ("linear", "bilinear", "trilinear")[len(spatial) - 1]
    return layers.Upsample(**amount, mode=name, align_corners=how == b"align_corners")


def _global_pool(node: _Node, name: str) -> Layer:
    return _kind(node, name, len(node.x_shape or (0,) * 4) - 2)()


@_reads("MaxPool")
def _max_pool(node: _Node) -> Layer:
    dims = len(node.options["kernel_shape"])
    node.expect(dilations=[1] * dims, storage_order=0)
    pads = node.options.get("pads", [0] * 2 * dims)
    if pads[:dims] == pads[dims:]:
        return _pool(node, "MaxPool")
    # More padding behind than before is what ceil_mode becomes where sizes are known.
    node.options.update(pads=pads[:dims] * 2, ceil_mode=1)
    layer = _pool(node, "MaxPool")
    if not node.x_shape or not node.y_shape or layer.forward(
            np.zeros((1, 1, *node.x_shape[2:]), np.float32)).shape[2:] != node.y_shape[2:]:
        raise node.error(f"its padding differs before and behind: {pads}")
    return layer


@_reads("AveragePool")
def _avg_pool(node: _Node) -> Layer:
    return _pool(node, "AvgPool",
                 count_include_pad=bool(node.options.get("count_include_pad", 0)))


def _pool(node: _Node, name: str, **options: bool) -> Layer:
    size = tuple(node.options["kernel_shape"])
    return _kind(node, name, len(size))(
        size, **node.window(len(size)), ceil_mode=bool(node.options.get("ceil_mode", 0)),
        **options)
